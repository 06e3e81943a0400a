"""Reports: pages, tables and text."""

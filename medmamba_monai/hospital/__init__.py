"""Results back into the PACS: DICOM reports and captures of predictions, and a node that answers studies."""

"""What every room stands on: errors, atomic files, disk, memory, JSON documents, and names for people."""

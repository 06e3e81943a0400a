"""DICOM files and series, through pydicom."""

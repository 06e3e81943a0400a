"""Real image files of a few pixels, for folders as users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def draw(path: Path, seed: int, size: tuple[int, int] = (8, 10), mode: str = "L") -> Path:
    """An image of noise, PNG or JPEG by its name; the same seed gives the same pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def write_dicom(
    path: Path, seed: int, patient: str = "", series: str = "", position: float = 0.0, name: str = "", **tags: object
) -> Path:
    """A CT slice of 8 x 10 pixels with values of -1000 to 1000 HU."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_ = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    slice_.PatientID, slice_.PatientName, slice_.Modality = patient, name, "CT"
    slice_.SeriesInstanceUID = series or generate_uid()
    slice_.Rows, slice_.Columns, slice_.SamplesPerPixel = 8, 10, 1
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 12, 11, 0
    slice_.PhotometricInterpretation = "MONOCHROME2"
    slice_.RescaleSlope, slice_.RescaleIntercept = "1", "-1024"
    slice_.ImagePositionPatient = [0, 0, position]
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing = [1, 1]
    values = np.random.default_rng(seed).integers(24, 2024, (8, 10), dtype=np.uint16)
    slice_.PixelData = values.tobytes()
    for tag, value in tags.items():
        setattr(slice_, tag, value)
    pydicom.dcmwrite(path, slice_, enforce_file_format=True)
    return path


def write_table(path: Path, text: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path

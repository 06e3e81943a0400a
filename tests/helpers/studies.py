"""Studies as folders of DICOM files, and packages of other networks than the shared one."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from medmamba_monai.networks import build_network
from medmamba_monai.package import Package
from tests.helpers.dicom_files import dataset, item, save

STUDY = generate_uid(entropy_srcs=["study of the tests"])


def make_image(number: int = 1, size: int = 32, **attributes: Any) -> Dataset:
    """An X-ray of noise that is complete, as `dciodvfy` asks for; its UID follows from its number."""
    pixels = np.random.default_rng(number).integers(0, 256, (size, size)).astype(np.uint8)
    return dataset(
        attributes.pop("pixels", pixels),
        **{
            "SOPClassUID": DigitalXRayImageStorageForPresentation,
            "SOPInstanceUID": generate_uid(entropy_srcs=["image of the tests", str(number)]),
            "StudyInstanceUID": STUDY,
            "SeriesInstanceUID": generate_uid(entropy_srcs=["series of the tests"]),
            "Modality": "DX",
            "PatientName": "Doe^Jane",
            "PatientID": "4711",
            "PatientBirthDate": "19700101",
            "PatientSex": "F",
            "StudyDate": "20260102",
            "StudyTime": "101112",
            "StudyID": "1",
            "AccessionNumber": "A1",
            "ReferringPhysicianName": "Who^Doctor",
            "SeriesNumber": 1,
            "InstanceNumber": number,
            **attributes,
        },
    )


def write_study(folder: Path, *images: Dataset) -> Path:
    """Write images into a folder, named by their order; by default one of `make_image`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images or (make_image(),)):
        save(image, folder / f"{number}.dcm")
    return folder


def make_slices(count: int = 4, **attributes: Any) -> list[Dataset]:
    """A CT series, the last slice first."""
    return [
        make_image(
            number,
            size=16,
            SOPClassUID=CTImageStorage,
            Modality="CT",
            ImagePositionPatient=[0, 0, 3 * number],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            **attributes,
        )
        for number in range(count, 0, -1)
    ]


def make_frames(count: int = 3) -> Dataset:
    """An ultrasound clip: a file with several frames."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32)).astype(np.uint8)
    kind = {"SOPClassUID": UltrasoundMultiFrameImageStorage, "Modality": "US"}
    return make_image(pixels=pixels, NumberOfFrames=count, **kind)


def make_report_object(**attributes: Any) -> Dataset:
    """A report of somebody else, without pixels."""
    made = make_image(99, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR", **attributes)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(made, keyword)
    made.ContentSequence = [item(ValueType="TEXT")]
    return made


def rebuild(package: Package, **changes: Any) -> Package:
    """The package with other arguments."""
    return Package(**{name: getattr(package, name) for name in signature(Package).parameters} | changes)


def change_package(
    package: Package, card: dict[str, Any] | None = None, reading: dict[str, Any] | None = None
) -> Package:
    """The package with other fields of its card and other arguments of reading."""
    manifest = package.manifest.model_copy(update={"reading": {**package.manifest.reading, **(reading or {})}})
    return rebuild(package, manifest=manifest, card=package.card.model_copy(update=card or {}))


def make_volume_package(package: Package) -> Package:
    """A package for volumes, with random weights."""
    network = package.manifest.network.model_copy(
        update={"spatial_dims": 3, "in_channels": 1, "image_size": 16, "depths": (1,), "channels": (8,)}
    )
    reading = {"channels": 1, "spatial_dims": 3, "intensity_range": "image"}
    manifest = package.manifest.model_copy(update={"network": network, "reading": reading})
    networks = {fold: build_network(**network.model_dump()).eval() for fold in package.networks}
    card = package.card.model_copy(update={"spatial_dims": 3})
    return rebuild(package, manifest=manifest, networks=networks, card=card, likeness={})

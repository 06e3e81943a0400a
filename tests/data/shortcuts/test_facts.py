from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from medmamba_monai.data.shortcuts.facts import Facts, gather_facts, measure_margin
from medmamba_monai.images.read import ReadImage
from tests.helpers.dicom_files import dataset, write

NOISE = np.random.default_rng(0).integers(0, 255, (40, 30), np.uint8)


def facts_of(path: Path, channels: int = 3, spatial_dims: int = 2) -> Facts:
    return gather_facts(*ReadImage(channels, spatial_dims, intensity_range="full").read_with_facts(path))


def test_facts_of_a_png(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.png", dpi=(300, 300))
    found = facts_of(tmp_path / "a.png")
    assert (found["format"], found["mode"], found["size"], found["bit depth"]) == ("PNG", "L", (40, 30), 8)
    assert found["resolution"] == pytest.approx((300, 300), abs=0.1)
    assert found["aspect"] == (40 / 30,)
    assert (found["color"], found["number of frames"], found["transparency"]) == (1, 1, 0)
    assert "compression strength" not in found


def test_facts_of_jpegs_of_two_qualities(tmp_path: Path) -> None:
    for quality in (50, 95):
        Image.fromarray(np.stack([NOISE, NOISE, 255 - NOISE], -1)).save(tmp_path / f"{quality}.jpg", quality=quality)
    low, high = facts_of(tmp_path / "50.jpg"), facts_of(tmp_path / "95.jpg")
    assert (low["format"], low["mode"], low["color"]) == ("JPEG", "RGB", 3)
    assert low["compression strength"] > 5 * high["compression strength"]


def test_a_camera_is_a_digest(tmp_path: Path) -> None:
    image, tags = Image.fromarray(NOISE), Image.Exif()
    tags[0x010F] = "General Hospital"
    image.save(tmp_path / "a.jpg", exif=tags)
    image.save(tmp_path / "b.jpg")
    told, untold = facts_of(tmp_path / "a.jpg"), facts_of(tmp_path / "b.jpg")
    assert told["camera"] != untold["camera"]
    assert "Hospital" not in str(told)


def test_facts_of_dicom_name_neither_site_nor_patient(tmp_path: Path) -> None:
    tags = {"InstitutionName": "General Hospital", "Manufacturer": "Maker", "PixelSpacing": [0.5, 0.7], "KVP": 120}
    found = facts_of(write(tmp_path / "a.dcm", NOISE, **tags))
    other = facts_of(write(tmp_path / "b.dcm", NOISE, **{**tags, "InstitutionName": "Clinic"}))
    assert (found["pixel spacing"], found["tube voltage"], found["format"]) == ((0.5, 0.7), 120, "DICOM")
    assert found["manufacturer"] == other["manufacturer"]
    assert found["institution"] != other["institution"]
    assert not any(word in str(found) for word in ("General", "Hospital", "Maker", "Secret"))


def test_damaged_tags_of_a_scanner_are_left_out(tmp_path: Path) -> None:
    made = dataset(NOISE)
    made.add_new("KVP", "DS", "1")
    made["KVP"]._value = "fast"
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    found = facts_of(tmp_path / "a.dcm")
    assert "tube voltage" not in found
    assert found["size"] == (40, 30)


def test_facts_of_nifti_have_the_voxel_spacing(tmp_path: Path) -> None:
    volume = nibabel.Nifti1Image(NOISE[:6, :5, None].repeat(4, 2), np.diag([-2.0, 1.0, 3.0, 1.0]))
    nibabel.save(volume, tmp_path / "a.nii.gz")
    found = facts_of(tmp_path / "a.nii.gz", channels=1, spatial_dims=3)
    assert (found["voxel spacing"], found["stored axes"], found["size"]) == ((2, 1, 3), "LAS", (6, 5, 4))


def test_the_margin_tells_padding_and_burned_in_text() -> None:
    pixels = np.zeros((1, 20, 40), np.uint8)
    pixels[0, 5:15, 10:30] = 100
    found = measure_margin(pixels)
    assert found["border intensity"] == (0, 0)
    assert found["padding"] == pytest.approx(1 - 0.5 * 0.5)
    assert found["saturated margin"] == 0
    pixels[0, :2, :4] = 255  # in the margin: 8 pixels of the rows at the top, and again of the columns on the left
    assert measure_margin(pixels)["saturated margin"] == pytest.approx(2 * 8 / (2 * 2 * 40 + 2 * 4 * 20))


def test_a_blank_image_is_all_padding() -> None:
    assert measure_margin(np.full((3, 8, 8), 7, np.uint8))["padding"] == 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 5), (1, 2, 3, 4)])
def test_small_images_and_volumes_have_a_margin(shape: tuple[int, ...]) -> None:
    found = measure_margin(torch.full(shape, 255.0).numpy())
    assert (found["border intensity"], found["saturated margin"]) == ((255, 0), 1)

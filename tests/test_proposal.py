from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from small_images import draw, write_dicom, write_table

from medmamba_monai.data.proposal import Options, Proposal, propose_card
from medmamba_monai.data.proposed_layout import Labels
from medmamba_monai.errors import UserError


def proposed(images: Path, labels: Labels | None = None, **options: Any) -> Proposal:
    return propose_card("mine", images, labels or Labels(), Options(**options))


def draw_classes(folder: Path, names: tuple[str, ...] = ("benign", "malignant"), mode: str = "L") -> Path:
    for label, name in enumerate(names):
        for index in range(3):
            draw(folder / name / f"{index}.png", 10 * label + index, mode=mode)
    return folder


def test_a_folder_per_class(tmp_path: Path) -> None:
    card = proposed(draw_classes(tmp_path)).card
    assert (card.task, card.channels, card.spatial_dims, card.image_size) == ("binary", 1, 2, 224)
    assert card.class_names == ("benign", "malignant")
    assert card.expected_counts["all"].classes == {"benign": 3, "malignant": 3}
    assert card.reading.arguments() == {}


def test_color_and_more_classes(tmp_path: Path) -> None:
    card = proposed(draw_classes(tmp_path, ("a", "b", "c"), "RGB"), ordinal=True).card
    assert (card.task, card.channels) == ("ordinal", 3)


def test_split_folders_are_an_official_split(tmp_path: Path) -> None:
    draw_classes(tmp_path / "Train")
    draw_classes(tmp_path / "test")
    proposal = proposed(tmp_path)
    assert proposal.card.official_test
    assert {sample.split for sample in proposal.found.samples} == {"train", "test"}


def test_a_table_beside_the_images(tmp_path: Path) -> None:
    for index in range(4):
        draw(tmp_path / "images" / f"im{index}.png", index)
    rows = "im0;p1;train;2\nim1;p1;train;10\nim2;p2;val;2\nim3;p3;test;10\n"
    table = write_table(tmp_path / "labels.csv", "name;patient;set;grade\n" + rows)
    columns = {"image_column": "name", "label_column": ("grade",), "group_column": "patient", "split_column": "set"}
    proposal = proposed(tmp_path / "images", Labels(table=table, **columns))
    layout = proposal.card.layout
    assert (layout.path, layout.image_folder, layout.image_suffix, layout.separator) == (
        "labels.csv",
        "images",
        ".png",
        ";",
    )
    assert proposal.card.class_names == ("2", "10")
    assert proposal.dataset_dir == tmp_path
    assert sorted(sample.group for sample in proposal.found.samples) == ["p1", "p1", "p2", "p3"]


def test_several_labels(tmp_path: Path) -> None:
    for index in range(3):
        draw(tmp_path / f"{index}.png", index)
    table = write_table(tmp_path / "labels.csv", "file,found\n0.png,a|b\n1.png,\n2.png,b\n")
    labels = Labels(table=table, image_column="file", label_column=("found",), label_separator="|")
    proposal = proposed(tmp_path, labels)
    assert proposal.card.task == "multi-label"
    assert [sample.label for sample in proposal.found.samples] == [(1, 1), (0, 0), (0, 1)]


def test_dicom_tells_patients_modality_and_range(tmp_path: Path) -> None:
    for label, name in enumerate(("sick", "well")):
        for index in range(3):
            write_dicom(tmp_path / name / f"{index}.dcm", 10 * label + index, patient=f"Doe^{index}")
    proposal = proposed(tmp_path)
    assert (proposal.card.modality, proposal.card.layout.group_tag) == ("CT", "PatientID")
    assert {sample.group for sample in proposal.found.samples} == {"Doe^0", "Doe^1", "Doe^2"}
    assert "Doe" not in proposal.card.model_dump_json() + " ".join(proposal.remarks)


def test_volumes_are_seen(tmp_path: Path) -> None:
    for label, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        for index in range(2):
            values = np.random.default_rng(10 * label + index).normal(size=(6, 5, 4)).astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / name / f"{index}.nii.gz")
    card = proposed(tmp_path).card
    assert (card.spatial_dims, card.image_size) == (3, 64)
    low, high = card.reading.intensity_range
    assert low < -2 < 2 < high
    assert card.reading.clip


def test_series_folders_are_seen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for scan in range(2):
            for place in range(3):
                path = tmp_path / name / f"scan{scan}" / f"{place}.dcm"
                write_dicom(path, place, series=f"1.2.{scan + 1}{len(name)}", position=place)
    assert proposed(tmp_path).card.spatial_dims == 3


def test_twelve_bits_in_sixteen_get_a_range(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        values = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
        Image.fromarray(values).save(tmp_path / name / "x.png")
    assert proposed(tmp_path).card.reading.intensity_range == (0, 4095)
    given = proposed(tmp_path, reading={"intensity_range": [0, 2000], "clip": True}).card
    assert given.reading.intensity_range == (0, 2000)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "it needs one folder of images for each class, or"),
        ({"group_column": "patient"}, r"--group_column: names a column, so pass the table too"),
        ({"table": Path("none.csv")}, r"--table none\.csv: there is no such file"),
    ],
)
def test_labels_that_are_not_there(tmp_path: Path, labels: dict[str, Any], said: str) -> None:
    draw(tmp_path / "1.png", 1)
    with pytest.raises(UserError, match=said):
        proposed(tmp_path, Labels(**labels))


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no image that can be read"):
        proposed(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        proposed(tmp_path / "none")

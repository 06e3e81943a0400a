from __future__ import annotations

from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.folder_layout import find_folders
from medmamba_monai.data.find.found import FoundData
from tests.helpers.small_data import folder_card
from tests.helpers.small_images import draw, write_dicom, write_table


def found(folder: Path, layout: dict[str, object] | None = None, **changes: object) -> FoundData:
    card = folder_card(layout={"kind": "folders", **(layout or {})}, **changes)
    return find_folders(card, card.layout, DatasetFolder(folder))


def draw_classes(folder: Path, names: tuple[str, ...] = ("cat", "dog"), count: int = 3) -> Path:
    for label, name in enumerate(names):
        for index in range(count):
            draw(folder / name / f"p{index}_{label}.png", 10 * label + index)
    return folder


@pytest.mark.parametrize("below", [".", "a", "archive/archive/images"])
@pytest.mark.parametrize("names", [("cat", "dog"), ("CAT", "Dog")])
def test_class_folders_are_found_at_any_depth_whatever_their_case(tmp_path: Path, below: str, names: tuple) -> None:
    draw_classes(tmp_path / below, names)
    data = found(tmp_path)
    assert [sample.label for sample in data.samples] == [0, 0, 0, 1, 1, 1]
    assert [sample.id for sample in data.samples[:2]] == ["image-00000", "image-00001"]
    assert len(data.files) == 6


def test_images_may_lie_deeper_in_their_class_folder(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    draw(tmp_path / "cat" / "images" / "more" / "x.png", 99)
    assert [sample.image for sample in found(tmp_path).samples if "more" in sample.image] == ["cat/images/more/x.png"]


def test_blanks_underscores_and_hyphens_in_names_do_not_count(tmp_path: Path) -> None:
    draw_classes(tmp_path, ("normal-cecum", "Ulcerative_Colitis"))
    classes = [{"name": "normal cecum", "display_name": "N"}, {"name": "ulcerative-colitis", "display_name": "U"}]
    assert len(found(tmp_path, classes=classes).samples) == 6


def test_two_places_with_the_classes_are_an_error(tmp_path: Path) -> None:
    draw_classes(tmp_path / "v1")
    draw_classes(tmp_path / "v2")
    with pytest.raises(UserError, match=r"v1 and .*v2 both have the folders 'cat', 'dog': pass one of them"):
        found(tmp_path)


def test_groups_by_pattern(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    data = found(tmp_path, {"group_pattern": r"(p\d)_"})
    assert [sample.group for sample in data.samples] == ["p0", "p1", "p2"] * 2


def test_a_name_without_a_group_is_an_error(tmp_path: Path) -> None:
    draw(draw_classes(tmp_path) / "cat" / "other.png", 1)
    with pytest.raises(UserError, match=r"cat/other\.png: group_pattern .* finds no group in its name"):
        found(tmp_path, {"group_pattern": r"^(p\d)_"})


@pytest.mark.parametrize("pattern", [r"^(?:p(\d)_0|p\d_1)", r"^p\d(x?)_"])
def test_an_empty_group_is_an_error(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UserError, match=r"_\d\.png: group_pattern .* finds no group in its name"):
        found(draw_classes(tmp_path), {"group_pattern": pattern})


TABLE = {"group_table": {"path": "patients.csv", "image_column": "image", "group_column": "patient"}}


def test_groups_by_an_optional_table(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    assert {sample.group for sample in found(tmp_path, TABLE).samples} == {None}
    rows = "".join(f"p{index}_{label}.png,{index // 2}\n" for index in range(3) for label in range(2))
    write_table(tmp_path / "patients.csv", "image,patient\n" + rows)
    data = found(tmp_path, TABLE)
    assert [sample.group for sample in data.samples] == ["0", "0", "1"] * 2
    assert "patients.csv" in data.files


def test_an_image_that_the_table_leaves_out_is_an_error(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    write_table(tmp_path / "patients.csv", "image,patient\np0_0.png,1\n")
    with pytest.raises(UserError, match=r"patients\.csv: has no row for .*p1_0\.png"):
        found(tmp_path, TABLE)


def test_one_row_for_two_images_of_a_name_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path / "cat" / "0.png", 1)
    draw(tmp_path / "dog" / "0.png", 2)
    write_table(tmp_path / "patients.csv", "image,patient\n0.png,1\n")
    with pytest.raises(UserError, match=r"line 2: fits .*cat/0\.png and .*dog/0\.png, which differ"):
        found(tmp_path, TABLE)


def test_volumes_have_the_names_of_their_folders(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for place in range(2):
            write_dicom(tmp_path / name / f"{name}.1" / f"{place}.dcm", place, series="1.2.3", position=place)
    write_table(tmp_path / "patients.csv", "image,patient\ncat.1,P1\ndog.1,P2\n")
    assert [sample.group for sample in found(tmp_path, TABLE, spatial_dims=3).samples] == ["P1", "P2"]


def test_groups_by_patient_tag(tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        for index in range(3):
            write_dicom(tmp_path / name / f"{index}.dcm", 10 * label + index, patient=f"Doe{index // 2}")
    assert [s.group for s in found(tmp_path, {"group_tag": "PatientID"}).samples] == ["Doe0", "Doe0", "Doe1"] * 2


def test_series_folders_are_volumes(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for scan in range(2):
            for place in range(3):
                write_dicom(
                    tmp_path / name / f"scan{scan}" / f"{place}.dcm", place, series=f"1.2.{scan + 3}", position=place
                )
    data = found(tmp_path, spatial_dims=3)
    assert [sample.image for sample in data.samples] == ["cat/scan0", "cat/scan1", "dog/scan0", "dog/scan1"]
    assert len(data.files) == 12


def test_slices_right_in_the_class_folder_are_an_error(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for place in range(3):
            write_dicom(tmp_path / name / f"{place}.dcm", place, position=place)
    with pytest.raises(UserError, match="cat: holds DICOM slices directly; put each series into a folder of its own"):
        found(tmp_path, spatial_dims=3)


def test_links_that_leave_the_folder_are_followed_only_when_allowed(tmp_path: Path) -> None:
    draw_classes(tmp_path / "data", count=2)
    outside = draw_classes(tmp_path / "elsewhere", ("more",))
    (tmp_path / "data" / "cat" / "more").symlink_to(outside / "more")
    with pytest.raises(UserError, match="is a link that leaves the dataset folder"):
        found(tmp_path / "data")
    card = folder_card()
    assert len(find_folders(card, card.layout, DatasetFolder(tmp_path / "data", allow_links=True)).samples) == 7


def test_a_name_that_is_no_utf8_survives_the_list(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    source = draw(tmp_path / "x.png", 77)
    source.rename(tmp_path / "cat" / "m\udce9decin.png")
    images = [sample.image for sample in found(tmp_path).samples]
    assert "bytes:cat/m%E9decin.png" in images

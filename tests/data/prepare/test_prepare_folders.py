from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import prepare_dataset, read_fold_list
from tests.helpers.prepared_folders import draw, draw_classes, report
from tests.helpers.small_data import folder_card, npz_content, small_card, write_npz
from tests.helpers.small_images import write_dicom


def test_dataset_folder_is_not_written_to(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    before = sorted(data.rglob("*"))
    prepare_dataset(folder_card(), data, tmp_path / "lists" / "folds.json")
    assert sorted(data.rglob("*")) == before


def test_class_folders_without_a_split(tmp_path: Path) -> None:
    made = prepare_dataset(folder_card(), draw_classes(tmp_path / "data"), tmp_path / "folds.json", num_folds=2)
    assert made.protocol == "cross-validation"
    assert {item.label for item in made.training if item.image.startswith("dog/")} == {1}
    assert len(made.sources) == 20


def test_class_folders_with_a_split(tmp_path: Path) -> None:
    draw_classes(tmp_path / "data" / "training")
    draw_classes(tmp_path / "data" / "testing", count=2)
    layout = {"kind": "folders", "split_folders": {"train": "training", "test": "testing"}}
    made = prepare_dataset(folder_card(layout=layout), tmp_path / "data", tmp_path / "folds.json")
    assert made.protocol == "official-test"
    assert [item.id for item in made.test] == [f"test-{index:05d}" for index in range(4)]
    assert made.test[3].image == "testing/dog/1.png"


def test_an_official_test_folder_without_images_is_an_error(tmp_path: Path) -> None:
    draw_classes(tmp_path / "data" / "training")
    draw_classes(tmp_path / "data" / "testing", count=1)
    for image in (tmp_path / "data" / "testing").rglob("*.png"):
        image.unlink()
    layout = {"kind": "folders", "split_folders": {"train": "training", "test": "testing"}}
    with pytest.raises(UserError, match=r"testing/cat: holds no images\. Ask nobody\."):
        prepare_dataset(folder_card(layout=layout), tmp_path / "data", tmp_path / "folds.json")


def test_copies_are_reported_and_share_a_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data")
    for index in range(5):
        draw(data / "cat" / f"copy-{index}.png", seed=3)
    draw(data / "dog" / "other-label.png", seed=4)
    made = prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=3)
    copies = report(tmp_path)["duplicates"]
    assert (copies["pictures"], copies["images"], len(copies["across_classes"])) == (2, 8, 1)
    assert len({item.fold for item in made.training if item.group == made.training[3].group}) == 1
    assert "1 pictures have copies under different labels" in capsys.readouterr().out


def test_copies_in_test_and_training_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = npz_content()["test_images"].copy()
    images[2] = npz_content()["train_images"][5]
    write_npz(tmp_path, test_images=images)
    prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json")
    assert report(tmp_path)["duplicates"]["in_test_and_training"] == [["train-00005", "test-00002"]]
    assert "so the test flatters" in capsys.readouterr().out


def test_files_that_are_no_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data")
    (data / "cat" / "Thumbs.db").write_bytes(b"")
    (data / "cat" / "._0.png").write_bytes(b"")
    draw(data / "cat" / ".ipynb_checkpoints" / "0-checkpoint.png", 1)
    prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2)
    assert report(tmp_path)["ignored_files"] == [
        "cat/._0.png",
        "cat/.ipynb_checkpoints/0-checkpoint.png",
        "cat/Thumbs.db",
    ]
    assert "3 files are no images of the dataset and were left out" in capsys.readouterr().out


def test_images_that_cannot_be_read_are_all_counted(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    for index in range(12):
        (data / "cat" / f"broken-{index}.tif").write_bytes(b"II*\0")
    with pytest.raises(UserError, match=r"12 images cannot be used:\n.*broken-0\.tif: is damaged(.*\n)+and 2 more"):
        prepare_dataset(folder_card(), data, tmp_path / "folds.json")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("bird", "has the folders 'bird', 'cat', 'dog', the card has the classes 'cat', 'dog'"),
        (".", "in no class folder"),
    ],
)
def test_image_outside_the_classes_is_an_error(tmp_path: Path, folder: str, said: str) -> None:
    data = draw_classes(tmp_path / "data")
    draw(data / folder / "stray.png", 1)
    with pytest.raises(UserError, match=said):
        prepare_dataset(folder_card(), data, tmp_path / "folds.json")


def test_missing_dataset_folder_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data: does not exist\. Ask nobody\."):
        prepare_dataset(folder_card(), tmp_path / "data", tmp_path / "folds.json")


def test_link_out_of_the_dataset_is_an_error(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    draw(tmp_path / "outside.png", 1)
    (data / "cat" / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(UserError, match=r"link\.png: is a link that leaves the dataset folder"):
        prepare_dataset(folder_card(), data, tmp_path / "folds.json")


def test_a_link_is_followed_when_allowed(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    draw(tmp_path / "outside.png", 99)
    (data / "cat" / "link.png").symlink_to(tmp_path / "outside.png")
    prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2, allow_links=True)
    assert len(read_fold_list(tmp_path / "folds.json", data).training) == 21


def test_names_that_are_no_utf8_are_read(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    (data / "cat" / "0.png").rename(data / "cat" / "\udce90.png")
    made = prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2)
    again = read_fold_list(tmp_path / "folds.json", data)
    images = [item["image"] for part in again.parts(0).values() for item in part]
    assert made == again
    assert str(data / "cat" / "\udce90.png") in images


def test_images_in_archives_are_unpacked(tmp_path: Path) -> None:
    draw_classes(tmp_path / "made")
    shutil.make_archive(str(tmp_path / "data" / "images"), "zip", tmp_path / "made")
    made = prepare_dataset(folder_card(), tmp_path / "data", tmp_path / "folds.json", num_folds=2)
    assert made.training[0].image == "images/cat/0.png"


def test_blank_images_join_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data")
    for name in ("cat", "dog"):
        for index in range(4):
            Image.new("L", (8, 6)).save(data / name / f"blank-{index}.png")
    made = prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2, near_duplicates=True)
    assert {item.group for item in made.training} == {None}
    assert report(tmp_path)["near_duplicates"]["pairs"] == 0
    assert "warning: 8 images have one value everywhere" in capsys.readouterr().out


def test_other_pixels_in_the_same_files_are_another_list(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    first = prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2)
    draw(data / "cat" / "0.png", seed=999)
    second = prepare_dataset(folder_card(), data, tmp_path / "folds.json", num_folds=2, overwrite=True)
    assert first.digest != second.digest
    assert first.images_digest != second.images_digest


def test_windows_in_some_files_only_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label, name in enumerate(("cat", "dog")):
        for index in range(6):
            window = {"WindowCenter": 40, "WindowWidth": 400} if name == "cat" else {}
            write_dicom(tmp_path / "data" / name / f"{index}.dcm", 10 * label + index, **window)
    prepare_dataset(folder_card(), tmp_path / "data", tmp_path / "folds.json", num_folds=2)
    said = capsys.readouterr().out
    assert "DICOM files are scaled by different windows" in said
    assert report(tmp_path)["windows_per_class"] == {"0": {"window 40, 400": 6}, "1": {"full range": 6}}

from __future__ import annotations

import pytest
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import default_dataset_dir, default_fold_list, list_images
from medmamba_monai.images import ReadImage


def test_the_fold_list_of_a_bundle_in_the_repository_stands_beside_the_card(tmp_path):
    card = tmp_path / "data_lists" / "phantom" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    assert default_fold_list(tmp_path / "bundles" / "phantom", "phantom") == str(card.with_name("folds.json"))


def test_the_fold_list_of_a_copied_bundle_stays_in_it(tmp_path):
    assert default_fold_list(tmp_path / "a" / "b", "phantom") == str(tmp_path / "a" / "b" / "folds.json")


def test_the_fold_list_is_found_from_the_bundles_own_folder(tmp_path, monkeypatch):
    (tmp_path / "bundle").mkdir()
    monkeypatch.chdir(tmp_path / "bundle")
    assert default_fold_list(".", "phantom") == str(tmp_path / "bundle" / "folds.json")


def test_the_dataset_is_looked_for_in_the_folder_that_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_DATA_DIR", str(tmp_path))
    assert default_dataset_dir("bundle", "phantom") == str(tmp_path)
    (tmp_path / "phantom").mkdir()
    assert default_dataset_dir("bundle", "phantom") == str(tmp_path / "phantom")


def test_without_it_the_dataset_is_in_the_bundle(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDMAMBA_DATA_DIR", raising=False)
    assert default_dataset_dir(tmp_path, "phantom") == str(tmp_path / "data")


def test_images_below_a_folder_are_listed_and_the_rest_is_named(tmp_path, caplog):
    (tmp_path / "b").mkdir()
    for name in ("b/2.png", "1.JPG"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    assert [(item["id"], item["file"]) for item in list_images(tmp_path)] == [
        ("image-00000", "1.JPG"),
        ("image-00001", "b/2.png"),
    ]
    assert "1 files" in caplog.text


def test_hidden_copies_of_images_are_left_out(tmp_path, caplog):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for name in ("1.png", "._1.png", ".ipynb_checkpoints/1-checkpoint.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    assert [item["file"] for item in list_images(tmp_path)] == ["1.png"]
    assert "2 files" in caplog.text


@pytest.mark.parametrize(("folder", "message"), [("none", "no such folder"), (".", "holds no image")])
def test_a_folder_without_images_is_a_clear_error(tmp_path, folder, message):
    with pytest.raises(UserError, match=message):
        list_images(tmp_path / folder)


def test_images_that_cannot_be_read_are_left_out_when_asked(tmp_path, caplog):
    Image.new("L", (4, 4)).save(tmp_path / "good.png")
    (tmp_path / "half.png").write_bytes(b"\x89PNG")
    items = list_images(tmp_path, read=ReadImage(1))
    assert [(item["id"], item["file"]) for item in items] == [("image-00000", "good.png")]
    assert "half.png: is damaged" in caplog.text
    (tmp_path / "good.png").unlink()
    with pytest.raises(UserError, match=r"none of 1 images can be read; the first: .*half\.png"):
        list_images(tmp_path, read=ReadImage(1))

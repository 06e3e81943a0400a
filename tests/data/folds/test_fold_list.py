from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import FoldList, prepare_dataset, read_fold_list
from tests.helpers.small_data import folder_card, md5, npz_content, small_card, write_npz


@pytest.fixture
def made(tmp_path: Path) -> FoldList:
    """The list of a small npz with an official test split."""
    (tmp_path / "data").mkdir()
    write_npz(tmp_path / "data")
    return prepare_dataset(small_card(), tmp_path / "data", tmp_path / "folds.json")


@pytest.fixture
def made_of_files(tmp_path: Path) -> FoldList:
    """The list of image files without a test split."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(30):
            pixels = generator.integers(0, 256, (6, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{index}.png")
    return prepare_dataset(folder_card(), tmp_path / "data", tmp_path / "folds.json")


def edit(made: FoldList, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(made.path.read_text(encoding="utf-8"))
    change(content)
    made.path.write_text(json.dumps(content), encoding="utf-8")


def sign(made: FoldList) -> None:
    """Give an edited list the digest of its content."""
    content = json.loads(made.path.read_text(encoding="utf-8"))
    edited = FoldList.model_validate(content | {"path": made.path, "dataset_dir": made.dataset_dir})
    edit(made, lambda content: content.update(digest=edited.compute_digest()) or content.pop("checksum"))


def ids(items: list[dict[str, Any]]) -> set[str]:
    return {item["id"] for item in items}


def test_list_comes_back_as_it_was_written(made: FoldList) -> None:
    assert read_fold_list(made.path, made.dataset_dir) == made


def test_a_list_is_shown_without_its_samples(made: FoldList) -> None:
    shown = f"name='{made.name}', task='{made.task}', num_images={made.num_images}, num_folds=5"
    assert repr(made).startswith(f"FoldList({shown}")
    assert f"digest='{made.digest[:12]}'" in str(made)
    assert made.training[0].image not in repr(made)


def test_file_has_the_keys_of_the_decathlon(made: FoldList) -> None:
    content = json.loads(made.path.read_text(encoding="utf-8"))
    assert content["labels"] == {"0": "cat", "1": "dog"}
    assert content["tensorImageSize"] == "2D"
    assert (content["numTraining"], content["numTest"]) == (30, 8)
    assert content["sources"] == [
        {
            "path": "mini.npz",
            "bytes": (made.dataset_dir / "mini.npz").stat().st_size,
            "md5": content["sources"][0]["md5"],
        }
    ]
    assert content["training"][0].keys() == {"id", "image", "label", "fold"}
    assert "validation" not in content


def test_monai_reads_the_list(made: FoldList) -> None:
    items = load_decathlon_datalist(made.path, is_segmentation=False, base_dir=made.dataset_dir)
    assert [item["image"] for item in items] == [str(made.dataset_dir / item.image) for item in made.training]
    assert [item["label"] for item in items] == [item.label for item in made.training]


def test_parts_with_an_official_test(made: FoldList) -> None:
    held_out = [ids(made.parts(fold)["validation"]) for fold in range(5)]
    assert set().union(*held_out) == {item.id for item in made.training}
    assert sum(len(part) for part in held_out) == 30
    for fold, part in enumerate(held_out):
        assert ids(made.parts(fold)["train"]) == set().union(*held_out) - part
        assert ids(made.parts(fold)["test"]) == {item.id for item in made.test}


def test_parts_without_an_official_test(made_of_files: FoldList) -> None:
    everything = {item.id for item in made_of_files.training}
    tested = [ids(made_of_files.parts(fold)["test"]) for fold in range(5)]
    assert sum(len(part) for part in tested) == len(set().union(*tested)) == 60
    for fold in range(5):
        parts = [ids(part) for part in made_of_files.parts(fold).values()]
        assert set().union(*parts) == everything
        assert sum(len(part) for part in parts) == 60
        assert all(parts)


def test_items_have_absolute_images(made: FoldList, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.dataset_dir.parent)
    item = read_fold_list("folds.json", "data").parts(0)["test"][1]
    image = f"{made.dataset_dir}/mini.npz#test_images[1]"
    assert item == {"id": "test-00001", "image": image, "label": 1, "row": 31}


def test_ids_are_no_paths(made_of_files: FoldList) -> None:
    assert all(re.fullmatch(r"image-\d{5}", item.id) for item in made_of_files.training)


@pytest.mark.parametrize("fold", [5, -1, 0.0, "0", True, None])
def test_fold_that_does_not_exist_is_an_error(made: FoldList, fold: int) -> None:
    with pytest.raises(UserError, match=r"fold: .*folds\.json has the folds 0 to 4, found"):
        made.parts(fold)


def test_digest_does_not_know_the_place(made: FoldList, tmp_path: Path) -> None:
    made.dataset_dir.rename(tmp_path / "elsewhere")
    assert read_fold_list(made.path, tmp_path / "elsewhere").digest == made.digest


def test_missing_list_says_to_run_prepare(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"folds\.json: there is no fold list; run prepare first: python -m monai"):
        read_fold_list(tmp_path / "folds.json", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["training"][0].update(label=1),
        lambda content: content["training"][0].update(fold=(content["training"][0]["fold"] + 1) % 5),
        lambda content: content["training"][0].update(image="mini.npz#train_images[1]"),
        lambda content: content["training"][0].update(id="other"),
        lambda content: content["training"][0].update(group="other"),
        lambda content: content["training"].pop(),
        lambda content: content["test"].pop(),
        lambda content: content.update(num_folds=6),
        lambda content: content.update(labels={"0": "dog", "1": "cat"}),
        lambda content: content.update(digest="0" * 64),
    ],
)
def test_edited_list_is_an_error(made: FoldList, change: Callable[[dict[str, Any]], None]) -> None:
    edit(made, change)
    with pytest.raises(UserError, match=r"folds\.json: was edited"):
        read_fold_list(made.path, made.dataset_dir)


def test_a_flipped_bit_of_what_the_digest_leaves_out_is_told(made: FoldList) -> None:
    edit(made, lambda content: content.update(seed=content["seed"] ^ 4))
    with pytest.raises(UserError, match=r"folds\.json: is damaged or was edited"):
        read_fold_list(made.path, made.dataset_dir)


def test_a_list_from_before_there_were_checksums_is_read(made: FoldList) -> None:
    edit(made, lambda content: content.pop("checksum"))
    assert read_fold_list(made.path, made.dataset_dir) == made


def test_edited_validation_part_is_an_error(made_of_files: FoldList) -> None:
    edit(made_of_files, lambda content: content["validation"]["0"].pop())
    with pytest.raises(UserError, match="was edited"):
        read_fold_list(made_of_files.path, made_of_files.dataset_dir)


def test_unknown_field_is_an_error(made: FoldList) -> None:
    edit(made, lambda content: content["training"][0].update(patient="Doe"))
    with pytest.raises(UserError, match=r"training\.0\.patient"):
        read_fold_list(made.path, made.dataset_dir)


def test_labels_that_are_not_numbered_from_zero_are_an_error(made: FoldList) -> None:
    edit(made, lambda content: content.update(labels={"1": "cat", "2": "dog"}))
    with pytest.raises(UserError, match=r"folds\.json: labels: must be numbered from 0 to 1"):
        read_fold_list(made.path, made.dataset_dir)


@pytest.mark.parametrize("image", ["../secret.png", "/etc/hostname", "a/../../b.png", "C:\\a.png", ""])
def test_image_outside_the_dataset_is_an_error(made: FoldList, image: str) -> None:
    edit(made, lambda content: content["test"][0].update(image=image))
    with pytest.raises(UserError, match=r"test\.0\.image: must be a relative path"):
        read_fold_list(made.path, made.dataset_dir, verify=False)


def test_link_out_of_the_dataset_is_an_error(made_of_files: FoldList, tmp_path: Path) -> None:
    image = made_of_files.dataset_dir / made_of_files.training[0].image
    image.rename(tmp_path / "outside.png")
    image.symlink_to(tmp_path / "outside.png")
    with pytest.raises(UserError, match="is a link that leaves the dataset folder"):
        read_fold_list(made_of_files.path, made_of_files.dataset_dir)


def test_missing_image_is_an_error(made_of_files: FoldList) -> None:
    (made_of_files.dataset_dir / made_of_files.training[7].image).unlink()
    with pytest.raises(UserError, match=re.escape(made_of_files.training[7].image) + ": is in .* does not exist"):
        read_fold_list(made_of_files.path, made_of_files.dataset_dir)


def test_longer_file_is_an_error(made: FoldList) -> None:
    with (made.dataset_dir / "mini.npz").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(UserError, match=r"mini\.npz: has \d+ bytes, .*folds\.json was made for \d+ bytes"):
        read_fold_list(made.path, made.dataset_dir)


def test_other_content_of_the_same_length_is_an_error(made: FoldList) -> None:
    path = made.dataset_dir / "mini.npz"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"has MD5 {md5(path)}"):
        read_fold_list(made.path, made.dataset_dir)


def test_labels_of_the_npz_must_agree(made: FoldList) -> None:
    edit(made, lambda content: content["test"][3].update(label=0))
    sign(made)
    with pytest.raises(UserError, match=r"test-00003 has label 0, mini\.npz#test_images\[3\] has \[1\]"):
        read_fold_list(made.path, made.dataset_dir)


def test_list_of_another_dataset_is_an_error(made: FoldList) -> None:
    assert read_fold_list(made.path, made.dataset_dir, name="mini") == made
    with pytest.raises(UserError, match=r"folds\.json: holds the folds of 'mini', needed are those of 'pathmnist'"):
        read_fold_list(made.path, made.dataset_dir, name="pathmnist")


def test_unverified_list_needs_no_data(made: FoldList, tmp_path: Path) -> None:
    assert read_fold_list(made.path, tmp_path / "nowhere", verify=False).digest == made.digest


def test_without_groups_no_item_has_one(made: FoldList) -> None:
    assert not made.has_groups
    assert not any("group" in item for part in made.parts(0).values() for item in part)


def test_with_groups_every_item_has_one_and_alone_it_is_its_own(tmp_path: Path) -> None:
    write_npz(tmp_path, train_images=with_copies())
    made = prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json", num_folds=3)
    assert made.has_groups
    items = [item for part in made.parts(0).values() for item in part]
    known = {item.id: item.group for item in (*made.training, *made.test)}
    assert {item["id"]: item["group"] for item in items} == {name: group or name for name, group in known.items()}
    assert len({item["group"] for item in items}) == len(items) - 2


def with_copies() -> np.ndarray:
    """Training images of which the first three of one class are the same picture."""
    images = npz_content()["train_images"]
    images[[2, 4]] = images[0]
    return images

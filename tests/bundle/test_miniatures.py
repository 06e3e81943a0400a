from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.data import prepare_dataset
from medmamba_monai.data.folds.fold_list import FoldList
from tests.helpers.miniatures import (
    FETAL_TRAINING_PATIENTS,
    LISTS,
    PER_CLASS,
    VARIANTS,
    expected,
    miniature_card,
    write_miniature,
)
from tests.helpers.miniatures_npz import FLAGS, LEAKED, group_of, image_ids

CARDS = sorted({variant.split(":")[0] for variant in VARIANTS})
FILE_CARDS = [name for name in CARDS if name not in FLAGS]
PATIENTS = {"pad_ufes_20": 36, "fetal_us": 10, "cervical_us": 28}


def made_of(variant: str, folder: Path) -> tuple[DatasetCard, FoldList]:
    card, data = miniature_card(variant.split(":")[0]), folder / "data"
    data.mkdir()
    VARIANTS[variant](data)
    return card, prepare_dataset(
        card, data, folder / "lists" / "folds.json", num_folds=3, allow_count_mismatch=True, download=False
    )


def source_group(variant: str, image: str) -> str | None:
    """The patient, lesion or scan of an image as the miniature was written, not through the code under test."""
    name, kind = variant.split(": ")
    patterns = {"pad_ufes_20": r"(PAT_\d+)_", "fetal_us": r"(Patient\d+)_"}
    if name in patterns:
        return re.findall(patterns[name], image)[0]
    if name == "cervical_us" and "with patients" in kind:
        label, index = re.findall(r"us_(\d)(\d{3})", image)[0]
        return f"{label} {int(index) % PER_CLASS}"
    if kind == "npz with groups":
        split, index = re.findall(r"#(\w+)_images\[(\d+)\]", image)[0]
        return group_of(name, split, int(index))
    return None


def images_per_class(items: tuple, classes: int) -> np.ndarray:
    rows = [item.label if isinstance(item.label, tuple) else np.eye(classes, dtype=int)[item.label] for item in items]
    return np.sum(rows, axis=0, dtype=int) if rows else np.zeros(classes, dtype=int)


def all_images(opened: dict[str, bytes]) -> dict[str, str]:
    """MD5 of every image by its file name, also within archives within archives."""
    found: dict[str, str] = {}
    for path, content in opened.items():
        if path.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                found |= all_images({name: archive.read(name) for name in archive.namelist()})
        elif path.endswith((".png", ".jpg")) and not Path(path).name.startswith("."):
            found[Path(path).name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_committed_card_has_a_miniature() -> None:
    committed = {path.parent.name for path in LISTS.glob("*/card.json")}
    assert set(CARDS) == committed - {"phantom"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_layout_is_found_and_divided(variant: str, tmp_path: Path) -> None:
    card, made = made_of(variant, tmp_path)
    wanted = expected(card)
    if variant == "dermamnist: npz with groups":
        assert len(made.training) == wanted["training"].sum() - LEAKED
    else:
        np.testing.assert_array_equal(images_per_class(made.training, card.num_classes), wanted["training"])
    np.testing.assert_array_equal(images_per_class(made.test, card.num_classes), wanted["test"])
    assert made.class_names == card.class_names
    assert made.protocol == ("official-test" if card.official_test else "cross-validation")
    folds = defaultdict(set)
    for item in made.training:
        folds[source_group(variant, item.image) or item.id].add(item.fold)
    assert {len(held) for held in folds.values()} == {1}
    assert {item.fold for item in made.training} == {0, 1, 2}


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant.split(":")[0] in PATIENTS])
def test_groups_are_those_of_the_table(variant: str, tmp_path: Path) -> None:
    card, made = made_of(variant, tmp_path)
    pairs = {(source_group(variant, item.image), item.group) for item in (*made.training, *made.test)}
    if "without patients" in variant:
        assert pairs == {(None, None)}
    else:
        assert len(pairs) == len(dict(pairs)) == len({group for _, group in pairs}) == PATIENTS[card.name]


def test_official_test_patients_of_fetal_us(tmp_path: Path) -> None:
    _, made = made_of("fetal_us: zip", tmp_path)
    patients = {int(re.findall(r"Patient(\d+)", item.image)[0]) for item in made.training}
    assert patients == set(range(1, FETAL_TRAINING_PATIENTS + 1))


def test_lesions_of_the_official_test_are_not_trained_on(tmp_path: Path) -> None:
    _, made = made_of("dermamnist: npz with groups", tmp_path)
    parts = [
        {source_group("dermamnist: npz with groups", i.image) for i in part} for part in (made.training, made.test)
    ]
    assert not parts[0] & parts[1]


@pytest.mark.parametrize("name", FILE_CARDS)
def test_variants_hold_the_same_images(name: str, tmp_path: Path) -> None:
    found = []
    for number, variant in enumerate(variant for variant in VARIANTS if variant.startswith(f"{name}:")):
        (tmp_path / str(number)).mkdir()
        VARIANTS[variant](tmp_path / str(number))
        found.append(all_images(files_of(tmp_path / str(number))))
    assert all(images == found[0] for images in found)
    assert max(Counter(found[0].values()).values()) == 1


@pytest.mark.parametrize("name", [*FILE_CARDS, "dermamnist"])
def test_same_seed_gives_the_same_files(name: str, tmp_path: Path) -> None:
    one, same, other = (files_of(write_miniature(name, tmp_path / str(n), seed)) for n, seed in enumerate((1, 1, 2)))
    assert one.keys() == other.keys()
    assert one == same != other


def test_pad_ufes_20_has_the_columns_of_the_original(tmp_path: Path) -> None:
    with (write_miniature("pad_ufes_20", tmp_path) / "metadata.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows[0]) == 26
    assert all(None not in row and row["img_id"].startswith(f"{row['patient_id']}_{row['lesion_id']}_") for row in rows)


def test_fetal_us_has_the_blanks_of_the_original(tmp_path: Path) -> None:
    table = write_miniature("fetal_us", tmp_path) / "FETAL_PLANES_ZENODO" / "FETAL_PLANES_DB_data.csv"
    header, first, *_ = table.read_text(encoding="utf-8").splitlines()
    assert header == "Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train "
    assert first == "Patient00001_Plane1_1_of_1;1;Fetal abdomen;Not A Brain;Op. 2;Voluson E6;1 "


@pytest.mark.parametrize("flag", FLAGS)
def test_npz_has_the_arrays_of_the_original(flag: str, tmp_path: Path) -> None:
    card = miniature_card(flag)
    with np.load(write_miniature(flag, tmp_path) / f"{flag}.npz") as arrays:
        for split in ("train", "val", "test"):
            images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
            shape = (28,) * card.spatial_dims + ((3,) if card.channels == 3 else ())
            assert (images.dtype, images.shape) == (np.uint8, (len(labels), *shape))
            assert (labels.dtype, labels.shape[1]) == (np.uint8, 14 if flag == "chestmnist" else 1)
        assert len(arrays.files) == 6


def test_ids_are_those_of_the_official_tables() -> None:
    assert image_ids("organsmnist", "train")[7] == "train-0-8-sagittal-027"
    assert image_ids("chestmnist", "train")[1] == "00000013_001.png"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from medmamba_monai.cards import DatasetCard, format_card_schema, load_card
from medmamba_monai.core.errors import UserError
from tests.helpers.small_data import small_card

LISTS = Path(__file__).resolve().parents[2] / "data_lists"
PATCHES = {"kind": "patches", "labels": {"kind": "folders"}}
CARDS = sorted(LISTS.glob("*/card.json"))


def write_card(folder: Path, **changes: Any) -> Path:
    content = json.loads((LISTS / "pneumoniamnist" / "card.json").read_text(encoding="utf-8")) | changes
    path = folder / "card.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_schema_file_is_the_generated_one() -> None:
    # After a change: make bundles
    assert (LISTS / "card.schema.json").read_text(encoding="utf-8") == format_card_schema()


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_committed_cards_are_valid_and_named_as_their_folder(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), json.loads(format_card_schema()))
    assert load_card(path).name == path.parent.name


def test_pneumoniamnist_says_what_is_published() -> None:
    card = load_card(LISTS / "pneumoniamnist" / "card.json")
    assert card.class_names == ("normal", "pneumonia")
    assert card.files[0].md5 == "28209eda62fecd6e6a2d98b1501bb15f"
    assert {split: count.images for split, count in card.expected_counts.items()} == {
        "train": 4708,
        "validation": 524,
        "test": 624,
    }
    assert card.official_test


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": 2}, "channels"),
        ({"channels": "gray"}, "'gray'"),
        ({"modality": None}, "modality"),
        ({"tasks": "binary"}, "tasks"),
        ({"task": "multi-class"}, "two classes are 'binary'"),
        ({"name": "Pneumonia MNIST"}, "Pneumonia MNIST"),
        ({"layout": {"kind": "zip"}}, "layout"),
        ({"layout": {"kind": "folders", "split_folders": {"test": "test"}}}, "needs 'train'"),
        ({"files": []}, "at least one file"),
        ({"layout": PATCHES}, "patches are of gray volumes"),
        ({"layout": PATCHES, "spatial_dims": 3, "reading": {"intensity_range": "image"}}, "a range of its own"),
        ({"layout": PATCHES, "spatial_dims": 3, "reading": {"field_of_view": 90}}, "read without field_of_view"),
        ({"layout": PATCHES, "spatial_dims": 3, "flips": "all"}, "patches of volumes are not mirrored"),
        ({"title": "$__import__('os')"}, "must not begin with $, @ or %"),
        ({"modality": "@epochs"}, "must not begin with $, @ or %"),
        ({"how_to_obtain": "%other"}, "must not begin with $, @ or %"),
        ({"classes": [{"name": "a", "display_name": "$1"}, {"name": "b", "display_name": "b"}]}, "display_name"),
        ({"reading": {"window": [40, -5]}}, "the width must be above 0"),
        ({"reading": {"window": [40, 400], "intensity_range": [0, 1]}}, "choose one"),
        ({"reading": {"background": [999, 0, 0]}}, "must be 0 to 255"),
        ({"files": [{"path": "../../etc/passwd"}]}, "'../../etc/passwd'"),
        ({"files": [{"path": "a.npz", "md5": "abc"}]}, "files.0.md5"),
        ({"files": [{"path": "a.npz", "url": "file:///etc/passwd"}]}, "file:///etc/passwd"),
        ({"expected_counts": {"train": {"images": 3, "classes": {"normal": 1, "pneumonia": 1}}}}, "add up to 2"),
        ({"expected_counts": {"train": {"images": 1, "classes": {"normal": 1}}}}, "must name"),
        ({"expected_counts": {"all": {"images": 1}, "test": {"images": 1}}}, "not both"),
        ({"published_results": [{"model": "m", "accuracy": 91.2, "auc": 0.9, "source": "s"}]}, "91.2"),
    ],
)
def test_wrong_card_is_an_error_that_names_file_and_value(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = write_card(tmp_path, **changes)
    with pytest.raises(UserError) as caught:
        load_card(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="names and aliases must differ"):
        small_card(classes=[{"name": "cat", "display_name": "1"}, {"name": "cat", "display_name": "2"}])


@pytest.mark.parametrize(("text", "said"), [("{", "not JSON"), ("[]", "one JSON object"), ("\xff", "not JSON")])
def test_what_is_no_json_object_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "card.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=said):
        load_card(tmp_path / "card.json")


def test_missing_card_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"card\.json: cannot be read"):
        load_card(tmp_path / "card.json")


def test_card_cannot_be_changed() -> None:
    card: DatasetCard = small_card()
    with pytest.raises(ValueError, match="frozen"):
        card.channels = 3  # type: ignore[misc]

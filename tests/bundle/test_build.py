from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss

from medmamba_monai.bundle import generate_bundle
from medmamba_monai.bundle.__main__ import main
from medmamba_monai.bundle.build import CONFIGS
from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Flag
from medmamba_monai.cross_validation import CrossValidationOptions
from medmamba_monai.data import PrepareOptions
from medmamba_monai.training import InferenceOptions, TrainingOptions
from tests.helpers.small_bundle import ROOT

CARDS = sorted((ROOT / "data_lists").glob("*/card.json"))
KINDS = ("softmax", "sigmoid")
RESULTS = {"output", "models", "eval", "data", "images", "folds.json", "prepare_report.json"}
for_every_card = pytest.mark.parametrize("card", CARDS, ids=[card.parent.name for card in CARDS])


def files_of(bundle: Path) -> set[str]:
    """The files of a bundle, without what its commands write beside them."""
    paths = (path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] not in RESULTS and "mlruns.db" not in path.name}


@for_every_card
def test_committed_bundles_are_what_the_template_makes_of_their_cards(card, tmp_path):
    generate_bundle(card, tmp_path)
    committed = ROOT / "bundles" / card.parent.name
    assert files_of(tmp_path) == files_of(committed)
    different = [
        name for name in files_of(tmp_path) if (tmp_path / name).read_bytes() != (committed / name).read_bytes()
    ]
    assert different == [], "run: make bundles"


def test_a_bundle_is_written_anew_from_its_own_card(tmp_path):
    generate_bundle(ROOT / "data_lists" / "phantom" / "card.json", tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files_of(tmp_path)}
    (tmp_path / "configs" / "train.json").write_text("edited")
    generate_bundle(tmp_path / "configs" / "card.json", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files_of(tmp_path)} == before


@for_every_card
def test_no_placeholder_is_left_in_the_documents(card, tmp_path):
    left = [path.name for path in generate_bundle(card, tmp_path) if re.search(r"\{\{|\}\}", path.read_text())]
    assert [name for name in left if not name.endswith(".json")] == []


def test_configs_are_the_same_bytes_in_every_bundle():
    names = {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*") if path.is_file()}
    for card in CARDS:
        bundle = ROOT / "bundles" / card.parent.name / "configs"
        found = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
        assert found == names | {"card.json", "metadata.json"}
        different = [name for name in names if (bundle / name).read_bytes() != (CONFIGS / name).read_bytes()]
        assert different == [], f"{card.parent.name}: run make bundles"
        assert (bundle / "card.json").read_bytes() == card.read_bytes()


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from strings(item)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.json")), ids=lambda path: path.stem)
def test_configs_name_things_and_hold_no_long_logic(path):
    texts = list(strings(json.loads(path.read_text())))
    assert [text for text in texts if re.search(r"(#|::)\d+\b", text)] == []
    assert [text for text in texts if len(text) > 100] == []
    assert [text for text in texts if "{{" in text] == []


def test_bundles_are_marked_as_generated():
    attributes = subprocess.run(
        ["git", "check-attr", "linguist-generated", "bundles/phantom/configs/train.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert attributes.stdout.strip().endswith(": true") or attributes.stdout.strip().endswith(": set")


def test_every_bundle_has_a_card():
    assert {path.name for path in (ROOT / "bundles").iterdir()} == {card.parent.name for card in CARDS}


@for_every_card
def test_a_config_reads_what_differs_from_card_and_metadata(card, tmp_path):
    generate_bundle(card, tmp_path)
    parser, dataset = parsed(tmp_path, "train", "evaluate"), load_card(card)
    options = parser.get_parsed_content("options")
    assert (options.image_size, options.experiment_name) == (dataset.image_size, dataset.title)
    assert parser.get_parsed_content("spatial_dims") == dataset.spatial_dims
    assert parser.get_parsed_content("num_classes") == dataset.num_classes
    assert parser.get_parsed_content("class_names") == list(dataset.display_names)
    assert parser.get_parsed_content("reading") == dataset.reading_arguments()
    labels = [type(step).__name__ for step in parser.get_parsed_content("train#preprocessing").transforms]
    several = dataset.task == "multi-label"
    assert labels == ["ConvertImaged", *(["EnsureTyped"] if several else [])]
    assert isinstance(parser.get_parsed_content("loss"), BCEWithLogitsLoss if several else CrossEntropyLoss)
    softmax, sigmoid = (getattr(parser.get_parsed_content("validate#postprocessing").transforms[1], n) for n in KINDS)
    assert (tuple(softmax), tuple(sigmoid)) == ((not several,), (several,))
    metric = parser.get_parsed_content("validate#key_metric")["val_auc"].metric_fn
    assert metric.task == dataset.task


def parsed(bundle: Path, *names: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in names])
    parser.read_meta(str(bundle / "configs" / "metadata.json"))
    parser["bundle_root"] = str(bundle)
    return parser


def test_every_option_of_a_training_can_be_given_to_a_cross_validation():
    config = json.loads((CONFIGS / "cross_validation.json").read_text())
    passed_on = config["training_options"]
    train = json.loads((CONFIGS / "train.json").read_text())
    assert passed_on == {name: f"@{name}" for name in passed_on}
    assert {name: config[name] for name in passed_on} == dict.fromkeys(passed_on)
    chosen = {*TrainingOptions.names(Flag.PER_FOLD), "run_name"}
    assert set(passed_on) == set(TrainingOptions.model_fields) - chosen
    assert set(passed_on) <= set(train)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("train", TrainingOptions),
        ("inference", InferenceOptions),
        ("data", PrepareOptions),
        ("cross_validation", CrossValidationOptions),
    ],
)
def test_options_of_a_config_are_the_rows_of_its_table(name, table):
    config = json.loads((CONFIGS / f"{name}.json").read_text())
    listed = {key: value for key, value in config["options"].items() if key != "_target_"}
    assert listed == {row: f"@{row}" for row in table.model_fields}
    assert set(listed) <= set(config)


def test_generating_again_replaces_what_was_changed(tmp_path):
    card = ROOT / "data_lists" / "phantom" / "card.json"
    first = {path: path.read_bytes() for path in generate_bundle(card, tmp_path)}
    (tmp_path / "configs" / "train.json").write_text("{}")
    assert {path: path.read_bytes() for path in generate_bundle(card, tmp_path)} == first


def test_a_card_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match=r"card\.json: cannot be read"):
        generate_bundle(tmp_path / "card.json", tmp_path / "bundle")


def test_the_command_generates_the_bundles_it_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "data_lists").symlink_to(ROOT / "data_lists")
    monkeypatch.chdir(tmp_path)
    assert main(["phantom"]) == 0
    assert capsys.readouterr().out == "bundles/phantom: 20 files\n"
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["phantom"]


def test_a_bundle_without_a_card_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no data_lists/no_such/card\.json; run in the repository's root"):
        main(["no_such"])


@pytest.mark.parametrize("title", ["Crohn's disease", 'the "new" scans', "MR @3T, 5 $ each", "100 % {braces}"])
def test_a_title_may_hold_what_expressions_are_made_of(tmp_path, title):
    card = json.loads((ROOT / "data_lists" / "phantom" / "card.json").read_text()) | {"title": title}
    (tmp_path / "card.json").write_text(json.dumps(card))
    generate_bundle(tmp_path / "card.json", tmp_path / "bundle")
    parser = parsed(tmp_path / "bundle", "train", "evaluate")
    assert parser.get_parsed_content("figure_title") == f"{title}, fold 0"
    assert parser.get_parsed_content("experiment_name") == title

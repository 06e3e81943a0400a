from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from medmamba_monai.bundle import generate_bundle
from medmamba_monai.bundle.__main__ import main
from medmamba_monai.core.errors import UserError
from tests.helpers.small_bundle import ROOT

CARDS = sorted((ROOT / "data_lists").glob("*/card.json"))
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


@for_every_card
def test_no_placeholder_is_left(card, tmp_path):
    left = [path.name for path in generate_bundle(card, tmp_path) if re.search(r"\{\{|\}\}", path.read_text())]
    assert [name for name in left if not name.endswith(".json")] == []
    texts = (path.read_text() for path in tmp_path.rglob("*.json"))
    assert [text for text in texts if re.search(r"\{\{[\w.]+\}\}", text)] == []


def test_every_bundle_has_a_card():
    assert {path.name for path in (ROOT / "bundles").iterdir()} == {card.parent.name for card in CARDS}


def test_values_keep_their_types(tmp_path):
    generate_bundle(ROOT / "data_lists" / "phantom" / "card.json", tmp_path)
    train = json.loads((tmp_path / "configs" / "train.json").read_text())
    assert train["network_def"]["spatial_dims"] == 2
    assert train["image_size"] == 64
    assert train["experiment_name"] == "Phantom"


def test_every_parameter_of_a_training_can_be_given_to_a_cross_validation(tmp_path):
    generate_bundle(ROOT / "data_lists" / "phantom" / "card.json", tmp_path)
    config = json.loads((tmp_path / "configs" / "cross_validation.json").read_text())
    passed_on = config["cross_validation_workflow"]["parameters"]
    train = json.loads((tmp_path / "configs" / "train.json").read_text())
    assert passed_on == {name: f"@{name}" for name in passed_on}
    assert set(passed_on) <= set(config) & set(train)


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
    assert capsys.readouterr().out == "bundles/phantom: 17 files\n"
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
    parser = ConfigParser()
    parser.read_config([str(tmp_path / "bundle" / "configs" / f"{name}.json") for name in ("train", "evaluate")])
    parser.read_meta(str(tmp_path / "bundle" / "configs" / "metadata.json"))
    parser["validate#handlers"][1]["_target_"] = "builtins.dict"
    parser["validate#handlers"][1]["run"] = None
    assert parser.get_parsed_content("validate#handlers#1")["title"] == f"{title}, fold 0"
    assert parser.get_parsed_content("experiment_name") == title

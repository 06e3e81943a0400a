"""The model card: valid metadata of Hugging Face, the run's figures, and what is known to be wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import ModelCard as HubCard
from huggingface_hub import ModelCardData

from medmamba_monai.cards import load_card
from medmamba_monai.data import ShortcutAudit, read_audit_beside
from medmamba_monai.evaluation import METRICS, read_result
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.package.manifest import read_manifest
from medmamba_monai.package.model_card import ModelCard
from medmamba_monai.package.write import MODEL_CARD


@pytest.fixture(scope="module")
def result(cross_validated: Path):
    return read_result(cross_validated / "output")


@pytest.fixture(scope="module")
def card(packed: Path, result) -> ModelCard:
    return ModelCard(read_manifest(packed), load_card(packed / "card.json"), result)


@pytest.fixture(scope="module")
def written(packed: Path) -> dict:
    return json.loads((packed / MODEL_CARD).read_text(encoding="utf-8"))


def test_the_metadata_are_those_of_hugging_face(packed, written):
    index = {key: value for key, value in written.items() if key not in list_template_variables()}
    parsed = ModelCardData(**index)
    page = HubCard((packed / "README.md").read_text(encoding="utf-8"), ignore_metadata_errors=False)
    assert page.data.eval_results == parsed.eval_results
    assert parsed.eval_results
    known = {"license", "license_name", "license_link", "library_name", "pipeline_tag", "tags", "model-index"}
    assert index.keys() <= known
    metric_keys = {key for one in written["model-index"][0]["results"] for metric in one["metrics"] for key in metric}
    assert metric_keys == {"type", "name", "value"}


def list_template_variables() -> set[str]:
    """The variables of Hugging Face's template, which the metadata's ``license`` is one of."""
    template = resources.files(huggingface_hub).joinpath("templates/modelcard_template.md").read_text(encoding="utf-8")
    return set(re.findall(r"\{\{\s*(\w+)", template)) - {"license"}


def test_figures_are_those_of_the_run_with_their_intervals(written, result):
    whole, *classes = written["model-index"][0]["results"]
    found = {(one["type"], one["name"]): one["value"] for one in whole["metrics"]}
    assert {kind for kind, _ in found} == set(METRICS)
    assert found[("auc", "AUC")] == result.metrics["auc"]
    interval = result.intervals.metrics["auc"]
    assert isinstance(interval, Interval)
    ends = [found[("auc", f"AUC, {end} end of the 95 % interval")] for end in ("lower", "upper")]
    assert ends == [interval.low, interval.high]
    assert [one["dataset"]["args"] for one in classes] == [{"class": name} for name in result.class_names]
    recalls = [one["value"] for part in classes for one in part["metrics"] if one["type"] == "sensitivity"]
    assert result.class_metrics["sensitivity"][0] in recalls


def test_sections_say_the_same_in_both_files(packed, written, card):
    page = (packed / "README.md").read_text(encoding="utf-8")
    for key in ("direct_use", "bias_risks_limitations", "testing_factors"):
        assert written[key]
        assert all(line in page for line in written[key].splitlines()), key
    assert "Subgroups, such as sex, age, scanner or site" in page
    assert f"| {card.manifest.class_names[0]} | " in page


def test_folds_that_did_not_finish_and_shortcuts_are_known_problems(card):
    finding = {"what": "class", "name": "nodule", "auc": 0.9, "low": 0.8, "high": 0.95, "p_value": 1e-9, "carriers": []}
    audit = ShortcutAudit.model_validate({"images": 9, "images_in_all": 9, "facts": [], "findings": [finding]})
    problems = replace(card, missing=[1], audit=audit).list_problems()
    assert "The folds [1] of 2 did not finish." in problems
    assert any(text.startswith("Shortcut: ") and "nodule" in text for text in problems)
    assert any("not audited" in text for text in card.list_untested())
    assert not any("not audited" in text for text in replace(card, audit=audit).list_untested())


def test_an_audit_of_other_folds_is_none(small_bundle):
    digest = json.loads(small_bundle.data_list.with_name("prepare_report.json").read_text())["digest"]
    assert read_audit_beside(small_bundle.data_list, digest) is not None
    assert read_audit_beside(small_bundle.data_list, "0" * 64) is None


def test_a_value_that_is_none_is_left_out(card, result):
    worse = replace(result)
    worse.__dict__["metrics"] = {**result.metrics, "auc": float("nan")}
    metrics = replace(card, result=worse).describe_metadata()["model-index"][0]["results"][0]["metrics"]
    assert {one["type"] for one in metrics} == set(METRICS) - {"auc"}

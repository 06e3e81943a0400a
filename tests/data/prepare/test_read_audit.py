from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medmamba_monai.data import FoldList, describe_shortcuts, prepare_dataset, read_audit
from medmamba_monai.data.prepare.report import describe_report
from tests.helpers.small_data import folder_card


@pytest.fixture(scope="module")
def two_sources(tmp_path_factory: pytest.TempPathFactory) -> FoldList:
    """Noise of two classes: one JPEG in RGB of many sizes, one PNG in gray of one size."""
    folder, generator = tmp_path_factory.mktemp("two_sources"), np.random.default_rng(0)
    for number in range(20):
        for name, suffix, shape in (("cat", "png", (16, 16)), ("dog", "jpg", (*generator.integers(10, 30, 2), 3))):
            path = folder / "images" / name / f"{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, shape, np.uint8)).save(path)
    return prepare_dataset(folder_card(channels=3), folder / "images", folder / "folds.json", num_folds=2)


def test_two_sources_are_told(two_sources: FoldList) -> None:
    audit = read_audit(two_sources)
    assert audit is not None
    assert {"format", "mode", "size", "aspect"} <= set(audit.facts)
    assert {"format", "mode"} <= {carrier.fact for carrier in audit.warnings[0].carriers}
    assert describe_shortcuts(two_sources).startswith("format alone tells class Dog: AUC 1.00 (0.")


def test_they_are_told_in_the_terminal_too(two_sources: FoldList) -> None:
    report = json.loads(two_sources.path.with_name("prepare_report.json").read_text())
    assert "\nwarning: format alone tells class Dog: AUC 1.00 (0." in describe_report(folder_card(), report)


def test_the_audit_of_other_folds_is_none(two_sources: FoldList, tmp_path: Path) -> None:
    assert read_audit(two_sources.model_copy(update={"digest": "0" * 64})) is None
    assert read_audit(two_sources.model_copy(update={"path": tmp_path / "folds.json"})) is None


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"digest": "DIGEST"}', '{"digest": "DIGEST", "shortcuts": {"images": 1}}']
)
def test_a_report_without_an_audit_has_none(two_sources: FoldList, tmp_path: Path, content: str) -> None:
    (tmp_path / "prepare_report.json").write_text(content.replace("DIGEST", two_sources.digest))
    assert read_audit(two_sources.model_copy(update={"path": tmp_path / "folds.json"})) is None

"""What the report of a search says of its choice, and where it lays the winner."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medmamba_monai.auto.choose import Choice
from medmamba_monai.auto.report import _tell_comparison, _tell_standing, write_answer
from medmamba_monai.auto.report_race import tell_cost
from medmamba_monai.auto.standings import Score
from medmamba_monai.evaluation.reports.published import Published
from medmamba_monai.evaluation.statistics.resampling import Interval

SCORES = {"a": Score(auc=0.9, log_loss=0.3), "b": Score(auc=0.8, log_loss=0.4)}


def make_choice(**values: Any) -> Choice:
    known = {"corrected": 0.89, "low": 0.85, "high": 0.93, "optimism": 0.01, "shares": {"a": 1.0, "b": 0.0}}
    drawn = {"level": 0.95, "resamples": 2000, "units": "groups", "num_units": 30, "seconds": 60.0}
    return Choice(**{"winner": "a", "folds": (0, 1), "images": 80, "scores": SCORES, **known, **drawn, **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "0.8900 (95% interval 0.8500 to 0.9300). Choosing among 2 finalists was worth +0.0100 of optimism."),
        ({"left_out": 300, "low": None}, "repeated on 1700 resamples of 30 groups"),
        ({"left_out": 300, "low": None}, "0.8900 (no interval: too few"),
        ({"left_out": 300, "low": None}, "300 of 2000 resamples could not be used, as a class was absent."),
        ({"corrected": None, "optimism": None, "low": None, "left_out": 2000}, "not known, as no resample could be"),
        ({"scores": {"a": SCORES["a"]}}, "One finalist was left, so that the last choice cost nothing."),
    ],
)
def test_the_cost_of_choosing_is_said_as_far_as_it_is_known(values: dict[str, Any], said: str) -> None:
    paragraph = tell_cost(make_choice(**values)).paragraphs[0]
    assert said in paragraph
    assert ("of optimism" in paragraph) == (values.get("optimism", 0.01) is not None and "scores" not in values)


def test_the_winner_stands_among_published_results(tmp_path: Path) -> None:
    intervals = {"auc": Interval(0.94, 0.98), "accuracy": Interval(0.85, 0.90)}
    result = SimpleNamespace(metrics={"auc": 0.96, "accuracy": 0.88}, intervals=SimpleNamespace(metrics=intervals))
    published = [Published("ResNet-18", 0.854, 0.944, "a paper"), Published("MedMamba-X", 0.873, 0.993, "another")]
    found: Any = SimpleNamespace(choice=make_choice(), result=result, published=published, winner=tmp_path)
    (section,) = _tell_standing(found)
    assert [row[0] for row in section.tables[0].rows] == ["MedMamba-X [1]", "a", "ResNet-18 [2]"]
    assert (section.tables[0].rows[0][2], list(section.pictures)) == ("above", [])
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "published.png").touch()
    assert [picture.path.name for picture in _tell_standing(found)[0].pictures] == ["published.png"]
    found.published = []
    assert _tell_standing(found) == []


def test_a_baseline_that_failed_is_not_said_to_have_had_no_time() -> None:
    record = SimpleNamespace(failures={"broken": "broken, fold 0: exit code 1"})
    found: Any = SimpleNamespace(comparison=None, commands={"broken": "one", "late": "two"}, record=record)
    broken, late = _tell_comparison(found).paragraphs
    assert broken.startswith("broken could not be trained, see above.")
    assert late.startswith("There was no time for late yet.")


def test_an_answer_without_an_interval_says_why() -> None:
    few = "4 independent units are too few to resample: 10 are needed"
    values = {"auc": 0.75, "accuracy": 75.0}
    result = SimpleNamespace(folds=[0], metrics=values, intervals=SimpleNamespace(metrics=dict.fromkeys(values, few)))
    found: Any = SimpleNamespace(choice=SimpleNamespace(winner="small"), result=result, tested_on="held-out images")
    assert write_answer(found).startswith(f"small, one model: AUC 0.7500 (no interval: {few}), accuracy ")
    assert write_answer(found).endswith(" on the held-out images.")
    result.intervals.metrics["auc"] = Interval(low=0.7, high=0.8)
    assert write_answer(found).startswith("small, one model: AUC 0.7500 (0.7000 to 0.8000), accuracy ")
    assert write_answer(found).endswith("; 95 % intervals.")

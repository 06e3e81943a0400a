"""Who wins by a criterion, and when that is said to be shown."""

from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.explanations.report import summarize
from medmamba_monai.explanations.verdicts import Verdict, judge_methods

DRAWN = np.random.default_rng(0)
BASE = DRAWN.normal(0.5, 0.1, 60)


def judge(criterion: str, groups: list[str] | None = None, **values: np.ndarray) -> Verdict:
    return judge_methods(criterion, values, groups, 500, 0)


def test_the_best_is_the_highest_or_the_lowest_as_the_criterion_says() -> None:
    values = {"grad_cam": BASE + 0.2 + DRAWN.normal(0, 0.01, 60), "edges": BASE}
    assert judge("insertion", **values).best.method == "grad_cam"
    assert judge("deletion", **values).best.method == "edges"


def test_a_clear_difference_is_shown_and_the_winner_named_whoever_it_is() -> None:
    found = judge(
        "insertion",
        grad_cam=BASE + DRAWN.normal(0.2, 0.01, 60),
        scan_relevance=BASE,
        edges=BASE - DRAWN.normal(0.1, 0.01, 60),
    )
    assert [standing.is_shown_behind for standing in found.standings] == [False, True, True]
    said = summarize(found)
    assert said.startswith("Insertion: Grad-CAM has the highest mean, 0.")
    assert said.endswith("It is shown to be better than each of the others.")


def test_what_is_not_shown_is_said() -> None:
    noise = DRAWN.normal(0, 0.2, 60)
    values = {"grad_cam": BASE + noise - noise.mean(), "edges": BASE + 0.3 + noise}
    found = judge("deletion", scan_relevance=BASE - 0.001, **values)
    assert found.best.method == "scan_relevance"
    assert "It is not shown to be better than Grad-CAM; it is shown to be better than Edges (floor)." in summarize(
        found
    )


def test_whole_groups_are_drawn() -> None:
    groups = [str(number // 6) for number in range(60)]
    shared = np.repeat(DRAWN.normal(0.1, 0.1, 10), 6)
    widths = []
    for given in (None, groups):
        behind = judge("insertion", given, grad_cam=BASE + shared, edges=BASE).standings[1].behind
        assert isinstance(behind, Interval)
        widths.append(behind.high - behind.low)
    assert widths[1] > 1.5 * widths[0]


def test_a_method_alone_has_nobody_to_be_compared_with() -> None:
    found = judge("pointing", scan_relevance=np.ones(60))
    assert found.best.interval == "it is 1 in all resamples: resampling cannot show its uncertainty"
    assert summarize(found) == "Pointing game: Scan relevance has the highest mean, 1.000 (no interval)."


def test_few_images_show_nothing() -> None:
    found = judge("insertion", grad_cam=np.ones(4), edges=np.zeros(4))
    assert not found.standings[1].is_shown_behind
    assert "not shown to be better than Edges" in summarize(found)


@pytest.mark.parametrize("criterion", ["deletion", "insertion"])
def test_differences_are_of_the_best_against_each(criterion: str) -> None:
    found = judge(criterion, grad_cam=BASE, edges=BASE + DRAWN.normal(0.3, 0.05, 60))
    behind = found.standings[1].behind
    assert isinstance(behind, Interval)
    assert behind.low < 0.3 < behind.high

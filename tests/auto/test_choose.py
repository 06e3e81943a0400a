"""The choice of the winner: by validation alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.auto.choose import choose_winner, read_choice, read_out_of_fold, score_predictions
from medmamba_monai.auto.standings import Score, rank_scores
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import Predictions, write_predictions

FOLDS = (0, 1, 2)


def write_folds(folder: Path, separation: float, seed: int) -> RunFolder:
    """Predictions of three folds, whose validation parts are the folds and whose test part is the same."""
    generator = np.random.default_rng(seed)
    for fold in FOLDS:
        labels = np.arange(60) % 2
        scores = 1 / (1 + np.exp(-generator.normal(size=60) - separation * (labels - 0.5)))
        found = Predictions(
            scores,
            labels,
            "binary",
            ids=[f"f{fold}_{row}" if row < 40 else f"t_{row}" for row in range(60)],
            parts=["validation"] * 40 + ["test"] * 20,
        )
        write_predictions(RunFolder(folder).fold(fold).predictions, found)
    return RunFolder(folder)


@pytest.fixture
def finalists(tmp_path):
    made = {}
    for number, (name, separation) in enumerate({"poor": 0.5, "good": 2.0, "fair": 1.5}.items()):
        for fold in FOLDS:
            (tmp_path / name / f"fold_{fold}").mkdir(parents=True)
        made[name] = write_folds(tmp_path / name, separation, number)
    return made


def choose(finalists):
    read = {name: read_out_of_fold(folder, FOLDS, "binary", ("no", "yes")) for name, folder in finalists.items()}
    return choose_winner(read, FOLDS, seconds=60.0, resamples=200)


def test_the_best_out_of_fold_auc_wins_and_the_choice_says_what_it_cost(finalists, tmp_path):
    choice = choose(finalists)
    assert (choice.winner, choice.folds, choice.images) == ("good", FOLDS, 120)
    assert choice.scores["good"].auc == max(score.auc for score in choice.scores.values())
    assert choice.low < choice.corrected < choice.high
    assert choice.optimism == pytest.approx(choice.scores["good"].auc - choice.corrected)
    assert choice.shares["good"] > choice.shares["poor"]
    choice.write(tmp_path)
    assert read_choice(tmp_path) == choice


@pytest.mark.parametrize("how", ["reversed", "unreadable", "absent"])
def test_the_choice_stays_whatever_the_test_predictions_are(finalists, how):
    before = choose(finalists)
    for folder in finalists.values():
        for fold in FOLDS:
            path = folder.fold(fold).predictions
            head, *rows = path.read_text().splitlines()
            test = [row for row in rows if ",test," in row]
            changed = {
                "reversed": [",".join([*row.split(",")[:3], "0", "1.0", "0.0"]) for row in test],
                "unreadable": [row.rpartition(",")[0] + ",nonsense" for row in test],
                "absent": [],
            }[how]
            path.write_text("\n".join([head, *(row for row in rows if ",validation," in row), *changed]) + "\n")
    assert choose(finalists) == before


def test_a_search_without_a_choice_has_none(tmp_path):
    assert read_choice(tmp_path) is None
    shutil.rmtree(tmp_path)
    assert read_choice(tmp_path) is None


def test_a_saturated_auc_is_a_tie_that_the_log_loss_breaks():
    scores = {
        "first": Score(auc=0.99996, log_loss=0.2),
        "second": Score(auc=0.99999, log_loss=0.1),
        "third": Score(auc=0.99, log_loss=0.01),
    }
    assert rank_scores(scores) == ["second", "first", "third"]
    equal = {"b": Score(auc=0.9, log_loss=0.3), "a": Score(auc=0.9, log_loss=0.3)}
    assert rank_scores(equal) == ["b", "a"]


def test_a_score_is_that_of_the_predictions():
    found = Predictions([0.1, 0.9], [0, 1], "binary", ids=["a", "b"], parts=["validation"] * 2)
    score = score_predictions(found)
    assert (score.auc, score.log_loss) == (1.0, pytest.approx(-np.log(0.9)))

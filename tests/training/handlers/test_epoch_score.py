from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation import Scores, compute_metrics
from medmamba_monai.training import EpochScore
from medmamba_monai.training.handlers.epoch_score import probabilities_and_labels
from tests.helpers.warm_commands import run_processes

LABELS = np.array([0, 0, 1, 2, 1, 2, 0, 1, 2, 2, 0])
PROBABILITIES = torch.softmax(torch.randn(len(LABELS), 3, generator=torch.Generator().manual_seed(0)), dim=1)


def score_of(metric, sizes: tuple[int, ...], probabilities: torch.Tensor = PROBABILITIES) -> float:
    """Feed an evaluator batches of these sizes, decollated as MONAI does it: labels as numbers or as tensors."""
    samples = [
        {"pred": row, "label": int(label) if label else torch.tensor(0)}
        for row, label in zip(probabilities, LABELS, strict=True)
    ]
    starts = np.cumsum([0, *sizes])
    batches = [samples[start : start + size] for start, size in zip(starts, sizes, strict=False)]
    engine = Engine(lambda engine, batch: batch)
    EpochScore(metric).attach(engine, "score")
    return float(engine.run(batches, max_epochs=2).metrics["score"])


@pytest.mark.parametrize("sizes", [(11,), (4, 4, 3), (1, 9, 1), (1,) * 11])
def test_the_score_is_that_of_all_samples_however_they_are_batched(sizes):
    expected = roc_auc_score(LABELS, PROBABILITIES.double().numpy(), multi_class="ovr")
    assert score_of("auc", sizes) == pytest.approx(expected, abs=1e-12)


def test_accuracy_and_macro_f1_agree_with_scikit_learn():
    predicted = PROBABILITIES.argmax(dim=1).numpy()
    assert score_of("accuracy", (4, 4, 3)) == pytest.approx(accuracy_score(LABELS, predicted), abs=1e-12)
    assert score_of("f1", (4, 4, 3)) == pytest.approx(f1_score(LABELS, predicted, average="macro"), abs=1e-12)


def test_nan_is_an_error_and_no_score():
    broken = PROBABILITIES.clone()
    broken[3, 0] = float("nan")
    with pytest.raises(UserError, match="NaN or infinity in 1 samples"):
        score_of("auc", (4, 4, 3), broken)


def test_numbers_and_tensors_become_one_array_of_labels():
    output = [
        {"pred": torch.tensor([0.2, 0.8]), "label": 1},
        {"pred": torch.tensor([0.6, 0.4]), "label": torch.tensor(0)},
    ]
    probabilities, labels = probabilities_and_labels(output)
    assert probabilities.shape == (2, 2)
    assert labels.tolist() == [1, 0]


MANY = (np.random.default_rng(0).random((11, 3)) < 0.5).astype(int)
MANY_SCORES = torch.sigmoid(torch.randn(11, 3, generator=torch.Generator().manual_seed(2)))


def several_labels(rows: slice) -> list[dict[str, torch.Tensor]]:
    """Samples with three labels each, decollated: floats, as the loss needs them."""
    return [{"pred": p, "label": torch.tensor(y).float()} for p, y in zip(MANY_SCORES[rows], MANY[rows], strict=True)]


def test_several_labels_stay_rows_in_batches_of_one_too():
    engine = Engine(lambda engine, batch: batch)
    EpochScore("auc", "multi-label").attach(engine, "auc")
    found = engine.run([several_labels(slice(0, 1)), several_labels(slice(1, 10)), several_labels(slice(10, 11))])
    expected = roc_auc_score(MANY, MANY_SCORES.double().numpy(), average="macro")
    assert found.metrics["auc"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_several_labels_are_gathered_over_processes_of_unequal_share(tmp_path):
    run_processes(_score, f"file://{tmp_path}/rendezvous", str(tmp_path), number=2)
    expected = roc_auc_score(MANY, MANY_SCORES.double().numpy(), average="macro")
    for rank in (0, 1):
        assert float((tmp_path / f"{rank}.txt").read_text()) == pytest.approx(expected, abs=1e-12)


def _score(rank: int, rendezvous: str, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    engine = Engine(lambda engine, batch: batch)
    EpochScore("auc", "multi-label").attach(engine, "auc")
    rows = [slice(0, 4), slice(4, 6)] if rank == 0 else [slice(6, 8), slice(8, 11)]
    found = engine.run([several_labels(part) for part in rows]).metrics["auc"]
    Path(folder, f"{rank}.txt").write_text(repr(float(found)))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["auc", "accuracy", "log_loss"])
def test_a_metric_is_found_by_its_name(name):
    scores = Scores(PROBABILITIES.double().numpy(), LABELS, "multi-class")
    assert score_of(name, (4, 4, 3)) == compute_metrics(scores)[name]


def test_any_function_of_scores_will_do():
    assert score_of(lambda scores: float(np.mean(scores.predicted == 2)), (4, 7)) == pytest.approx(
        float((PROBABILITIES.argmax(dim=1) == 2).double().mean())
    )


def test_a_metric_that_a_task_does_not_have_is_refused_before_the_first_epoch():
    with pytest.raises(UserError, match="a multi-label task has no metric 'kappa': choose one of accuracy, "):
        EpochScore("kappa", "multi-label")
    with pytest.raises(UserError, match="unknown task 'regression'"):
        EpochScore("auc", "regression")

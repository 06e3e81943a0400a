"""Both sides of the measurement of batch norms, from one training, and what is written of them."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.batch_norm import batch_norm_part, describe, train
from medmamba_monai import Bundle
from tests.helpers.machine import MACHINE
from tests.helpers.small_bundle import SmallBundle


@pytest.mark.long
@pytest.mark.usefixtures("own_process")
@pytest.mark.parametrize("precise", [False, True])
def test_either_side_is_what_a_training_of_its_own_comes_to(small_bundle: SmallBundle, tmp_path, precise):
    options = small_bundle.options(tmp_path, bundle_root=None, tracking_uri="", epochs=2)
    found = train(small_bundle.root, {**options, "ckpt_dir": str(tmp_path), "precise_batch_norm": True}, "")
    ours = found["precise" if precise else "running"]
    places = {"ckpt_dir": tmp_path / "own", "output_dir": tmp_path / "own"}
    bundle = Bundle(small_bundle.root, **{**options, **places}, precise_batch_norm=precise)
    trained = bundle.train(fold=0)
    assert (ours["epoch"], ours["validation"]) == (trained.best_epoch, pytest.approx(trained.best_metric))
    tested = bundle.evaluate(fold=0).predictions.select("test")
    assert ours["labels"] == tested.labels.tolist()
    assert ours["test"] == pytest.approx(tested.probabilities[:, 1], abs=1e-5)


def made(shift: float) -> dict[str, Any]:
    labels = [0, 1, 0, 1]
    running, precise = [0.2, 0.3, 0.4, 0.6 + shift], [0.2, 0.7, 0.4 - shift, 0.8]
    return {
        side: {"epoch": 1, "validation": 0.5, "test": test, "labels": labels}
        for side, test in (("running", running), ("precise", precise))
    }


def test_the_page_has_a_row_for_each_metric_of_a_case():
    folds = [made(shift) for shift in (0.0, 0.05, 0.1, 0.15, 0.2)]
    found = {"seeds": 1, **describe(folds)}
    expected = roc_auc_score([0, 1, 0, 1], folds[0]["running"]["test"])
    assert [fold["auc"] for fold in found["folds"]["running"]] == [expected] * 5
    assert found["ensembles"]["precise"][0]["accuracy"] == 1
    text = batch_norm_part({"machine": MACHINE, "cases": {"phantom-auto": found}})
    title, _, auc, accuracy, brier, _ = text.splitlines()[2:8]
    assert title.startswith("| phantom, recipe `strongly_augmented`, 8 epochs in batches of 16, 1 seed, 4 test")
    assert auc.split(" | ")[1:4] == ["0.7500 ± 0.0000", "1.0000 ± 0.0000", "+0.2500"]
    assert accuracy.split(" | ")[3] == "+25.00"
    assert float(brier.split(" | ")[3]) < 0

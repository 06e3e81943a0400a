"""Several labels at once through MONAI's own engines: what the bundles' configs put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, decollate_batch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd, EnsureTyped

from medmamba_monai.training import EpochScore, FiniteLoss

FLOAT_LABEL = EnsureTyped("label", dtype=torch.float32, track_meta=False, allow_missing_keys=True)


def items(count: int) -> list[dict[str, Any]]:
    """Vectors of noise, each element raised where its label is 1; labels as the fold list gives them."""
    generator = np.random.default_rng(0)
    labels = (generator.random((count, 3)) < 0.4).astype(np.int64)
    images = torch.tensor(generator.normal(size=(count, 3)) + 3 * labels, dtype=torch.float32)
    return [{"id": f"image-{n}", "image": images[n], "label": labels[n]} for n in range(count)]


def loader(count: int, batch_size: int) -> DataLoader:
    return DataLoader(CacheDataset(items(count), FLOAT_LABEL, progress=False), batch_size=batch_size)


@pytest.mark.parametrize(("count", "batch_size"), [(1, 1), (3, 1), (5, 4), (8, 4)])
def test_labels_are_float_rows_in_every_batch_and_after_it(count, batch_size):
    batches = list(loader(count, batch_size))
    assert [batch["label"].shape for batch in batches][-1] == ((count - 1) % batch_size + 1, 3)
    assert {batch["label"].dtype for batch in batches} == {torch.float32}
    rows = [item["label"] for batch in batches for item in decollate_batch(batch)]
    assert torch.equal(torch.stack(rows), torch.tensor(np.stack([item["label"] for item in items(count)])).float())


def test_an_image_without_a_label_passes():
    assert FLOAT_LABEL({"image": 1}) == {"image": 1}


def test_whole_numbers_stay_what_cross_entropy_takes():
    typed = EnsureTyped("label", dtype=torch.int64, track_meta=False)
    data = [typed({"image": torch.zeros(2), "label": 1})] * 5
    batches = list(DataLoader(data, batch_size=4))
    assert [batch["label"].tolist() for batch in batches] == [[1] * 4, [1]]
    assert torch.nn.CrossEntropyLoss()(torch.zeros(1, 2), batches[1]["label"]) > 0


def test_a_network_learns_several_labels_at_once():
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 3)
    common = {"device": torch.device("cpu"), "network": network, "inferer": SimpleInferer()}
    SupervisedTrainer(
        **common,
        max_epochs=20,
        train_data_loader=loader(65, 8),
        optimizer=torch.optim.Adam(network.parameters(), 0.05),
        loss_function=torch.nn.BCEWithLogitsLoss(),
        train_handlers=[FiniteLoss()],
        decollate=False,
    ).run()
    scores = {name: EpochScore(name, "multi-label") for name in ("auc", "log_loss", "accuracy")}
    evaluator = SupervisedEvaluator(
        **common,
        val_data_loader=loader(65, 8),
        postprocessing=Activationsd("pred", sigmoid=True),
        key_val_metric={"auc": scores.pop("auc")},
        additional_metrics=scores,
    )
    evaluator.run()
    data = items(65)
    with torch.no_grad():
        logits = network(torch.stack([item["image"] for item in data]))
    labels = torch.tensor(np.stack([item["label"] for item in data])).float()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    assert evaluator.state.metrics["auc"] > 0.95
    assert evaluator.state.metrics["log_loss"] == pytest.approx(loss.item(), abs=1e-6)
    assert evaluator.state.metrics["accuracy"] == pytest.approx(((logits > 0) == labels.bool()).float().mean().item())

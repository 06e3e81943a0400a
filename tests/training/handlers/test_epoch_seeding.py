from __future__ import annotations

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine

from medmamba_monai.data import BatchLoader, TransformedDataset
from medmamba_monai.images import RandomShiftIntensityd
from medmamba_monai.training import EpochSeeding


def see_epochs(epochs: int, seed: int = 0, fold: int = 0) -> list[torch.Tensor]:
    """Return the images of each epoch, in the order of the dataset."""
    data = [{"image": torch.zeros(1, 2, 2), "label": number} for number in range(5)]
    loader = BatchLoader(TransformedDataset(data, RandomShiftIntensityd(1.0, 1.0)), batch_size=2, shuffle=True)
    seen: list[torch.Tensor] = [torch.zeros(5) for _ in range(epochs)]

    def keep(engine: Engine, batch: dict[str, torch.Tensor]) -> None:
        seen[engine.state.epoch - 1][batch["label"]] = batch["image"][:, 0, 0, 0]

    engine = Engine(keep)
    engine.data_loader = loader
    EpochSeeding(seed, fold).attach(engine)
    engine.run(loader, max_epochs=epochs)
    return seen


def test_an_image_is_changed_by_seed_fold_and_epoch() -> None:
    first, again = see_epochs(2), see_epochs(2)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    others = [first[1], see_epochs(1, seed=1)[0], see_epochs(1, fold=1)[0]]
    assert not any(torch.isclose(first[0], other).any() for other in others)


def test_an_image_is_changed_alike_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = see_epochs(1)[0]
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    assert torch.equal(see_epochs(1)[0], alone)

from __future__ import annotations

import torch
from ignite.engine import Engine
from torch import nn

from medmamba_monai.training import WeightsCheckpointLoader, save_weights


def test_the_weights_are_loaded_when_the_engine_starts_and_not_before(tmp_path):
    saved, loaded = nn.Linear(3, 2), nn.Linear(3, 2)
    save_weights(saved, tmp_path / "model.pt", {"image_size": 32})
    engine = Engine(lambda engine, batch: None)
    WeightsCheckpointLoader(loaded, tmp_path / "model.pt", {"image_size": 32}).attach(engine)
    assert not torch.equal(loaded.weight, saved.weight)
    engine.run([0], max_epochs=1)
    assert torch.equal(loaded.weight, saved.weight)
    assert torch.equal(loaded.bias, saved.bias)

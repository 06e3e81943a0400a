from __future__ import annotations

import torch
from ignite.engine import Engine
from torch import nn

from medmamba_monai.training import SyncBuffers
from tests.helpers.warm_commands import run_processes


def test_buffers_become_those_of_the_first_process(tmp_path):
    run_processes(_sync, f"file://{tmp_path}/rendezvous", str(tmp_path), number=2)
    means = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.equal(means[0], means[1])
    assert means[0].tolist() == [0, 0, 0]


def _sync(rank: int, rendezvous: str, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(rank)
    engine = Engine(lambda engine, batch: None)
    SyncBuffers(norm).attach(engine)
    engine.run([0], max_epochs=1)
    torch.save(norm.running_mean, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()

"""How fast networks train on this machine: a few steps of the bundle's own training, on noise of the planned size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import nn

from medmamba_monai.auto.fingerprint import Speed
from medmamba_monai.bundle.workflow import contain_workflow, open_workflow
from medmamba_monai.core.device import resolve_device
from medmamba_monai.data.batches.split import split_transform

_STEPS = 3
_BATCH_ON_CPU = 16
_CONFIGS = ("train", "recipes/strongly_augmented")
"""The recipe that does most to an image; all others are at most as slow."""


def measure_speed(bundle: Path, values: Mapping[str, Any], batch_size: int, seconds: float) -> Speed:
    """Run a warm-up and up to three training steps, then one prediction, with a network of random weights.

    On a CPU the steps are of few images, and the time of a batch is put together of them.

    Args:
        bundle: folder of the bundle, whose card says channels and classes; its folds need not exist.
        values: options of the training, such as ``network_name``, ``image_size`` and ``device``.
        batch_size: images of a batch.
        seconds: after which no further step begins; there is always one behind the warm-up.

    Returns:
        The median of the steps, and the prediction.

    Raises:
        UserError: the network does not take such images, or an option does not fit.
    """
    began = time.perf_counter()
    on_gpu = resolve_device(values.get("device", "auto")).type == "cuda"
    measured = batch_size if on_gpu else min(batch_size, _BATCH_ON_CPU)
    nowhere = {"tracking_uri": "", "dataset_dir": "", "data_list": ""}
    given = {**values, **nowhere, "cuda_graphs": False, "batch_size": measured}
    with contain_workflow():
        parser = open_workflow(bundle, _CONFIGS, "training", given, {}).parser
        step, predict = _make_steps(parser)
        memory = _measure_memory(step, parser.get_parsed_content("network"))  # warms up, too
        steps = [_time(step)]
        while len(steps) < _STEPS and time.perf_counter() - began < seconds:
            steps.append(_time(step))
        scale = batch_size / measured
        return Speed(step=statistics.median(steps), forward=_time(predict), memory_gib=memory / 2**30).scale(scale)


def _make_steps(parser: ConfigParser) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a training step and a prediction of one batch of noise, as a training makes them."""
    options, network = parser.get_parsed_content("options"), parser.get_parsed_content("network")
    loss, optimizer = parser.get_parsed_content("loss"), parser.get_parsed_content("optimizer")
    inferer = parser.get_parsed_content("train#inferer")
    transform = [parser.get_parsed_content(f"train#{name}") for name in ("preprocessing", "augmentation")]
    split = split_transform(transform)
    channels, size = parser.get_parsed_content("in_channels"), options.image_size
    shape = [options.batch_size, channels, *[size] * parser.get_parsed_content("spatial_dims")]
    kept = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    classes = parser.get_parsed_content("num_classes")
    labels = torch.arange(options.batch_size) % classes
    if parser.get_parsed_content("card").task == "multi-label":
        labels = torch.nn.functional.one_hot(labels, classes).float()
    kept, labels = kept.to(options.device), labels.to(options.device)

    def train() -> None:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        images = split.batches(kept, np.arange(len(kept)))
        loss(inferer(images, network), labels).backward()
        optimizer.step()

    def predict() -> None:
        network.eval()
        with torch.inference_mode():
            inferer(split.batches(kept, np.arange(len(kept))), network)

    return train, predict


def _measure_memory(step: Callable[[], None], network: nn.Module) -> int:
    """Return the bytes that a training step keeps for its backward pass, beside those of the weights themselves.

    PyTorch tells of each tensor that it keeps, on any device; what a process takes at its peak could only be told of
    one that runs nothing else.
    """
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step()
    return sum(kept.values())


def _time(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began

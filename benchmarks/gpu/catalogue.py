"""Every part of ``benchmarks.gpu``, the most important first: what is right before what is fast."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import accuracy
from benchmarks.gpu import bundle
from benchmarks.gpu.bars import part_of
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.ceilings import Ceilings, measure_ceilings
from benchmarks.gpu.checks import WITH_GPU, run_tests
from benchmarks.gpu.kernels import kernels_can_change, sweep_kernels
from benchmarks.gpu.launches import count_launches
from benchmarks.gpu.networks import time_networks, train_in_bfloat16
from benchmarks.gpu.scans import PER_TOKEN_LOOP, measure_accuracy, shapes_of, time_scans
from benchmarks.networks import Job, available
from medmamba_monai.selective_scan import BACKENDS

Part = Callable[[], Any]

KINDS = ((True, True), (False, True), (True, False), (False, False))
"""Whether networks train, and whether in bfloat16; the first task is the one that matters most."""
LARGEST_BATCH_OF_TORCH = 8
"""The ``torch`` backend is a fallback, slow and hungry; larger batches would take the time of all others."""
GOALS_BATCH, OWN = 64, "medmamba"
QUICK_EPOCHS, QUICK_SHAPES = 2, 4
BUILD_RECIPE = """\
mamba_ssm's kernel does not import here, so the comparison with it is left out. To build it without a connection, from
the sdist of mamba-ssm 2.3.2.post1, with wheel, ninja, packaging and setuptools installed:
  1. unpack it and cut the list of architectures in its setup.py to this GPU's (sm_90 on Hopper): 2 minutes, not 8
  2. MAMBA_FORCE_BUILD=TRUE MAX_JOBS=10 pip install --no-build-isolation --no-deps FOLDER_OF_THE_SDIST
The extension module selective_scan_cuda alone is enough; one that was built before is given with --mamba-ssm."""


def all_parts(result: dict[str, Any], options: argparse.Namespace, budget: Budget) -> Iterator[tuple[str, Part]]:
    """Yield the name and the function of every part, in the order in which they run."""
    device, size, rounds, quick = options.device, options.image_size, options.rounds, options.quick
    names = options.networks or default_networks(device)
    own = next((name for name in names if name.startswith(OWN)), names[0])
    yield "checks", lambda: run_tests(WITH_GPU, budget.left())
    yield "accuracy", lambda: measure_accuracy(device, accuracy.SHAPES[:QUICK_SHAPES] if quick else accuracy.SHAPES)
    batches = sorted(options.batches, key=lambda batch: batch != GOALS_BATCH)
    yield from (network_part(names, options, batch, *kind) for batch in batches[:1] for kind in KINDS)
    trained: dict[str, Any] = {"execute": bundle.run_command, "budget": budget}
    yield "bundle", partial(run_with_bundle, options.data, partial(bundle.measure_bundle, **trained))
    yield "launches", lambda: count_launches(own, size, GOALS_BATCH, device)
    yield "ceilings", lambda: measure_ceilings(device)._asdict()
    yield "scan", lambda: time_scans(device, size, GOALS_BATCH, rounds, ceilings_of(result))
    yield "bfloat16", lambda: train_in_bfloat16(OWN, size, GOALS_BATCH, options.steps, device)
    folds = partial(bundle.measure_cross_validation, epochs=QUICK_EPOCHS if quick else None, **trained)
    yield "cross_validation", partial(run_with_bundle, options.data, folds)
    yield network_part(
        list(dict.fromkeys([own, "resnet50"])), options, batches[0], training=True, bfloat16=True, compiled=True
    )
    if kernels_can_change():
        shapes = shapes_of(size, GOALS_BATCH)
        yield "kernels", lambda: sweep_kernels(shapes[:1] if quick else shapes, rounds, device)
    yield from (network_part(names, options, batch, *kind) for batch in batches[1:] for kind in KINDS)
    if not quick:
        yield "tests", lambda: run_tests((), budget.left())


def network_part(
    names: list[str], options: argparse.Namespace, batch: int, training: bool, bfloat16: bool, compiled: bool = False
) -> tuple[str, Part]:
    """Return name and function of the part that measures the networks at one task."""
    task = Job("", options.image_size, batch, training, bfloat16, options.device, compiled=compiled)
    jobs = [
        task._replace(network=name)
        for name in available(names, options.image_size)
        if name != "medmamba:torch" or batch <= LARGEST_BATCH_OF_TORCH
    ]
    return part_of(task), partial(time_networks, jobs, options.rounds)


def default_networks(device: str) -> list[str]:
    """Return MedMamba-T with every backend that runs there but the loop, then the networks beside it."""
    if torch.device(device).type == "cuda" and (reason := BACKENDS["mamba_ssm"].find_import_failure()) is not None:
        print(f"{BUILD_RECIPE}\n({reason})")
    backends = [name for name in accuracy.backends_on(device) if name != PER_TOKEN_LOOP]
    return [*(f"medmamba:{name}" for name in reversed(backends)), "resnet50", "swin"]


def ceilings_of(result: dict[str, Any]) -> Ceilings | None:
    """Return the ceilings that were measured, None if they were not."""
    part = result["parts"].get("ceilings")
    return Ceilings(**part["found"]) if part else None


def run_with_bundle(data: Path | None, measure: Callable[[bundle.Prepared, Path], dict[str, Any]]) -> dict[str, Any]:
    """Prepare a bundle in a folder that is removed afterwards, and measure what is done with it."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(bundle.prepare_bundle(Path(folder), data), Path(folder))

"""Measure how fast kept images are converted and augmented: ``python -m benchmarks.augmentation --data FOLDER``.

Time for an image of an epoch through a loader, from images that are kept in memory, in the same rounds as a training
step of the network: on generated images of 224 pixels and, where ``--data`` or ``MEDMAMBA_DATA_DIR`` has it, on
PneumoniaMNIST scaled to the demo's 64 pixels. The transforms are those of the recipe ``augmented`` for images that are
not mirrored.

===========================  =======================================================================================
name                         what is done
===========================  =======================================================================================
``augmented, by MONAI``      MONAI's random transforms, image by image, on the CPU
``augmented``                ours, a batch at a time, on the device
``converted, each image``    no more than uint8 to float32, image by image, on the CPU
``converted``                the same, a batch at a time, on the device
``kept there, augmented``    as ``augmented``, from images that are kept as one tensor on the device (``--cache gpu``)
``kept there, converted``    as ``converted``, from the same
===========================  =======================================================================================
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader, Dataset
from monai.transforms import (
    EnsureTyped,
    RandAdjustContrastd,
    RandAffined,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

from benchmarks.loading import Source, conversion, reading, sources, training_step
from benchmarks.machine import default_threads, describe_machine
from benchmarks.report import Bar, add_common_options, bar_table, new_result, save_result, text_table, time_table
from benchmarks.timing import Times, interleave, time_entries
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.data import BatchLoader, TransformedDataset, cached_dataset
from medmamba_monai.data.cache.device import DeviceCacheDataset
from medmamba_monai.images import RandomAdjustContrastd, RandomAffined, RandomScaleIntensityd, RandomShiftIntensityd

BATCH = 64
BY_MONAI, AUGMENTED, EACH, CONVERTED = "augmented, by MONAI", "augmented", "converted, each image", "converted"
THERE = ("kept there, augmented", "kept there, converted")
TRAINING = "training"
LARGEST_PART = 0.25
"""Of a training step's time, that the augmentation of its images may take."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        run(options, Path(folder))
    return 0


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the benchmark with parsed options and return its result; ``folder`` takes the files that it makes."""
    device = torch.device(options.device)
    chosen = {key: getattr(options, key) for key in ("images", "image_size", "rounds", "quick", "device")}
    machine = describe_machine(threads=options.threads)
    result = new_result("augmentation", chosen | {"batch": BATCH}, machine) | {"times": [], "bars": []}
    for source in sources(options, folder):
        times = time_source(source, options.rounds, device)
        result["times"] += (entries := make_entries(source, times))
        print(f"\n{time_table(entries)}\n\n{image_table(entries)}", flush=True)
        result["interrupted"] = times.interrupted
    result["bars"] = [bar.entry() for bar in bars_of(result["times"], not options.quick)]
    print(f"\n{bar_table(result['bars'])}")
    save_result(result, options.json)
    return result


def time_source(source: Source, rounds: int, device: torch.device) -> Times:
    """Time an epoch of each kind and a training step, in the same rounds."""
    epochs = {name: partial(run_epoch, loader) for name, loader in make_loaders(source, device).items()}
    functions: dict[str, Callable[[], object]] = {**epochs, TRAINING: training_step(source, device)}
    return interleave(functions, rounds, device=device, label=source.name)


def make_loaders(source: Source, device: torch.device) -> dict[str, DataLoader]:
    """Return a loader of each kind, whose images are decoded."""
    kept: Any = cached_dataset(source.data, reading(source), "memory")
    there = DeviceCacheDataset(source.data, reading(source), device)
    random = {AUGMENTED: [*conversion(), *augmentation()], CONVERTED: conversion()}
    loaders = {
        BY_MONAI: DataLoader(Dataset(kept, [*conversion(), *augmentation_by_monai()]), batch_size=BATCH),
        EACH: DataLoader(Dataset(kept, conversion()), batch_size=BATCH),
    }
    for name, data in ((AUGMENTED, kept), (CONVERTED, kept), (THERE[0], there), (THERE[1], there)):
        dataset = TransformedDataset(data, random[name.removeprefix("kept there, ")])
        loaders[name] = BatchLoader(dataset, device, batch_size=BATCH)
    return loaders


def augmentation() -> list[Any]:
    """What the recipe ``augmented`` does to 2D images that are not mirrored."""
    return [
        RandomAffined(0.8, [0.175], scale_range=[0.1, 0.1]),
        RandomAdjustContrastd(0.5, (0.8, 1.25)),
        RandomScaleIntensityd(0.1, 0.5),
        RandomShiftIntensityd(0.1, 0.5),
    ]


def augmentation_by_monai() -> list[Any]:
    """The same by MONAI's transforms."""
    options: dict[str, Any] = {"mode": "bilinear", "padding_mode": "border"}
    return [
        RandAffined("image", prob=0.8, rotate_range=[0.175], scale_range=[0.1, 0.1], **options),
        RandAdjustContrastd("image", prob=0.5, gamma=(0.8, 1.25)),
        RandScaleIntensityd("image", prob=0.5, factors=0.1),
        RandShiftIntensityd("image", prob=0.5, offsets=0.1),
        EnsureTyped("image", track_meta=False),
    ]


def run_epoch(loader: DataLoader) -> int:
    """Load every image once; returns their number."""
    return sum(len(batch["image"]) for batch in loader)


def make_entries(source: Source, times: Times) -> list[dict[str, Any]]:
    """Make the JSON entries: ``image_seconds``, and ``of_training``, its part of the training's in each round."""
    entries = time_entries(times, f"{source.name}, {source.image_size} pixels", BY_MONAI)
    for entry in entries:
        entry["images"] = source.training_batch if entry["name"] == TRAINING else len(source.data)
        entry["image_seconds"] = entry["median"] / entry["images"]
        part = times.ratio(entry["name"], TRAINING).median if TRAINING in times.seconds else None
        entry["of_training"] = None if part is None else part * source.training_batch / entry["images"]
    return entries


def image_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Write the time of an image, how many times as fast as MONAI that is, and its part of a training step."""
    rows = []
    for entry in entries:
        monai = next(other for other in entries if other["name"] == BY_MONAI)
        faster = f"{monai['image_seconds'] / entry['image_seconds']:.1f}" if entry["name"] != TRAINING else "-"
        part = "-" if entry["of_training"] is None else f"{100 * entry['of_training']:.1f} %"
        rows.append([entry["name"], f"{1000 * entry['image_seconds']:.4f} ms", faster, part])
    return text_table([entries[0]["task"], "each image", "times as fast as by MONAI", "of a training step"], rows)


def bars_of(entries: Sequence[Mapping[str, Any]], as_promised: bool) -> list[Bar]:
    """Hold the promise that augmentation costs a small part of a training step against what was measured."""
    return [
        Bar(f"{entry['task']}: {AUGMENTED}, part of {TRAINING}", entry["of_training"], LARGEST_PART, False, as_promised)
        for entry in entries
        if entry["name"] == AUGMENTED
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.augmentation", description=__doc__)
    data = os.environ.get("MEDMAMBA_DATA_DIR")
    parser.add_argument("--data", default=data, metavar="FOLDER", help="folder of pneumoniamnist.npz")
    parser.add_argument("--images", type=int, help="images of each kind (default 512, quick 64)")
    parser.add_argument("--image-size", type=int, default=224, help="edge of the generated images")
    parser.add_argument("--rounds", type=int, help="samples of each (default 5, quick 1)")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--device", default="cpu", help="where batches are converted and the network is")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.images = options.images or (64 if options.quick else 512)
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


if __name__ == "__main__":
    sys.exit(main())

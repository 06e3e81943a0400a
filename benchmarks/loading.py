"""Measure how fast images reach the network: ``python -m benchmarks.loading --data FOLDER``.

Images per second through a DataLoader, by where the decoded images are kept, on generated PNG files of 224 pixels and,
where ``--data`` or ``MEDMAMBA_DATA_DIR`` has it, on PneumoniaMNIST scaled to the demo's 64 pixels; in the same rounds,
how many a network trains with. Then the peak memory of each, in fresh processes.

==============================  ====================================================================================
name                            what is kept between epochs
==============================  ====================================================================================
``no cache``                    nothing: every image is decoded, scaled and converted
``memory, float32``             what the network gets, in MONAI's CacheDataset
``memory, uint8``               what is decoded and scaled, in MONAI's CacheDataset; each batch is converted at once
``memory, uint8, by MONAI``     the same, converted image by image by MONAI's transforms
``disk, uint8``                 the same as ``memory, uint8`` in a memory-mapped store; its peak memory counts
                                pages of the file, which the system takes back when it needs them
``disk, uint8, first epoch``    the same while the store is filled
==============================  ====================================================================================
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader, Dataset
from monai.transforms import Compose, EnsureTyped, RepeatChanneld, ScaleIntensityRanged
from PIL import Image

from benchmarks import memory
from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import NUM_CLASSES, Job, step_of
from benchmarks.report import Bar, add_common_options, bar_table, megabytes, new_result, save_result, text_table
from benchmarks.timing import Times, interleave, time_entries
from medmamba_monai import MedMamba, medmamba_tiny
from medmamba_monai.bundle.demo import SETTINGS, SMALL_MEDMAMBA
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.data import BatchLoader, TransformedDataset, cached_dataset
from medmamba_monai.images.npz import read_npz_array
from medmamba_monai.images.transforms import ConvertImaged, ReadImaged, ResizeImaged

BATCH = 64
BASELINE, FORMER, IN_MEMORY, ON_DISK = "no cache", "memory, float32", "memory, uint8", "disk, uint8"
BY_MONAI = f"{IN_MEMORY}, by MONAI"
FIRST_EPOCH = f"{ON_DISK}, first epoch"
KEPT = (BASELINE, FORMER, IN_MEMORY, BY_MONAI, ON_DISK)
REAL, TRAINING = "PneumoniaMNIST", "training"


class Source(NamedTuple):
    """Images, and the network that they are for; fields that travel to another process.

    Attributes:
        name: for tables.
        data: items of a MONAI dataset.
        channels: of the files; the network gets 3.
        image_size: edge at which the network gets them.
        network: ``MedMamba-T`` or the demo's.
        training_batch: images of a training step.
    """

    name: str
    data: list[dict[str, Any]]
    channels: int
    image_size: int
    network: str
    training_batch: int

    @property
    def training(self) -> str:
        """The name of the training for tables."""
        return f"{TRAINING}, {self.network}"


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
    chosen = {key: getattr(options, key) for key in ("images", "image_size", "rounds", "workers", "quick")}
    result = new_result("loading", chosen | {"batch": BATCH}, describe_machine(threads=options.threads))
    result |= {"times": [], "memory": [], "bars": []}
    times: dict[str, Times] = {}
    try:
        for source in sources(options, folder):
            for task, found in time_source(source, options.rounds, options.workers, folder):
                times[task] = found
                result["times"] += (entries := loading_entries(source, task, found))
                print(f"\n{loading_table(entries)}", flush=True)
                found.stop_if_interrupted()
            result["memory"] += measure_memory(source, folder, options.threads)
    except KeyboardInterrupt:
        result["interrupted"] = True
        print("stopped: what follows is what was measured so far")
    if result["memory"]:
        print(f"\n{memory_table(result['memory'])}")
    result["bars"] = [bar.entry() for bar in bars_of(result["times"], not options.quick and options.image_size == 224)]
    print(f"\n{bar_table(result['bars'])}")
    save_result(result, options.json)
    return result


def sources(options: argparse.Namespace, folder: Path) -> list[Source]:
    """The images that are there, the generated ones made first."""
    size = options.image_size
    made = Source("PNG", write_images(folder / "png", options.images, size), 3, size, "MedMamba-T", 8)
    places = [Path(options.data) / below for below in ("", "pneumoniamnist")] if options.data else []
    files = [place / "pneumoniamnist.npz" for place in places if (place / "pneumoniamnist.npz").is_file()]
    if not files:
        print(f"{REAL} is left out: name the folder of pneumoniamnist.npz with --data or in MEDMAMBA_DATA_DIR")
        return [made]
    count = len(read_npz_array(files[0], "train_images"))
    data = [{"image": f"{files[0].absolute()}#train_images[{row}]", "row": row} for row in range(count)]
    chosen = data[: options.images if options.quick else None]
    return [made, Source(REAL, chosen, 1, SETTINGS["image_size"], "demo", 64)]


def write_images(folder: Path, count: int, image_size: int) -> list[dict[str, Any]]:
    """Write RGB images, smooth with some noise, as PNG files, which compress them to about a half."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    data = []
    for row in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (14, 14, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((image_size, image_size), Image.Resampling.BICUBIC))
        noisy = smooth + generator.normal(0, 2, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path := folder / f"{row}.png")
        data.append({"image": str(path), "row": row})
    return data


def time_source(source: Source, rounds: int, numbers: Sequence[int], folder: Path) -> list[tuple[str, Times]]:
    """Time one epoch of each kind and one training step, in the same rounds; once for each number of workers."""
    kept = {name: build_dataset(source, name, folder) for name in KEPT}
    step = training_step(source)
    found = []
    for workers in numbers:
        functions: dict[str, Callable[[], object]]
        functions = {name: partial(run_epoch, dataset, workers) for name, dataset in kept.items()}
        functions |= {FIRST_EPOCH: partial(run_first_epoch, source, workers, folder), source.training: step}
        task = f"{source.name}, {source.image_size} pixels, {workers} workers"
        found.append((task, interleave(functions, rounds, label=task)))
    return found


def build_dataset(source: Source, name: str, folder: Path) -> Dataset:
    """Build a dataset that gives what the network gets, with its cache filled or, on disk, to be filled."""
    if name == BASELINE:
        return Dataset(source.data, Compose([*reading(source), *conversion()]))
    if name == FORMER:
        transform = Compose([*reading(source), *conversion()])
        return CacheDataset(source.data, transform, num_workers=2, progress=False)
    options: dict[str, Any] = {"directory": folder / "stores", "identity": source.name}
    cache = "disk" if name == ON_DISK else "memory"
    kept: Any = cached_dataset(source.data, reading(source), cache, **options)
    return (
        Dataset(kept, Compose(conversion_by_monai(source)))
        if name == BY_MONAI
        else TransformedDataset(kept, conversion())
    )


def reading(source: Source) -> list[Any]:
    """From a file to uint8 at the network's size."""
    return [ReadImaged("image", source.channels), ResizeImaged("image", [source.image_size] * 2)]


def conversion() -> list[Any]:
    """From uint8 to what the network gets: three channels of float32 from -1 to 1."""
    return [ConvertImaged("image", 3)]


def conversion_by_monai(source: Source) -> list[Any]:
    """The same numbers."""
    return [
        RepeatChanneld("image", 3 // source.channels),
        ScaleIntensityRanged("image", a_min=0, a_max=255, b_min=-1.0, b_max=1.0, clip=True),
        EnsureTyped("image", dtype=torch.float32, track_meta=False),
    ]


def run_epoch(dataset: Dataset, workers: int) -> int:
    """Load every image once, with the start of the workers; returns their number."""
    options: dict[str, Any] = {"batch_size": BATCH, "num_workers": workers}
    loader = (
        BatchLoader(dataset, **options) if isinstance(dataset, TransformedDataset) else DataLoader(dataset, **options)
    )
    return sum(len(batch["image"]) for batch in loader)


def run_first_epoch(source: Source, workers: int, folder: Path) -> int:
    """Load every image once through a store that is not there yet."""
    shutil.rmtree(folder / "first", ignore_errors=True)
    return run_epoch(build_dataset(source, ON_DISK, folder / "first"), workers)


def training_step(source: Source, device: str | torch.device = "cpu") -> Callable[[], None]:
    """A training step of the source's network on images that are there already."""
    torch.manual_seed(0)
    small = MedMamba(2, 3, NUM_CLASSES, **SMALL_MEDMAMBA)
    network = medmamba_tiny(num_classes=NUM_CLASSES) if source.network == "MedMamba-T" else small
    job = Job("medmamba", source.image_size, source.training_batch, training=True, device=str(device))
    return step_of(network.to(device), job)


def loading_entries(source: Source, task: str, times: Times) -> list[dict[str, Any]]:
    """Make the JSON entries: ``images_per_second``, and ``of_training``, its ratio to the training's in each round."""
    entries = time_entries(times, task, BASELINE)
    for entry in entries:
        entry["images"] = source.training_batch if entry["name"] == source.training else len(source.data)
        entry["images_per_second"] = entry["images"] / entry["median"]
        entry["of_training"] = None
        if source.training in times.seconds and entry["name"] != source.training:
            rounds = times.ratio(source.training, entry["name"]).median
            entry["of_training"] = rounds * entry["images"] / source.training_batch
    return entries


def loading_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Write the entries of one task."""
    rows = []
    for entry in entries:
        loads = entry["of_training"] is not None
        cells = [f"{1 / entry['ratio']['median']:.2f}", f"{entry['of_training']:.1f}"] if loads else ["-", "-"]
        rows.append([entry["name"], f"{entry['images_per_second']:,.0f}", f"{100 * entry['spread']:.1f} %", *cells])
    return text_table([entries[0]["task"], "images/s", "spread", f"x {BASELINE}", "x training"], rows)


def measure_memory(source: Source, folder: Path, threads: int) -> list[dict[str, Any]]:
    """Measure the peak memory of an epoch of each kind, in a process of its own that builds the dataset."""
    few = source._replace(data=source.data[:BATCH])
    prepare = partial(run_epoch, build_dataset(few, BASELINE, folder), 0)  # loads libraries and the npz file
    entries = []
    for name in (BASELINE, FORMER, IN_MEMORY, ON_DISK):
        print(f"memory: {source.name}, {name}", file=sys.stderr)
        peak = memory.peak_memory(partial(build_epoch, source, name, folder), prepare, threads)
        entries.append({"task": source.name, "name": name, "bytes": peak, "images": len(source.data)})
    return entries


def build_epoch(source: Source, name: str, folder: Path) -> Callable[[], int]:
    """Build a dataset and return its epoch, without workers."""
    return partial(run_epoch, build_dataset(source, name, folder), 0)


def memory_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Write the peaks, and what they are for each image."""
    names = [f"{entry['task']}, {entry['name']}" for entry in entries]
    each = [f"{entry['bytes'] / entry['images'] / 1024:.1f} KiB" for entry in entries]
    rows = [[name, megabytes(entry["bytes"]), size] for name, entry, size in zip(names, entries, each, strict=True)]
    return text_table(["peak memory of an epoch", memory.method(), "for each image"], rows)


def bars_of(entries: Sequence[Mapping[str, Any]], as_promised: bool) -> list[Bar]:
    """Hold the promise that loading is faster than training against what was measured.

    Args:
        entries: those of all tasks.
        as_promised: whether all images were loaded, at their full size.
    """
    tasks = dict.fromkeys(entry["task"] for entry in entries)
    found = {(entry["task"], entry["name"]): entry["of_training"] for entry in entries}
    return [
        Bar(f"{task}: {name} / training, images/s", found.get((task, name)), 1.0, True, as_promised)
        for task in tasks
        for name in (IN_MEMORY, ON_DISK)
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.loading", description=__doc__)
    data = os.environ.get("MEDMAMBA_DATA_DIR")
    parser.add_argument("--data", default=data, metavar="FOLDER", help="folder of pneumoniamnist.npz")
    parser.add_argument("--images", type=int, help="generated images (default 1000, quick 64)")
    parser.add_argument("--image-size", type=int, default=224, help="edge of the generated images")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="numbers of workers of the loader")
    parser.add_argument("--rounds", type=int, help="samples of each (default 5, quick 1)")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.images = options.images or (64 if options.quick else 1000)
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


if __name__ == "__main__":
    sys.exit(main())

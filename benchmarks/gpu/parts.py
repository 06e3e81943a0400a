"""The parts of ``benchmarks.gpu``: each is run once, written at once, and kept when the command is started again."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import accuracy
from benchmarks.accuracy import Shape
from benchmarks.gpu.bars import gpu_bars
from benchmarks.gpu.ceilings import Ceilings, measure_ceilings, scan_limit
from benchmarks.gpu.launches import launches_can_change, sweep_launches
from benchmarks.gpu.networks import measure_networks, train_in_bfloat16
from benchmarks.machine import describe_machine, git_revision
from benchmarks.networks import Job, available, title_of
from benchmarks.report import bar_table, load_result, megabytes, milliseconds, new_result, save_result, text_table
from benchmarks.scan import ACCURACY_CHANNELS, scan_step, stage_shapes
from benchmarks.timing import interleave, time_entries
from medmamba_monai import medmamba_tiny
from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.selective_scan import BACKENDS

ROOT = Path(__file__).resolve().parents[2]
PER_TOKEN_LOOP = "reference"
LARGEST_BATCH_OF_TORCH = 8
"""The ``torch`` backend is a fallback, slow and hungry; larger batches would take the time of all others."""
SCAN_BATCH, TRAINING_BATCH = 64, 64
TEST_SECONDS, LAST_LINES = 3000, 15
BUILD_RECIPE = """\
mamba_ssm's kernel does not import here, so the comparison with it is left out. To build it without a connection, from
the sdist of mamba-ssm 2.3.2.post1, with wheel, ninja, packaging and setuptools installed:
  1. unpack it and cut the list of architectures in its setup.py to this GPU's (sm_90 on Hopper): 2 minutes, not 8
  2. MAMBA_FORCE_BUILD=TRUE MAX_JOBS=10 pip install --no-build-isolation --no-deps FOLDER_OF_THE_SDIST
The extension module selective_scan_cuda alone is enough."""

Part = Callable[[], Any]


def run_parts(options: argparse.Namespace) -> int:
    """Run what is not yet in the result; returns 0, 1 where a bar is missed or a part failed."""
    path = options.output / "gpu.json"
    result = begin(path, options)
    failed = False
    try:
        for name, part in chosen_parts(result, options).items():
            print(f"\n== {name}", flush=True)
            try:
                found = part()
            except Exception as error:  # noqa: BLE001 - one part must not take the others with it
                failed = True
                print(f"failed: {get_first_line(error)}")
                result["failed"][name] = get_first_line(error)
            else:
                result["failed"].pop(name, None)
                stamp = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **git_revision()}
                result["parts"][name] = stamp | {"found": found}
                result["bars"] = [bar.entry() for bar in gpu_bars(result["parts"])]
            save_result(result, path)
    except KeyboardInterrupt:
        print("stopped: finished parts are kept, the same command goes on from there")
    print(f"\n{bar_table(result['bars'])}")
    return 1 if failed or any(bar["met"] is False for bar in result["bars"]) else 0


def begin(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Read the result that is there, or begin a new one.

    Raises:
        UserError: the result that is there comes from another device.
    """
    torch.backends.cudnn.benchmark = True
    machine = describe_machine(options.device)
    machine["tf32"] = {"products": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32}
    chosen = {"image_size": options.image_size, "rounds": options.rounds}
    result = new_result("gpu", chosen, machine) | {"parts": {}, "failed": {}, "bars": []}
    if not path.exists():
        return result
    before = load_result(path)
    then, now = ({key: r["machine"].get(key) for key in ("device", "gpu")} for r in (before, result))
    if (then, before["options"]) != (now, chosen):
        raise UserError(f"{path} was measured on {then} with {before['options']}: choose another --output")
    return before


def chosen_parts(result: dict[str, Any], options: argparse.Namespace) -> dict[str, Part]:
    """Choose the parts that were asked for and are not finished; a name is asked for by its first word.

    Raises:
        UserError: a part that was asked for does not exist.
    """
    parts = dict(all_parts(result, options))
    kinds = list(dict.fromkeys(name.partition(":")[0] for name in parts))
    if unknown := sorted({*(options.parts or []), *options.again} - set(kinds)):
        raise UserError(f"no part is called {', '.join(unknown)}: choose among {', '.join(kinds)}")
    chosen = {}
    for name, part in parts.items():
        kind = name.partition(":")[0]
        wanted = kind in options.again or (kind in (options.parts or kinds) and name not in result["parts"])
        if wanted and not (kind == "tests" and options.skip_tests):
            chosen[name] = part
    return chosen


def all_parts(result: dict[str, Any], options: argparse.Namespace) -> Iterator[tuple[str, Part]]:
    """Yield the name and the function of every part, in the order in which they run."""
    device = options.device
    yield "tests", run_tests
    yield "ceilings", lambda: measure_ceilings(device)._asdict()
    yield "scan", lambda: time_scans(device, options.image_size, SCAN_BATCH, options.rounds, ceilings_of(result))
    yield "accuracy", lambda: measure_accuracy(device)
    names = options.networks or default_networks(device)
    for batch in options.batches:
        for bfloat16 in (False, True):
            for training in (False, True):
                task = f"{'training' if training else 'inference'}, batch {batch}, {_dtype(bfloat16)}"
                jobs = [
                    Job(name, options.image_size, batch, training, bfloat16, device)
                    for name in available(names, options.image_size)
                    if name != "medmamba:torch" or batch <= LARGEST_BATCH_OF_TORCH
                ]
                yield f"networks: {task}", partial(time_networks, jobs, options.rounds, task)
    yield "bfloat16", lambda: train_in_bfloat16("medmamba", options.image_size, TRAINING_BATCH, options.steps, device)
    if launches_can_change():
        yield "launches", lambda: sweep_launches(shapes_of(options.image_size, SCAN_BATCH), options.rounds, device)


def default_networks(device: str) -> list[str]:
    """Return MedMamba-T with every backend that runs there but the loop, then the networks beside it."""
    if torch.device(device).type == "cuda" and (reason := BACKENDS["mamba_ssm"].find_import_failure()) is not None:
        print(f"{BUILD_RECIPE}\n({reason})")
    backends = [name for name in accuracy.backends_on(device) if name != PER_TOKEN_LOOP]
    return [*(f"medmamba:{name}" for name in reversed(backends)), "resnet50", "swin"]


def run_tests() -> dict[str, Any]:
    """Run the test suite in a process of its own; returns its exit code and its last lines."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TEST_SECONDS)
    lines = done.stdout.strip().splitlines()[-LAST_LINES:]
    print("\n".join(lines))
    return {"exit_code": done.returncode, "last_lines": lines}


def ceilings_of(result: dict[str, Any]) -> Ceilings | None:
    """Return the ceilings that were measured, None if they were not."""
    part = result["parts"].get("ceilings")
    return Ceilings(**part["found"]) if part else None


def shapes_of(image_size: int, batch: int) -> list[Shape]:
    """Return the shapes of the scans of MedMamba-T."""
    return stage_shapes(medmamba_tiny(num_classes=2), image_size, batch)


def time_scans(
    device: str, image_size: int, batch: int, rounds: int, ceilings: Ceilings | None
) -> list[dict[str, Any]]:
    """Time every backend's scan at the shapes of MedMamba-T, and hold it against the limit of the device."""
    backends = [name for name in accuracy.backends_on(device) if name not in (PER_TOKEN_LOOP, "torch")] or ["torch"]
    found = []
    for number, shape in enumerate(shapes_of(image_size, batch), start=1):
        for training in (False, True):
            task = f"stage {number}, batch {batch}, {'forward+backward' if training else 'forward'}"
            steps = {name: scan_step(name, shape, training, device) for name in backends}
            times = interleave(steps, rounds, warmups=2, device=device, label=task)
            times.stop_if_interrupted()
            limit = scan_limit(shape, training, ceilings) if ceilings else None
            for entry in time_entries(times, task, backends[0]):
                reached = {"limit": limit, "of_limit": limit / entry["median"] if limit else None}
                found.append(entry | reached | {"updates": shape.updates})
    print(scan_table(found))
    return found


def scan_table(entries: list[dict[str, Any]]) -> str:
    """Write the times of the scans beside their limits."""
    rows = []
    for entry in entries:
        limit = "-" if entry["limit"] is None else milliseconds(entry["limit"])
        reached = "-" if entry["of_limit"] is None else f"{100 * entry['of_limit']:.0f} %"
        rows.append([f"{entry['task']}, {entry['name']}", milliseconds(entry["median"]), limit, reached])
    return text_table(["scan", "median", "limit", "of the limit"], rows)


def measure_accuracy(device: str, shapes: tuple[tuple[int, ...], ...] = accuracy.SHAPES) -> dict[str, Any]:
    """Compare every backend on the device with float64."""
    backends = [name for name in accuracy.backends_on(device) if name != PER_TOKEN_LOOP]
    entries = [
        entry
        for spatial in shapes
        for case in accuracy.CASES
        for entry in accuracy.errors_of(backends, accuracy.Shape(1, spatial, ACCURACY_CHANNELS), case, device)
    ]
    print(accuracy.accuracy_table(entries))
    special = [bar.entry() for backend in backends for bar in accuracy.special_values(backend, device)]
    print(f"\n{bar_table(special)}")
    return {"errors": entries, "special_values": special}


def time_networks(jobs: list[Job], rounds: int, task: str) -> list[dict[str, Any]]:
    """Measure the networks of one task and print their table."""
    entries = measure_networks(jobs, rounds, title_of("resnet50"), task)
    rows = []
    for entry in entries:
        if "failed" in entry:
            rows.append([entry["name"], "-", "-", "-", entry["failed"][:60]])
        else:
            peak = "-" if entry["peak_bytes"] is None else megabytes(entry["peak_bytes"])
            speed = f"{entry['images_per_second']:,.0f}"
            rows.append([entry["name"], milliseconds(entry["median"]), speed, peak, f"{100 * entry['spread']:.1f} %"])
    print(text_table([task, "median", "images/s", "peak memory", "spread"], rows))
    return entries


def _dtype(bfloat16: bool) -> str:
    return "bfloat16" if bfloat16 else "float32"

"""What encrypted updates cost: ``python -m benchmarks.federation_encryption --json FILE``.

The same federation on generated sites, as it is and with ``--privacy encryption``, in turns, in real processes of
NVFlare's simulator. Bytes are those that the loopback carries meanwhile, so that nothing else may talk over it; a
network namespace has one of its own: ``unshare --net sh -c "ip link set lo up; python -m ..."``. What becomes of the
encryption's rounding errors is compared with what becomes of others of that size, in one process.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors.numpy import load_file

from benchmarks.pages.federation_encryption import NOISE, list_rows
from benchmarks.report import add_common_options, new_result, save_result, text_table
from medmamba_monai.core.environment import set_environment
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.federation import simulate, write_phantom_sites
from medmamba_monai.federation.averaging import Averaging
from medmamba_monai.federation.coordinator import Coordinator
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.progress import Weights
from medmamba_monai.federation.record import FederationRecord
from medmamba_monai.federation.site import read_sites
from medmamba_monai.federation.site_worker import Answer, SiteWorker

ROOT = Path(__file__).resolve().parents[1]
NETWORK: dict[str, Any] = {"depths": [1, 1, 2, 1], "channels": [32, 64, 128, 256]}
"""That of the demo."""
TINY: dict[str, Any] = {"depths": [1, 1], "channels": [8, 16]}
TRAINING: dict[str, Any] = {"image_size": 32, "batch_size": 16, "learning_rate": 0.002, "folds": [0]}
SHORT = {"images": 20, "rounds": 1}
WAYS = ("none", "encryption")
"""Values of ``--privacy``."""
PLAIN = WAYS[0]
ERROR = 1e-8
"""Standard deviation of the errors in what is averaged, to see what becomes of them."""
DIGIT = 1e-4
"""Figures that differ by no more are equal."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the federations, print and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.federation_encryption", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "federation_encryption", help="made anew")
    parser.add_argument("--sites", type=int, default=2)
    parser.add_argument("--images", type=int, default=300, help="training images of a site, before some are left out")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=2, help="of each federation")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.images, options.rounds, options.repetitions = SHORT["images"], SHORT["rounds"], 1
    told = {name: getattr(options, name) for name in ("sites", "images", "rounds", "repetitions", "quick")}
    result = new_result("federation_encryption", told)
    result["own_loopback"] = len(psutil.net_if_addrs()) == 1
    torch.set_num_threads(1)
    result |= measure(options)
    print(text_table(*list_rows(result)))
    save_result(result, options.json)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run each federation as often as asked for; returns the runs of each, and the number of weights.

    A short one before them is not counted: what it compiles and reads, the others find.
    """
    shutil.rmtree(options.folder, ignore_errors=True)
    run_federation(options.folder.resolve() / "before", PLAIN, argparse.Namespace(**vars(options) | SHORT))
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in (*WAYS, NOISE)}
    first: list[dict[str, Any]] = []
    turns = [way for number in range(options.repetitions) for way in (WAYS if number % 2 == 0 else WAYS[::-1])]
    for way in [*turns, *[NOISE] * options.repetitions]:
        number = len(runs[way]) + 1
        folder = options.folder.resolve() / f"{way}_{number}"
        run = run_with_noise(folder, number, options) if way == NOISE else run_federation(folder, way, options)
        rounds = run.pop("rounds")
        first = first or rounds
        runs[way].append({**run, "unlike_from": find_unlike(first, rounds)})
        print(f"{folder.name}: {runs[way][-1]}", flush=True)
    network = options.folder / f"{PLAIN}_1" / "sites" / "output" / "site_1" / "federation" / "fold_0"
    weights = [value.size for value in load_file(network / "model.safetensors").values() if value.dtype.kind == "f"]
    return {"weights": sum(weights), "runs": runs}


def run_federation(folder: Path, privacy: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run a federation at sites of its own; returns what it took, its rounds, and the mean AUC of the sites' tests."""
    _write_sites(folder / "sites", options)
    begun, computed, busy, sent = time.monotonic(), _count_cpu_seconds(), _count_busy_seconds(), _count_sent()
    with set_environment({"OMP_NUM_THREADS": "1"}):
        content = simulate(folder / "sites", folder / "results", **_list_options(options), privacy=privacy)
    own = _count_cpu_seconds() - computed
    return {
        "seconds": time.monotonic() - begun,
        "cpu_seconds": own,
        "cpu_seconds_of_others": _count_busy_seconds() - busy - own,
        "bytes": _count_sent() - sent,
        **_read_fold(content),
    }


class NoisyAveraging(Averaging):
    """Averages with errors as small as those of the encryption, each time other ones.

    Args:
        seed: of the errors.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def average(self, updates: Mapping[str, Weights], images: Mapping[str, int]) -> Weights:
        """Average updates, with an error in each weight that is no whole number."""
        exact, kinds = super().average(updates, images), next(iter(updates.values()))
        errors = {
            name: self._generator.normal(scale=ERROR, size=value.shape) if kinds[name].dtype.kind == "f" else 0
            for name, value in exact.items()
        }
        return {name: value + errors[name] for name, value in exact.items()}


def run_with_noise(folder: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run a federation in this process with errors in what is averaged; returns its rounds and the mean AUC."""
    _write_sites(folder / "sites", options)
    plan = Plan.of(_list_options(options), folder.name)
    workers = {site.name: SiteWorker(site) for site in read_sites(folder / "sites")}

    def ask(task: str, weights: Any, fold: int, number: int, asked: Sequence[str]) -> dict[str, Answer]:
        return {site: workers[site].answer(task, weights, plan, fold, number) for site in asked}

    record = FederationRecord(folder / "results", plan, "")
    Coordinator(plan, list(workers), ask, record, averaging=NoisyAveraging(seed)).run()
    for worker in workers.values():
        worker.close()
    return _read_fold(record.content)


def find_unlike(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the first round with a mean over the sites that differs by more than `DIGIT`; None for none."""
    for first, second in zip(one, other, strict=True):
        if any(abs(value - second["mean"][name]) > DIGIT for name, value in first["mean"].items()):
            return int(first["round"])
    return None


def _write_sites(folder: Path, options: argparse.Namespace) -> None:
    write_phantom_sites(folder, options.sites, options.images, 200, 32, contrast=(0.6, 0.9))


def _list_options(options: argparse.Namespace) -> dict[str, Any]:
    return {**(TINY if options.quick else NETWORK), **TRAINING, "rounds": options.rounds}


def _read_fold(content: Mapping[str, Any]) -> dict[str, Any]:
    fold = content["folds"]["0"]
    return {"auc": fold["test"]["mean"]["test_auc"], "rounds": fold["rounds"]}


def _count_cpu_seconds() -> float:
    """Count the seconds of this process and of all those that it has begun and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(found.ru_utime + found.ru_stime for found in used)


def _count_busy_seconds() -> float:
    """Count the seconds of all that the machine does."""
    found = psutil.cpu_times()
    return float(found.user + found.system + getattr(found, "nice", 0.0))  # where there is low priority by itself


def _count_sent() -> int:
    counters = psutil.net_io_counters(pernic=True)
    return int(counters["lo" if "lo" in counters else "lo0"].bytes_sent)


if __name__ == "__main__":
    sys.exit(main())

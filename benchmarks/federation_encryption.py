"""What encrypted updates cost: ``python -m benchmarks.federation_encryption --json FILE``.

The same federation on generated sites, as it is and with ``--privacy encryption``, in turns, in real processes of
NVFlare's simulator. Bytes are those that the loopback carries meanwhile, so that nothing else may talk over it; a
network namespace has one of its own: ``unshare --net sh -c "ip link set lo up; python -m ..."``.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from safetensors.numpy import load_file

from benchmarks.pages.federation_encryption import list_rows
from benchmarks.report import add_common_options, new_result, save_result, text_table
from medmamba_monai.core.environment import set_environment
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.federation import simulate, write_phantom_sites

ROOT = Path(__file__).resolve().parents[1]
NETWORK: dict[str, Any] = {"depths": [1, 1, 2, 1], "channels": [32, 64, 128, 256]}
"""That of the demo."""
TINY: dict[str, Any] = {"depths": [1, 1], "channels": [8, 16]}
TRAINING: dict[str, Any] = {"image_size": 32, "batch_size": 16, "learning_rate": 0.002, "folds": [0]}
SHORT = {"images": 20, "rounds": 1}
WAYS = ("none", "encryption")
"""Values of ``--privacy``."""


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
    result |= measure(options)
    print(text_table(*list_rows(result)))
    save_result(result, options.json)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run each federation as often as asked for; returns the runs of each, and the number of weights.

    A short one before them is not counted: what it compiles and reads, the others find.
    """
    shutil.rmtree(options.folder, ignore_errors=True)
    run_federation(options.folder.resolve() / "before", WAYS[0], argparse.Namespace(**vars(options) | SHORT))
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    networks: dict[Path, dict[str, np.ndarray]] = {}
    for number in range(options.repetitions):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            folder = options.folder.resolve() / f"{way}_{number + 1}"
            runs[way].append(run_federation(folder, way, options))
            networks[folder] = read_network(folder)
            runs[way][-1]["difference"] = compare_networks(networks[folder], next(iter(networks.values())))
            print(f"{folder.name}: {runs[way][-1]}", flush=True)
    weights = sum(value.size for value in next(iter(networks.values())).values() if value.dtype.kind == "f")
    return {"weights": weights, "runs": runs}


def run_federation(folder: Path, privacy: str, options: argparse.Namespace) -> dict[str, float]:
    """Run a federation at sites of its own; returns what it took, and the mean AUC of the sites' tests."""
    write_phantom_sites(folder / "sites", options.sites, options.images, 200, 32, contrast=(0.6, 0.9))
    network = TINY if options.quick else NETWORK
    begun, computed, busy, sent = time.monotonic(), _count_cpu_seconds(), _count_busy_seconds(), _count_sent()
    with set_environment({"OMP_NUM_THREADS": "1"}):
        content = simulate(
            folder / "sites", folder / "results", **network, **TRAINING, rounds=options.rounds, privacy=privacy
        )
    own = _count_cpu_seconds() - computed
    return {
        "seconds": time.monotonic() - begun,
        "cpu_seconds": own,
        "cpu_seconds_of_others": _count_busy_seconds() - busy - own,
        "bytes": _count_sent() - sent,
        "auc": content["folds"]["0"]["test"]["mean"]["test_auc"],
    }


def read_network(folder: Path) -> dict[str, np.ndarray]:
    """Read the network of the first site, which is that of all."""
    found: dict[str, np.ndarray] = load_file(
        folder / "sites" / "output" / "site_1" / "federation" / "fold_0" / "model.safetensors"
    )
    return found


def compare_networks(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Return the largest difference in a weight."""
    return max(float(np.abs(one[name] - other[name]).max()) for name in one if one[name].dtype.kind == "f")


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

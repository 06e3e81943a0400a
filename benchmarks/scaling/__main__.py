"""How cross-validations scale: ``python -m benchmarks.scaling --json FILE``.

Measured: processes that log what folds log, without a pause, to real stores; what a fold writes into its folder.
Simulated: five folds of ten networks with three seeds on as many workers as are asked for, with the measured times of
the stores and the measured speed of the networks.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pages.scaling import scaling_part
from benchmarks.report import RESULTS, add_common_options, load_result, new_result, save_result
from benchmarks.scaling.arrived import send_rest
from benchmarks.scaling.folder import measure_folder
from benchmarks.scaling.folds import measure_folds
from benchmarks.scaling.simulation import Service, Training, simulate
from benchmarks.scaling.stores import STORES, why_not
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.tracking.journal_sender import BYTES_PER_SECOND

FOLDS, SEEDS, EPOCHS = 5, 3, 100
IMAGES, VALIDATED = 4186, 1046
"""Images of an epoch: those of PneumoniaMNIST, four folds to learn from and one to validate on."""

START_SECONDS = 13.0
"""What a fold's process imports before it begins, on a core of the machine of `baselines.json`."""

SPEEDS = {"CPU": 1.0, "GPU": 200.0}
"""How many times as fast as there networks train; 200 is what an H200 makes of MedMamba-T in float32."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, simulate, print and write; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description=__doc__)
    numbers = [1, 2, 4, 8, 16, 32, 64]
    parser.add_argument("--folds", type=int, nargs="+", default=numbers, help="that log at a time, measured")
    parser.add_argument("--workers", type=int, nargs="+", default=numbers, help="simulated")
    parser.add_argument("--stores", nargs="+", choices=list(STORES), default=list(STORES))
    parser.add_argument("--seconds", type=float, default=12.0, help="how long folds log to a store at each number")
    parser.add_argument("--weight-bytes", type=int, default=58_000_000, help="that a fold logs")
    parser.add_argument("--server-workers", type=int, default=4, help="processes of the MLflow server; its default")
    parser.add_argument("--epochs", type=int, default=6, help="of the fold whose folder is looked at")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.folds, options.seconds, options.weight_bytes, options.epochs = options.folds[:2], 1.0, 1000, 2
    result = new_result("scaling", {name: value for name, value in vars(options).items() if name != "json"})
    result["load"] = os.getloadavg()[2]
    left_out = {name: why for name in options.stores if (why := why_not(name))}
    stores = {name: measure_store(name, options) for name in options.stores if name not in left_out}
    small = {"depths": [1, 1], "channels": [8, 16]} if options.quick else {}
    with tempfile.TemporaryDirectory() as folder:
        result |= {
            "stores": stores,
            "left_out": left_out,
            "folder": measure_folder(Path(folder), options.epochs, **small),
        }
    result["simulated"] = simulate_all(stores, options)
    print(scaling_part(result))
    save_result(result, options.json)
    return 0


def measure_store(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure a store with one number of folds after the other."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)  # PostgreSQL runs as another user
        with STORES[name](place, options.server_workers) as address:
            for number in options.folds:
                run = place / f"run_{number}"
                measured = measure_folds(run, address, number, options.seconds, options.weight_bytes)
                found.append(measured | send_rest(run, number))
                print(f"{name}: {found[-1]}", flush=True)
    return found


def make_service(measured: Sequence[Mapping[str, Any]], weight_bytes: int) -> Service:
    """Return how long a store is busy with a fold that is alone, and with an epoch where most are logged a second."""
    alone = measured[0]
    fastest = max(one["epochs_per_second"] for one in measured)
    return Service(alone["begin"]["median"], 1 / fastest, alone["end"]["median"], weight_bytes / BYTES_PER_SECOND)


def read_networks() -> dict[str, dict[str, float]]:
    """Return images a second in training and in inference, and parameters, of ten networks that were measured."""
    baselines, model = (load_result(RESULTS / f"{name}.json") for name in ("baselines", "model"))
    rates = {(one["task"], one["name"]): one["images_per_second"] for one in baselines["times"]}
    networks = {
        one["name"]: {
            "training": rates["training, batch 64", one["name"]],
            "inference": rates["inference, batch 64", one["name"]],
        }
        for one in baselines["sizes"]
    }
    medians = {(one["task"], one["name"]): one["median"] for one in model["times"]}
    networks["ViT-S/16"] = {
        "training": 8 / medians["training step, batch 8", "ViT-S/16"],
        "inference": 8 / medians["forward, batch 8", "ViT-S/16"],
    }
    return networks


def list_trainings(speed: float) -> list[Training]:
    """Return all folds, network by network as `repeat` submits them.

    Args:
        speed: how many times as fast as on the machine of the measurement.
    """
    return [
        Training(EPOCHS, (IMAGES / rate["training"] + VALIDATED / rate["inference"]) / speed, START_SECONDS)
        for rate in read_networks().values()
        for _ in range(SEEDS * FOLDS)
    ]


def simulate_all(stores: Mapping[str, Sequence[Mapping[str, Any]]], options: argparse.Namespace) -> dict[str, Any]:
    """Simulate each speed with each store and each number of workers, also with the longest folds first."""
    simulated: dict[str, Any] = {}
    for speed, factor in SPEEDS.items():
        trainings = list_trainings(factor)
        longest_first = sorted(trainings, key=lambda one: one.seconds, reverse=True)
        simulated[speed] = {}
        for name, measured in stores.items():
            service = make_service(measured, options.weight_bytes)
            simulated[speed][name] = [
                {
                    **simulate(trainings, number, service)._asdict(),
                    "seconds_longest_first": simulate(longest_first, number, service).seconds,
                }
                for number in options.workers
            ]
    return simulated


if __name__ == "__main__":
    sys.exit(main())

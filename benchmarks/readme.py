"""Write the README's table of speed from ``benchmarks/results``: ``python -m benchmarks.readme``.

The block between the two markers is made of ``model.json``, ``scan.json``, ``growth.json``, ``loading.json`` and
``gpu.json``, of those that are there, and of nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth import exponent, largest_two, series
from benchmarks.loading import BASELINE as UNCACHED
from benchmarks.loading import TRAINING
from benchmarks.model import BASELINE, FORWARD_1, FORWARD_8, LOOP, OWN, RECORDING_1, TRAINING_8
from benchmarks.report import RESULTS, load_result, megabytes, milliseconds
from benchmarks.timing import Times
from medmamba_monai.errors import UserError, error_message
from medmamba_monai.files import write_text

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
README = Path(__file__).resolve().parents[1] / "README.md"
NAMES = ("model", "scan", "growth", "loading", "gpu")
ORDER = (OWN, "MedMamba-T, folded", LOOP, "MedMamba-T, bfloat16", BASELINE, "ResNet-50, bfloat16", "Swin-T", "ViT-S/16")
NETWORK_TASKS = (FORWARD_1, FORWARD_8, TRAINING_8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the block, or print it with ``--print``; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--readme", type=Path, default=README, metavar="FILE")
    parser.add_argument("--print", action="store_true", help="write no file")
    options = parser.parse_args(arguments)
    try:
        block = render(load_results(options.results))
        if options.print:
            print(block)
        else:
            write_text(options.readme, replace_block(options.readme.read_text(encoding="utf-8"), block))
    except UserError as error:
        print(error_message(error), file=sys.stderr)
        return 2
    return 0


def load_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the results that are in a folder, by name.

    Raises:
        UserError: a result was interrupted or made with ``--quick``: it is no figure to show.
    """
    results = {name: load_result(folder / f"{name}.json") for name in NAMES if (folder / f"{name}.json").exists()}
    for name, result in results.items():
        if result.get("interrupted") or result["options"].get("quick"):
            raise UserError(f"{folder / name}.json was interrupted or made with --quick: measure it again")
    return results


def find_block(text: str) -> str | None:
    """Return what stands between the markers, None if they are not there."""
    if BEGIN not in text or END not in text:
        return None
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n")


def replace_block(text: str, block: str) -> str:
    """Return the README with a new block.

    Raises:
        UserError: there are no markers.
    """
    old = find_block(text)
    if old is None:
        raise UserError(f"the README has no lines {BEGIN} and {END}: put them where the table belongs")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{block}\n{END}{rest.partition(END)[2]}"


def render(results: dict[str, dict[str, Any]]) -> str:
    """Render the block from results by name.

    Raises:
        UserError: there are none.
    """
    if not results:
        raise UserError(f"there is no result in {RESULTS.name}/: run `make benchmarks` first")
    writers = {"model": _model, "scan": _scan, "growth": _growth, "loading": _loading, "gpu": _gpu}
    return "\n\n".join(writers[name](results[name]) for name in NAMES if name in results)


def _model(result: dict[str, Any]) -> str:
    times = {(entry["name"], entry["task"]): entry for entry in result["times"]}
    peaks = {entry["name"]: entry["bytes"] for entry in result["memory"] if entry["task"] == TRAINING_8}
    names = [name for name in ORDER if any(key[0] == name for key in times)]
    rows = []
    for name in names:
        cells = [_time_cell(times.get((name, task))) for task in NETWORK_TASKS]
        rows.append([name, *cells, megabytes(peaks[name]) if name in peaks else ""])
    size, machine = result["options"]["image_size"], result["machine"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    titles = [f"{size} pixels, {threads}", *NETWORK_TASKS, f"peak memory, {TRAINING_8}"]
    note = (
        f"Medians, and in brackets the ratio to {BASELINE} within each round. {_made(result)} A training step is "
        f"forward, backward and plain gradient descent; float32 where no other type is named.{_loop(times)}"
    )
    return f"{_markdown(titles, rows)}\n\n{note}"


def _loop(times: dict[tuple[str, str], dict[str, Any]]) -> str:
    """Say how much longer the Python loop takes, which depends on whether it records gradients."""
    found = []
    for task in (FORWARD_1, RECORDING_1):
        pair = {name: times[name, task]["seconds"] for name in (LOOP, OWN) if (name, task) in times}
        if len(pair) == 2:
            found.append(f"{Times(pair).ratio(LOOP, OWN).median:.1f}")
    if len(found) < 2:
        return ""
    return (
        f" With the scan as a Python loop, the forward pass at batch 1 takes {found[0]} times as long in inference "
        f"mode, and {found[1]} times where gradients are recorded."
    )


def _time_cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return ""
    ratio = f" ({entry['ratio']['median']:.2f})" if "ratio" in entry and entry["name"] != BASELINE else ""
    return milliseconds(entry["median"]) + ratio


def _scan(result: dict[str, Any]) -> str:
    """Say how exact the CPU's kernel is, over all cases with a bar."""
    worst: dict[str, list[float]] = {}
    for entry in result["accuracy"]:
        if entry["met"] is not None:
            output, *gradients = (float(error) for error in entry["errors"].values())
            before = worst.get(entry["backend"], [0.0, 0.0])
            worst[entry["backend"]] = [max(before[0], output), max(before[1], *gradients)]
    longest = max(entry["length"] for entry in result["accuracy"])
    lines = [f"`{name}` {y:.1e} in the output and {grad:.1e} in a gradient" for name, (y, grad) in worst.items()]
    accuracy = f"Largest relative errors of the scan against float64, up to {longest:,} tokens: {'; '.join(lines)}."
    reached = {entry["task"]: entry["of_limit"] for entry in result["times"] if entry["of_limit"]}
    if not reached:
        return accuracy
    limits = [f"{kind} {100 * _largest_task(reached, kind):.0f} %" for kind in ("forward", "forward+backward")]
    return (
        f"{accuracy} The exponentials alone, one for each state at each token (and again in the backward pass), would "
        f"take this part of the `numba` kernel's time in the first stage: {', '.join(limits)}."
    )


def _largest_task(reached: dict[str, float], kind: str) -> float:
    """Return the entry of the first task of a kind, which is that of the first stage."""
    return next(part for task, part in reached.items() if task.split()[0] == kind)


def _growth(result: dict[str, Any]) -> str:
    threads = max(result["options"]["threads"])
    times = series(result["times"], "median")
    found = {
        name: exponent(largest_two(values)) for (name, task, n), values in times.items() if _counts(task, n, threads)
    }
    slopes = ", ".join(f"{name} {slope:.2f}" for name, slope in found.items() if slope is not None)
    sizes = sorted(result["options"]["sizes"])[-2:]
    picture = "![Time and peak memory against the size of the image](docs/images/growth.svg)"
    between = f"between {sizes[0]} and {sizes[-1]} pixels"
    return (
        f"{picture}\n\nExponent of a training step's time in the number of pixels, {between} (1 is linear): {slopes}."
    )


def _counts(task: str, threads: int, most: int) -> bool:
    return task == "training step" and threads == most


def _loading(result: dict[str, Any]) -> str:
    tasks = list(dict.fromkeys(entry["task"] for entry in result["times"]))
    found = {(entry["name"], entry["task"]): entry for entry in result["times"]}
    names = [name for name in dict.fromkeys(name for name, _ in found) if not name.startswith(TRAINING)]
    rows = [[name, *(_speed_cell(found.get((name, task))) for task in tasks)] for name in names]
    trained = {entry["task"]: entry for entry in result["times"] if entry["name"].startswith(TRAINING)}
    rows.append([TRAINING, *(_speed_cell(trained.get(task)) for task in tasks)])
    sizes = [
        f"{entry['name']} {entry['bytes'] / entry['images'] / 1024:.0f} KiB ({entry['task']})"
        for entry in result["memory"]
        if entry["name"] != UNCACHED
    ]
    note = (
        f"Images per second by where decoded images are kept, and in brackets how many times as many as the network "
        f"trains with in the same round: MedMamba-T on the generated PNG files, the demo's network on PneumoniaMNIST. "
        f"Peak memory of an epoch for each image: {', '.join(sizes)}; what is kept on disk counts pages of the file "
        f"there, which the system takes back when it needs them. {_made(result)}"
    )
    return f"{_markdown(['images per second', *tasks], rows)}\n\n{note}"


def _speed_cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return ""
    ratio = f" ({entry['of_training']:.1f})" if entry["of_training"] is not None else ""
    return f"{entry['images_per_second']:,.0f}{ratio}"


def _gpu(result: dict[str, Any]) -> str:
    entries = [
        entry for name, part in result["parts"].items() if name.startswith("networks:") for entry in part["found"]
    ]
    tasks = list(dict.fromkeys(entry["task"] for entry in entries if "images_per_second" in entry))
    names = list(dict.fromkeys(entry["name"].removesuffix(", bfloat16") for entry in entries))
    speed = {(entry["name"].removesuffix(", bfloat16"), entry["task"]): entry for entry in entries}
    rows = []
    for task in tasks:
        found = (speed.get((name, task), {}).get("images_per_second") for name in names)
        rows.append([task, *("" if value is None else f"{value:,.0f}" for value in found)])
    return f"{_markdown(['images per second', *names], rows)}\n\n{_made(result)}"


def _made(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"Measured on {machine['date'][:10]} on {machine.get('gpu', machine['cpu'])}, commit "
        f"{(machine['revision'] or 'unknown')[:10]}{' with changes' if machine.get('dirty') else ''}, "
        f"torch {machine['packages']['torch']}."
    )


def _markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())

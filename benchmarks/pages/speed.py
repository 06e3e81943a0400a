"""The documents' texts and tables of speed, each from one result; nothing in them is from anywhere else."""

from __future__ import annotations

from typing import Any

from benchmarks.augmentation import TRAINING as AUGMENTED_TRAINING
from benchmarks.baselines import table as baselines_table
from benchmarks.gpu.bars import BATCH, GOALS, IMAGE_SIZE
from benchmarks.growth_tables import exponent, largest_two, series
from benchmarks.loading import BASELINE as UNCACHED
from benchmarks.loading import TRAINING
from benchmarks.model import BASELINE, FORWARD_1, FORWARD_8, LOOP, OWN, RECORDING_1, TRAINING_8
from benchmarks.report import Bar, markdown_table, measured_on, megabytes, milliseconds
from benchmarks.timing import Times

ORDER = (OWN, "MedMamba-T, folded", LOOP, "MedMamba-T, bfloat16", BASELINE, "ResNet-50, bfloat16", "Swin-T", "ViT-S/16")
NETWORK_TASKS = (FORWARD_1, FORWARD_8, TRAINING_8)


def model_part(result: dict[str, Any]) -> str:
    """Write times and peak memory of the networks at small batches."""
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
        f"Medians, and in brackets the ratio to {BASELINE} within each round. {measured_on(result)} A training step is "
        f"forward, backward and plain gradient descent; float32 where no other type is named.{_loop(times)}"
    )
    return f"{markdown_table(titles, rows)}\n\n{note}"


def baselines_part(result: dict[str, Any]) -> str:
    """Write size and speed of all networks that the pipeline trains."""
    return f"{baselines_table(result)} {measured_on(result)}"


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


def scan_part(result: dict[str, Any]) -> str:
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


def growth_part(result: dict[str, Any]) -> str:
    """Show the figure of growth, and say how a training step grows with the number of pixels."""
    threads = max(result["options"]["threads"])
    times = series(result["times"], "median")
    found = {
        name: exponent(largest_two(values)) for (name, task, n), values in times.items() if _counts(task, n, threads)
    }
    slopes = ", ".join(f"{name} {slope:.2f}" for name, slope in found.items() if slope is not None)
    sizes = sorted(result["options"]["sizes"])[-2:]
    picture = "![Time and peak memory against the size of the image](../images/growth.svg)"
    between = f"between {sizes[0]} and {sizes[-1]} pixels"
    return (
        f"{picture}\n\nExponent of a training step's time in the number of pixels, {between} (1 is linear): {slopes}."
    )


def _counts(task: str, threads: int, most: int) -> bool:
    return task == "training step" and threads == most


def loading_part(result: dict[str, Any]) -> str:
    """Write how fast images are loaded, beside how fast they are trained with."""
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
        f"there, which the system takes back when it needs them. {measured_on(result)}"
    )
    return f"{markdown_table(['images per second', *tasks], rows)}\n\n{note}"


def augmentation_part(result: dict[str, Any]) -> str:
    """Write what conversion and augmentation take, beside MONAI's transforms and a training step of the same rounds."""
    tasks = list(dict.fromkeys(entry["task"] for entry in result["times"]))
    found = {(entry["name"], entry["task"]): entry for entry in result["times"]}
    names = [name for name in dict.fromkeys(name for name, _ in found) if name != AUGMENTED_TRAINING]
    rows = [[name, *(_part_cell(found.get((name, task))) for task in tasks)] for name in names]
    note = (
        "Part of a training step's time that an image takes before it, and in brackets how many times as fast that is "
        "as MONAI's transforms image by image, both within each round: MedMamba-T on the generated PNG files, the "
        "demo's network on PneumoniaMNIST; images are kept decoded in memory, or there as one tensor. "
        f"{measured_on(result)}"
    )
    return f"{markdown_table(['of a training step', *tasks], rows)}\n\n{note}"


def _part_cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return ""
    return f"{100 * entry['of_training']:.2g} % ({1 / entry['ratio']['median']:.3g})"


def _speed_cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return ""
    ratio = f" ({entry['of_training']:.1f})" if entry["of_training"] is not None else ""
    return f"{entry['images_per_second']:,.0f}{ratio}"


def gpu_part(result: dict[str, Any]) -> str:
    """Write what is to be reached on a GPU beside what was measured, then the images per second of each network."""
    return f"{goals_table(result['parts'])}\n\n{networks_table(result['parts'])}\n\n{measured_on(result)}"


def goals_table(parts: dict[str, Any]) -> str:
    """Write a row for every goal: what it asks for, the figure or that there is none, and whether it is reached."""
    rows = []
    for goal in GOALS:
        figure = goal.figure(parts)
        bar = Bar(goal.text, figure, goal.limit, goal.at_least)
        reached = {True: "yes", False: "no", None: ""}[bar.met]
        asked = f"{'at least' if goal.at_least else 'at most'} {goal.limit:,g} {goal.unit}".rstrip()
        rows.append([goal.text, asked, "not measured" if figure is None else _with_unit(figure, goal.unit), reached])
    return markdown_table([f"MedMamba-T, {IMAGE_SIZE} pixels, batch {BATCH}", "goal", "measured", "reached"], rows)


def _with_unit(figure: float, unit: str) -> str:
    return f"{figure:,.{0 if figure >= 1000 or figure == int(figure) else 1 if figure >= 20 else 2}f} {unit}".rstrip()


def networks_table(parts: dict[str, Any]) -> str:
    """Write the images per second of each network."""
    measured = [part["found"] for name, part in parts.items() if name.startswith(("networks:", "compiled:"))]
    entries = [entry for found in measured for entry in found]
    tasks = list(dict.fromkeys(entry["task"] for entry in entries if "images_per_second" in entry))
    names = list(dict.fromkeys(_network_of(entry) for entry in entries))
    speed = {(_network_of(entry), entry["task"]): entry for entry in entries}
    rows = []
    for task in tasks:
        found = (speed.get((name, task), {}).get("images_per_second") for name in names)
        rows.append([task, *("" if value is None else f"{value:,.0f}" for value in found)])
    return markdown_table(["images per second", *names], rows)


def _network_of(entry: dict[str, Any]) -> str:
    """Return the network's name without what the task says, too."""
    return str(entry["name"].removesuffix(", bfloat16").removesuffix(", compiled"))

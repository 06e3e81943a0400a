"""The figure of ``benchmarks.growth``: time and memory against the edge of the image, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.growth_tables import series
from medmamba_monai.evaluation.figures.style import FONT_SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: dict[str, tuple[str, str]] = {
    "MedMamba-T": ("#0072B2", "o"),
    "MedMamba-T, checkpointed": ("#56B4E9", "v"),
    "ResNet-50": ("#E69F00", "s"),
    "ViT-S/16": ("#CC79A7", "^"),
}
"""Color and marker of each network: Okabe and Ito's palette, and told apart by the marker alone."""
OTHERS = ("#555555", "D")
LINES: dict[str, Any] = {"training step": "-", "inference": "--"}
_INK = "#222222"


def draw_growth(result: dict[str, Any]) -> Figure:
    """Draw a result of ``benchmarks.growth`` at its largest number of threads."""
    from matplotlib.figure import Figure

    threads = max(result["options"]["threads"])
    figure = Figure(figsize=(6.4, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, result["times"], "median", threads, 1, _seconds_label)
    _panel(right, result["memory"], "bytes", threads, 1e6, _megabytes_label)
    left.set_title("time", fontsize=FONT_SIZE + 1, color=_INK)
    right.set_title("peak memory", fontsize=FONT_SIZE + 1, color=_INK)
    figure.supxlabel("edge of the image, pixels", fontsize=FONT_SIZE, color=_INK)
    _add_legends(figure, left, [entry["name"] for entry in result["times"]])
    return figure


_COLUMNS = 2
"""Of the legend: more names side by side are wider than the figure."""


def _panel(
    axes: Axes, entries: list[dict[str, Any]], value: str, threads: int, unit: float, label: Callable[[float], str]
) -> None:
    sizes = sorted({entry["image_size"] for entry in entries})
    for (name, task, of_threads), values in series(entries, value).items():
        if of_threads == threads:
            color, marker = STYLES.get(name, OTHERS)
            points = [values[size] / unit for size in values]
            axes.plot(list(values), points, LINES[task], marker=marker, color=color, linewidth=1.8, markersize=5.5)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [tick for power in range(-4, 6) for tick in (10.0**power, 3 * 10.0**power) if low <= tick <= high]
    axes.set_yticks(ticks, [label(tick) for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(labelsize=FONT_SIZE, labelcolor=_INK, color="#bbbbbb")
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")


def _add_legends(figure: Figure, axes: Axes, names: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for name in dict.fromkeys(names):
        color, marker = STYLES.get(name, OTHERS)
        handles.append(Line2D([], [], color=color, marker=marker, linewidth=1.8, markersize=5.5, label=name))
    style: dict[str, Any] = {"frameon": False, "fontsize": FONT_SIZE, "labelcolor": _INK, "handlelength": 2.2}
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), _COLUMNS), **style)
    tasks = [Line2D([], [], color=_INK, linestyle=line, label=task) for task, line in LINES.items()]
    axes.legend(handles=tasks, loc="lower right", borderaxespad=0.1, **style)  # curves that rise leave room there


def _seconds_label(seconds: float) -> str:
    return f"{1000 * seconds:g} ms" if seconds < 0.999 else f"{seconds:g} s"


def _megabytes_label(megabytes: float) -> str:
    return f"{megabytes:g} MB" if megabytes < 999 else f"{megabytes / 1000:g} GB"

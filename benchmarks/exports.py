"""Compare the formats of exports: ``python -m benchmarks.exports``.

MedMamba-T and ResNet-50 with random weights, at batch 1, are written in each format and run by its own runtime; all
of them and both eager networks take turns in one run. A row says whether a format works, its largest difference of a
probability, its size, how long it took to make, and its latency beside the eager network and beside ResNet-50 in the
same format.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import build_network
from benchmarks.report import add_common_options, markdown_table, measured_on, new_result, save_result
from benchmarks.timing import Function, interleave
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.export.classifier import Classifier
from medmamba_monai.export.formats import FORMATS, Run
from medmamba_monai.export.prepare import make_loopable, make_plain

NETWORKS = {"medmamba": "MedMamba-T", "resnet50": "ResNet-50"}
EAGER = "eager"


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    chosen = {key: getattr(options, key) for key in ("image_size", "rounds", "formats", "quick")}
    result = new_result("exports", chosen, describe_machine(threads=options.threads))
    with tempfile.TemporaryDirectory() as folder:
        result["rows"] = measure(Path(folder), options)
    print(f"\n{exports_table(result)}")
    save_result(result, options.json)
    return 0


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Write and run every format of both networks, and return a row for each."""
    images = torch.rand(1, 3, options.image_size, options.image_size) * 2 - 1
    rows: list[dict[str, Any]] = []
    calls: dict[str, Function] = {}
    for network in NETWORKS:
        eager = Classifier([build_network(network, options.image_size).eval()], "softmax").eval()
        calls[f"{network} {EAGER}"] = torch.inference_mode()(partial(eager, images))
        for name in options.formats:
            row, run = export(name, eager, images, folder / f"{network} {name}")
            rows.append({"network": network, **row})
            if run is not None:
                calls[f"{network} {name}"] = partial(run, images.numpy())
    times = interleave(calls, options.rounds, label="exports")
    times.stop_if_interrupted()
    for row in rows:
        own = f"{row['network']} {row['format']}"
        if own in calls:
            row["seconds"] = times.summary(own).median
            row["times_eager"] = times.ratio(own, f"{row['network']} {EAGER}").median
            if (other := f"resnet50 {row['format']}") in calls:
                row["times_resnet50"] = times.ratio(own, other).median
    return rows


def export(name: str, eager: Classifier, images: torch.Tensor, folder: Path) -> tuple[dict[str, Any], Run | None]:
    """Write one format and run it once: its row, and what runs it, or None where it does not work."""
    kind = FORMATS[name]
    kind.check_installed()
    folder.mkdir()
    prepare = make_loopable if kind.looped else make_plain
    networks: list[nn.Module] = [prepare(network) for network in eager.networks]
    start = time.perf_counter()
    try:
        module = Classifier(networks, "softmax").eval()
        kind.write(module, images.repeat(2, 1, 1, 1), folder / kind.file, {0: "batch"}, "fp32")
        made = time.perf_counter() - start
        run = kind.load(folder / kind.file, torch.get_num_threads())
        found = run(images.numpy())
    except (RuntimeError, ValueError, NotImplementedError) as error:
        return {"format": name, "works": False, "reason": str(error).splitlines()[0]}, None
    with torch.inference_mode():
        difference = float(np.abs(found - eager(images).numpy()).max())
    size = sum(path.stat().st_size for path in kind.list_files(folder))
    return {"format": name, "works": True, "difference": difference, "bytes": size, "seconds_to_make": made}, run


def exports_table(result: dict[str, Any]) -> str:
    """Return the rows as a Markdown table."""
    titles = ["network", "format", "works", "difference", "size", "made in", "beside eager", "beside ResNet-50"]
    return markdown_table(titles, [_format_row(row) for row in result["rows"]])


def exports_part(result: dict[str, Any]) -> str:
    """Write the table and how it was measured."""
    options = result["options"]
    note = (
        f"Random weights, {options['image_size']} pixels, batch 1: the largest difference of a probability from the "
        f"eager network, and medians of latency ratios over {options['rounds']} rounds in which all take turns. "
        f"{measured_on(result)}"
    )
    return f"{exports_table(result)}\n\n{note}"


def _format_row(row: dict[str, Any]) -> list[str]:
    head = [NETWORKS[row["network"]], row["format"]]
    if not row["works"]:
        return [*head, f"no: {row['reason']}", *["–"] * 5]
    figures = [f"{row['difference']:.0e}", f"{row['bytes'] / 1e6:.1f} MB", f"{row['seconds_to_make']:.0f} s"]
    beside = [f"{row[key]:.1f}" if key in row else "–" for key in ("times_eager", "times_resnet50")]
    return [*head, "yes", *figures, *beside]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.exports", description=__doc__)
    parser.add_argument("--image-size", type=int, metavar="PIXELS")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), metavar="FORMAT")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.image_size = options.image_size or (32 if options.quick else 224)
    options.rounds = options.rounds or (1 if options.quick else 7)
    if unknown := [name for name in options.formats if name not in FORMATS]:
        raise UserError(f"--formats: {unknown} are none; there are {', '.join(FORMATS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())

"""The parts of ``benchmarks.gpu``: each is run once, written at once, and kept when the command is started again."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.bars import gpu_bars
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.catalogue import Part, all_parts
from benchmarks.machine import describe_machine, git_revision
from benchmarks.report import bar_table, load_result, new_result, save_result
from medmamba_monai.core.errors import UserError, get_first_line

LEAST_SECONDS = 15
"""A part does not begin with less time left than this."""


def run_parts(options: argparse.Namespace, budget: Budget | None = None) -> int:
    """Run what is not yet in the result; returns 0, 1 where a bar is missed or a part failed."""
    path, budget = options.output / "gpu.json", budget or Budget()
    result = begin(path, options)
    failed = False
    try:
        for name, part in chosen_parts(result, options, budget).items():
            if budget.is_spent(LEAST_SECONDS):
                print(f"\n== {name}: left out, the time is up; the same command goes on from here", flush=True)
                continue
            print(f"\n== {name}", flush=True)
            failed |= not run_part(result, name, part, options.quick)
            result["bars"] = [bar.entry() for bar in gpu_bars(result["parts"])]
            save_result(result, path)
    except KeyboardInterrupt:
        print("stopped: finished parts are kept, the same command goes on from there")
    print(f"\n{bar_table(result['bars'])}")
    return 1 if failed or any(bar["met"] is False for bar in result["bars"]) else 0


def run_part(result: dict[str, Any], name: str, part: Part, quick: bool) -> bool:
    """Run one part and put what it found, or why it failed, into the result; returns whether it succeeded."""
    try:
        found = part()
    except Exception as error:  # noqa: BLE001 - one part must not take the others with it
        print(f"failed: {error if isinstance(error, UserError) else get_first_line(error)}", flush=True)
        result["failed"][name] = get_first_line(error)
        return False
    result["failed"].pop(name, None)
    stamp = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), **git_revision()}
    result["parts"][name] = stamp | ({"shortened": True} if quick else {}) | {"found": found}
    return True


def begin(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Read the result that is there, or begin a new one, also where the one that is there is of another commit.

    Raises:
        UserError: the result that is there comes from another device or another size of images.
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
    if (then, before["options"]["image_size"]) != (now, options.image_size):
        raise UserError(f"{path} was measured on {then} with {before['options']}: choose another --output")
    if before["machine"]["revision"] != machine["revision"]:
        print(f"{path} was measured with commit {before['machine']['revision']}: everything is measured again")
        return result
    return before


def chosen_parts(result: dict[str, Any], options: argparse.Namespace, budget: Budget | None = None) -> dict[str, Part]:
    """Choose the parts that were asked for and are not finished; a name is asked for by its first word.

    A part that was measured with ``--quick`` counts as finished for ``--quick`` alone.

    Raises:
        UserError: a part that was asked for does not exist.
    """
    parts = dict(all_parts(result, options, budget or Budget()))
    kinds = list(dict.fromkeys(name.partition(":")[0] for name in parts))
    if unknown := sorted({*(options.parts or []), *options.again} - set(kinds)):
        raise UserError(f"no part is called {', '.join(unknown)}: choose among {', '.join(kinds)}")
    finished = {name for name, part in result["parts"].items() if options.quick or not part.get("shortened")}
    chosen = {}
    for name, part in parts.items():
        kind = name.partition(":")[0]
        wanted = kind in options.again or (kind in (options.parts or kinds) and name not in finished)
        if wanted and not (kind == "tests" and options.skip_tests):
            chosen[name] = part
    return chosen

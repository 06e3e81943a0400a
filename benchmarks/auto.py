"""How good `medmamba-monai auto` gets within a time: ``python -m benchmarks.auto --budget 10m --budget 45m``.

The command that a user types, on PneumoniaMNIST, once for each budget. Stopped and started again with the same
``--folder``, it goes on where it was. The figures are of this machine with whatever else it did meanwhile.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.report import RESULTS, markdown_table, measured_on, new_result, save_result
from medmamba_monai.auto.choose import read_choice
from medmamba_monai.auto.plan import read_plan
from medmamba_monai.auto.record import FILE_NAME, Record
from medmamba_monai.bundle.demo import find_dataset
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import read_result

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("auc", "accuracy")


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a search for each budget and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.auto", description=__doc__)
    parser.add_argument("--budget", action="append", required=True, help="as of auto, such as 10m; several times")
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "auto", help="of the searches")
    parser.add_argument("--json", type=Path, default=RESULTS / "auto.json")
    options = parser.parse_args(arguments)
    name, dataset_dir = find_dataset(ROOT)
    result = new_result("auto", {"budgets": options.budget, "dataset": name}, describe_machine())
    result["searches"] = []
    for budget in options.budget:
        folder = options.folder.resolve() / budget
        command = ["auto", "--bundle", name, "--dataset-dir", str(dataset_dir), "--output", str(folder)]
        given = [] if (folder / "plan.json").is_file() else ["--budget", budget]
        subprocess.run([sys.executable, "-m", "medmamba_monai", *command, *given], check=True)
        result["searches"].append(describe_search(folder))
    print(auto_part(result))
    save_result(result, options.json)
    return 0


def describe_search(folder: Path) -> dict[str, Any]:
    """Return the figures of a finished search.

    Args:
        folder: of the search.

    Raises:
        UserError: it has not come to a choice.
    """
    plan, choice = read_plan(folder), read_choice(folder)
    if choice is None:
        raise UserError(f"{folder}: holds no finished search")
    candidate = next(one for one in plan.candidates if one.name == choice.winner)
    result = read_result(RunFolder(folder / plan.bundle / "output" / choice.winner))
    chosen = candidate.options(plan)
    return {
        "budget": plan.budget_seconds,
        "spent": read_document(folder / FILE_NAME, Record).spent,
        "candidates": len(plan.candidates),
        "winner": choice.winner,
        **{name: chosen[name] for name in ("network_name", "image_size", "epochs", "recipe")},
        "folds": len(result.folds),
        "chosen_by": choice.scores[choice.winner].auc,
        "corrected": choice.corrected,
        "images": len(result.combined_predictions),
        "test": {name: _describe_metric(result, name) for name in SHOWN},
    }


def _describe_metric(result: Any, name: str) -> dict[str, float | None]:
    interval = result.intervals.metrics.get(name)
    limits = (None, None) if interval is None else (interval.low, interval.high)
    return {"value": result.metrics[name], "low": limits[0], "high": limits[1]}


def auto_part(result: dict[str, Any]) -> str:
    """Write what each budget came to, on images that no choice had seen."""
    titles = ["budget", "spent", "candidates", "winner", "trained", "AUC when chosen", "test AUC", "test accuracy (%)"]
    table = markdown_table(titles, [_row(search) for search in result["searches"]])
    images, machine = result["searches"][0]["images"], result["machine"]
    return (
        f"{table}\n\nPneumoniaMNIST, 28 pixels, threads of torch: {machine['threads']}, on {machine['cores']} cores. "
        "The AUC when chosen is that of the winner on validation images of the folds, by which it was chosen; the test "
        f"figures are of the winner's ensemble on the {images} test images, which no choice had seen, with 95 % "
        f"intervals. {measured_on(result)} Made by `python -m benchmarks.auto`."
    )


def _row(search: dict[str, Any]) -> list[str]:
    auc, accuracy = (search["test"][name] for name in SHOWN)
    return [
        f"{search['budget'] / 60:.0f} min",
        f"{search['spent'] / 60:.0f} min",
        str(search["candidates"]),
        search["winner"],
        f"{search['folds']} folds of {search['epochs']} epochs",
        f"{search['chosen_by']:.4f}",
        f"{auc['value']:.4f}{_interval(auc, 1, 4)}",
        f"{100 * accuracy['value']:.1f}{_interval(accuracy, 100, 1)}",
    ]


def _interval(metric: dict[str, Any], factor: float, digits: int) -> str:
    if metric["low"] is None:
        return ""
    return f" ({factor * metric['low']:.{digits}f} to {factor * metric['high']:.{digits}f})"


if __name__ == "__main__":
    sys.exit(main())

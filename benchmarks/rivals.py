"""Other programs beside `medmamba-monai auto`, with the same folds and the same time: ``python -m benchmarks.rivals``.

On PneumoniaMNIST and on the phantom, the search runs first; then each rival gets its budget, its folds and the images
of both parts, but no label of the test part. What is finished in ``--folder`` is not done again: to compare with a
search that exists, copy it to ``DATASET/ours`` there. A rival is a program of its own in ``benchmarks/rival_programs``
that imports nothing of this package. It runs in an environment of its own, which is made from the requirements beside
it unless it is there. Started by ``nice``, or beside other work, everyone gets less: run it alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.report import RESULTS, new_result, save_result
from benchmarks.rival_scores import Answer, describe_scores, read_answer, rivals_part
from medmamba_monai.auto.choose import Choice, read_choice
from medmamba_monai.auto.plan import read_plan
from medmamba_monai.auto.record import FILE_NAME, Record
from medmamba_monai.bundle.demo import find_dataset
from medmamba_monai.cards import load_card
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList, read_fold_list, write_phantom
from medmamba_monai.evaluation import read_result
from medmamba_monai.images.read import ReadImage

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(__file__).parent / "rival_programs"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Rival(NamedTuple):
    """Another program: its name for readers, and the name of its file and of its requirements."""

    title: str
    program: str


RIVALS = {
    "flaml": Rival("FLAML on pixels", "flaml_pixels"),
    "aucmedi": Rival("AUCMEDI", "aucmedi_networks"),
    "autogluon": Rival("AutoGluon on pixels", "autogluon_pixels"),
    "autokeras": Rival("AutoKeras", "autokeras_networks"),
}


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Let everyone run, score them and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.rivals", description=__doc__)
    parser.add_argument("--budget", default="10m", help="of everyone on PneumoniaMNIST, as of auto")
    parser.add_argument("--phantom-budget", default="5m", help="of everyone on the phantom")
    parser.add_argument("--rivals", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--threads", type=int, default=1, help="of everyone")
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "rivals", help="of what everyone writes")
    parser.add_argument("--environments", type=Path, help="with one named after each rival; by default in --folder")
    parser.add_argument("--json", type=Path, default=RESULTS / "rivals.json")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    environments = (options.environments or folder / "environments").resolve()
    name, dataset_dir = find_dataset(ROOT)
    tasks = [(name, dataset_dir, options.budget)] if name != "phantom" else []
    tasks.append(("phantom", write_phantom(folder / "images" / "phantom"), options.phantom_budget))
    result = new_result("rivals", {"rivals": options.rivals}, describe_machine(threads=options.threads))
    chosen = {rival: environments / rival for rival in options.rivals}
    result["datasets"] = [
        measure(folder / name, name, images, budget, chosen, options.threads) for name, images, budget in tasks
    ]
    print(rivals_part(result))
    save_result(result, options.json)
    return 0


def measure(
    folder: Path, name: str, dataset_dir: Path, budget: str, environments: Mapping[str, Path], threads: int
) -> dict[str, Any]:
    """Let the search and the rivals run on a dataset, and describe what they came to.

    Args:
        folder: of what they write.
        name: of the dataset.
        dataset_dir: of its images.
        budget: of everyone, such as 10m; a search that is there keeps its own, which is then everyone's.
        environments: of each rival that runs.
        threads: of everyone.

    Raises:
        UserError: the search or a rival came to no answer, or the dataset is none that rivals can take.
    """
    ours = run_search(folder / "ours", name, dataset_dir, budget, threads)
    plan = read_plan(folder / "ours")
    folds = read_fold_list(folder / "ours" / "data_lists" / name / "folds.json", dataset_dir, name=name)
    data = write_data(folds, folder / "data.npz")
    answers = {}
    for rival, environment in environments.items():
        python = make_environment(environment, RIVALS[rival].program)
        file = folder / f"{rival}.json"
        if not file.is_file():
            program = PROGRAMS / f"{RIVALS[rival].program}.py"
            run_program([python, program, data, file, plan.budget_seconds, threads], threads)
        answers[RIVALS[rival].title] = read_answer(
            file, ours.predictions, [item["id"] for item in folds.parts(0)["test"]]
        )
    title = load_card(ROOT / "data_lists" / name / "card.json").title
    return {"title": title, "budget": plan.budget_seconds, **describe_scores(ours, answers)}


def run_search(folder: Path, name: str, dataset_dir: Path, budget: str, threads: int) -> Answer:
    """Return what the winner of a search says of the test images; the search runs unless it has finished.

    Raises:
        UserError: it failed, or came to no choice.
    """
    if not (folder / "plan.json").is_file() or read_choice(folder) is None:
        given = [] if (folder / "plan.json").is_file() else ["--budget", budget]
        options = ["--bundle", name, "--dataset-dir", dataset_dir, "--output", folder, *given]
        run_program([sys.executable, "-m", "medmamba_monai", "auto", *options], threads)
    choice = read_choice(folder)
    if choice is None:
        raise UserError(f"{folder}: the search came to no choice; give it more time with another budget and folder")
    return _read_ours(folder, choice)


def write_data(folds: FoldList, path: Path) -> Path:
    """Write what every rival gets, unless it is there: images and labels, the fold of each, and the test images.

    Raises:
        UserError: there is no test part, an image has several labels, or images are not of one size in two dimensions.
    """
    if path.is_file():
        return path
    if not folds.has_test_set or folds.task == "multi-label":
        raise UserError(f"{folds.path}: rivals need a test part and one label for each image")
    parts, fold_of = folds.parts(0), {item.id: item.fold for item in folds.training}
    training = [*parts["train"], *parts["validation"]]
    read = ReadImage(**folds.reading)
    images, test = (
        [np.moveaxis(read(item["image"]).numpy(), 0, -1) for item in items] for items in (training, parts["test"])
    )
    shapes = {image.shape for image in (*images, *test)}
    if len(shapes) > 1 or images[0].ndim != 3:
        raise UserError(f"{folds.path}: rivals need 2D images of one size, found {sorted(shapes)[:3]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        images=_drop_single_channel(np.stack(images)),
        labels=np.array([item["label"] for item in training]),
        folds=np.array([fold_of[item["id"]] for item in training]),
        test_images=_drop_single_channel(np.stack(test)),
    )
    return path


def make_environment(folder: Path, program: str) -> Path:
    """Return the Python of a rival's environment, which is made unless it is there."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        requirements = PROGRAMS / f"{program}.txt"
        run_program([python, "-m", "pip", "install", "--quiet", "--requirement", requirements], threads=1)
    return python


def run_program(command: Sequence[object], threads: int) -> None:
    """Run a command with a number of threads; what it prints is seen.

    Raises:
        UserError: it failed.
    """
    texts = [str(word) for word in command]
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    if code := subprocess.run(texts, env=environment).returncode:
        raise UserError(f"{' '.join(texts)}: ended with {code}; what it printed says why")


def _drop_single_channel(images: np.ndarray) -> np.ndarray:
    return images[..., 0] if images.shape[-1] == 1 else images


def _read_ours(folder: Path, choice: Choice) -> Answer:
    run = RunFolder(folder / read_plan(folder).bundle / "output" / choice.winner)
    result, spent = read_result(run), read_document(folder / FILE_NAME, Record).spent
    return Answer(result.combined_predictions, spent, f"{choice.winner}, {len(result.folds)} folds", {})


if __name__ == "__main__":
    sys.exit(main())

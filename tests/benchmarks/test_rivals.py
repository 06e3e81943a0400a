"""What is said of rivals, from made answers; what their programs are given and may answer."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.rival_scores import OURS, Answer, describe_scores, name_winner, read_answer, rivals_part
from benchmarks.rivals import PROGRAMS, RIVALS, make_environment, run_program, write_data
from medmamba_monai.core.errors import UserError
from medmamba_monai.data import read_fold_list
from medmamba_monai.evaluation import Predictions
from medmamba_monai.images.read import ReadImage
from tests.helpers.machine import MACHINE
from tests.helpers.predicted_folds import predicted_folds
from tests.helpers.small_bundle import SmallBundle

RIVAL = "Rival"


def predictions(skill: float, seed: int = 0) -> Predictions:
    return predicted_folds("binary", images=120, skill=skill, seed=seed)[0].select("test")


def answer(skill: float, seed: int = 0) -> Answer:
    return Answer(predictions(skill, seed), 65.0, "trees", {"rival": "1.2"})


def written(ours: float, rival: float) -> str:
    dataset = {"title": "Phantom", "budget": 120.0, **describe_scores(answer(ours), {RIVAL: answer(rival, seed=1)})}
    return rivals_part(json.loads(json.dumps({"machine": MACHINE, "datasets": [dataset]})))


def test_a_rival_that_wins_is_said_to_win() -> None:
    text = written(ours=0.1, rival=2.0)
    row = next(line for line in text.splitlines() if line.startswith(f"| Phantom, 2 min: {RIVAL} |"))
    assert row.endswith(f" | {RIVAL} | {RIVAL} |")
    assert text.count(f"**{RIVAL} wins**") == 2


def test_where_the_search_wins_it_is_said_to_win() -> None:
    text = written(ours=2.0, rival=0.1)
    assert f"| {OURS} | {OURS} |" in text
    assert text.count(f"; {OURS} wins (") == 2
    assert "**" not in text


def test_a_difference_that_is_not_shown_is_no_win() -> None:
    text = written(ours=1.0, rival=1.0)
    assert text.count("no difference is shown") == 2
    assert " wins (" not in text


@pytest.mark.parametrize(
    ("difference", "p", "said"),
    [(0.1, 0.01, RIVAL), (-0.1, 0.01, OURS), (0.1, 0.05, f"not shown ({RIVAL} ahead)"), (0.0, 1.0, "neither")],
)
def test_the_winner_is_who_is_ahead_where_that_is_shown(difference: float, p: float, said: str) -> None:
    assert name_winner(RIVAL, {"difference": difference}, p) == said


def test_an_answer_is_matched_to_our_images_by_their_ids(tmp_path: Path) -> None:
    ours, given = predictions(1.0), predictions(0.5, seed=3)
    order = list(reversed(range(len(ours))))
    found = {"probabilities": given.probabilities[order].tolist(), "seconds": 3, "chosen": "trees", "versions": {}}
    (tmp_path / "rival.json").write_text(json.dumps(found))
    read = read_answer(tmp_path / "rival.json", ours, [ours.ids[row] for row in order]).predictions
    assert list(read.ids) == [ours.ids[row] for row in order]
    np.testing.assert_array_equal(read.labels, ours.labels[order])
    scored = describe_scores(Answer(ours, 1.0, "", {}), {RIVAL: Answer(read, 3.0, "", {})})
    expected = describe_scores(Answer(ours, 1.0, "", {}), {RIVAL: Answer(given, 3.0, "", {})})
    assert scored["tests"][RIVAL]["auc"]["difference"] == pytest.approx(expected["tests"][RIVAL]["auc"]["difference"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"probabilities": [[0.5, 0.5]]}, r"shape \(1, 2\), not \(120, 2\)"),
        ({"probabilities": [[0.9, 0.9]] * 120}, "sum"),
        ({"probabilities": [[float("nan"), 1.0]] * 120}, "probabilities"),
        ({"probabilities": "none"}, "none"),
        ({"seconds": None}, "NoneType"),
    ],
)
def test_a_wrong_answer_is_one_error_that_names_the_file(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    ours = predictions(1.0)
    found = {"probabilities": ours.probabilities.tolist(), "seconds": 3, "chosen": "trees", "versions": {}} | change
    (tmp_path / "rival.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=rf"rival\.json is no answer of a rival \(.*{problem}.*remove it and run again"):
        read_answer(tmp_path / "rival.json", ours, ours.ids)


def test_an_answer_without_a_part_names_it(tmp_path: Path) -> None:
    (tmp_path / "rival.json").write_text("{}")
    with pytest.raises(UserError, match="'probabilities' is missing"):
        read_answer(tmp_path / "rival.json", predictions(1.0), predictions(1.0).ids)


def test_a_program_that_fails_is_one_error() -> None:
    with pytest.raises(UserError, match="ended with 3"):
        run_program([sys.executable, "-S", "-c", "raise SystemExit(3)"], threads=1)


def test_everyone_gets_the_threads(tmp_path: Path) -> None:
    code = "import os, sys; open(sys.argv[1], 'w').write(os.environ['OMP_NUM_THREADS'])"
    run_program([sys.executable, "-S", "-c", code, tmp_path / "threads"], threads=7)
    assert (tmp_path / "threads").read_text() == "7"


def test_an_environment_that_is_there_is_taken(tmp_path: Path) -> None:
    python = tmp_path / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    python.parent.mkdir()
    python.touch()
    assert make_environment(tmp_path, "flaml_pixels") == python


@pytest.mark.parametrize("rival", RIVALS)
def test_a_program_imports_nothing_of_ours_and_its_requirements_are_pinned(rival: str) -> None:
    program = PROGRAMS / f"{RIVALS[rival].program}.py"
    nodes = list(ast.walk(ast.parse(program.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names
    assert not {name.partition(".")[0] for name in names} & {"benchmarks", "medmamba_monai"}
    lines = program.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert all("==" in line for line in lines)


def test_a_program_is_given_images_and_folds_and_no_label_of_the_test_part(
    small_bundle: SmallBundle, tmp_path: Path
) -> None:
    folds = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir)
    with np.load(write_data(folds, tmp_path / "data.npz"), allow_pickle=False) as arrays:
        given = dict(arrays)
    assert set(given) == {"images", "labels", "folds", "test_images"}
    assert given["test_images"].shape == (len(folds.test), 32, 32)
    of_id = {item.id: item for item in folds.training}
    items = [of_id[item["id"]] for part in ("train", "validation") for item in folds.parts(0)[part]]
    assert given["folds"].tolist() == [item.fold for item in items]
    assert given["labels"].tolist() == [item.label for item in items]
    read = ReadImage(**folds.reading)
    np.testing.assert_array_equal(given["images"][-1], read(folds.parts(0)["validation"][-1]["image"])[0])

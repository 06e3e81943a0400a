"""Predictions survive the way to disk and back, and folds are combined by the names of the images."""

from __future__ import annotations

import csv
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation import evaluate_folds, scores
from medmamba_monai.evaluation.metrics.ranking import auc
from medmamba_monai.evaluation.predictions import (
    Predictions,
    align,
    combine,
    ensemble,
    pool,
    read_predictions,
    write_predictions,
)
from medmamba_monai.evaluation.results.files import describe_result
from tests.helpers.predicted_folds import predicted_folds


def draw(num_samples: int = 30, num_classes: int = 3, seed: int = 0, prefix: str = "test") -> Predictions:
    generator = np.random.default_rng(seed)
    return Predictions(
        generator.dirichlet(np.full(num_classes, 0.05), num_samples),
        np.arange(num_samples) % num_classes,
        "multi-class",
        ids=[f"{prefix}-{index:05d}" for index in range(num_samples)],
        parts=["test"] * num_samples,
    )


def predictions(ids, parts, labels, probabilities, groups=None, class_names=()) -> Predictions:
    """Predictions whose task the shape of the labels tells."""
    task = "multi-label" if np.ndim(labels) == 2 else "multi-class"
    return Predictions(probabilities, labels, task, groups, ids=ids, parts=parts, class_names=class_names)


def draw_multi_label() -> Predictions:
    generator = np.random.default_rng(0)
    return predictions(["a", "b", "c"], ["test"] * 3, generator.integers(2, size=(3, 4)), generator.random((3, 4)))


def assert_same(found: Predictions, expected: Predictions) -> None:
    assert (found.ids, found.parts) == (expected.ids, expected.parts)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize("drawn", [draw(500), draw(20, 2), draw(22, 11), draw_multi_label()])
def test_round_trip_is_exact(tmp_path: Path, drawn: Predictions) -> None:
    write_predictions(tmp_path / "predictions.csv", drawn)
    assert_same(read_predictions(tmp_path / "predictions.csv", drawn.task), drawn)


def test_round_trip_keeps_the_smallest_numbers(tmp_path: Path) -> None:
    tiny = np.array(
        [[5e-324, 1.0], [np.nextafter(0.5, 1), np.nextafter(0.5, 0)], [np.float32(0.1), 1 - np.float32(0.1)]]
    )
    write_predictions(tmp_path / "p.csv", predictions(["a", "b", "c"], ["test"] * 3, [0, 1, 1], tiny))
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.csv", "multi-class").probabilities, tiny)


def test_ids_with_commas_quotes_and_line_breaks_survive(tmp_path: Path) -> None:
    ids = ("Ärzte, 1", 'a "quoted" one', "two\r\nlines")
    write_predictions(tmp_path / "p.csv", predictions(ids, ["test"] * 3, [0, 1, 0], np.eye(2)[[0, 1, 0]]))
    assert read_predictions(tmp_path / "p.csv", "multi-class").ids == ids


def test_the_file_looks_as_documented(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", predictions(["x"], ["validation"], [1], [[0.25, 0.75]]))
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines == ["id,part,label,predicted,probability_0,probability_1", "x,validation,1,1,0.25,0.75"]


def test_a_multi_label_cell_holds_one_digit_a_class(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", predictions(["x"], ["test"], [[1, 0]], [[0.25, 0.75]]))
    assert (tmp_path / "p.csv").read_text().splitlines()[1] == "x,test,1 0,0 1,0.25,0.75"


def test_ids_that_a_spreadsheet_would_run_are_read_back(tmp_path: Path) -> None:
    ids = ["=1+1", "-2+3", "'=4", "a;@b"]
    drawn = draw(4).change_checked(ids=tuple(ids))
    write_predictions(tmp_path / "p.csv", drawn)
    assert (tmp_path / "p.csv").read_text().splitlines()[1].startswith("'=1+1,test")
    assert list(read_predictions(tmp_path / "p.csv", "multi-class").ids) == ids


def test_figures_can_be_recomputed_with_scikit_learn_alone(tmp_path: Path) -> None:
    drawn = draw(200)
    write_predictions(tmp_path / "p.csv", drawn)
    with (tmp_path / "p.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    scores = [[float(row[f"probability_{index}"]) for index in range(3)] for row in rows]
    expected = roc_auc_score([int(row["label"]) for row in rows], scores, multi_class="ovr")
    assert auc(drawn) == pytest.approx(expected, rel=0, abs=1e-12)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", draw(5))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*p\.csv"):
            write_predictions(tmp_path / "p.csv", draw(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(read_predictions(tmp_path / "p.csv", "multi-class")) == 5
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id,part", "name,part", "the header is 'name,part"),
        ("probability_1", "probability_2", "the header is"),
        ("x,test,1,1,0.25,0.75", "x,test,1,1,0.25", "row 1 has 5 cells, not 6"),
        ("0.75", "0.85", "sum to 1.1, not 1"),
        ("0.75", "nan", "NaN or infinity"),
        ("0.75", "much", "'much'"),
        ("x,test", "x,train", "unknown part 'train'"),
        ("x,test,1,1", "x,test,1,0", "'predicted' does not follow"),
        ("x,test,1,1", "x,test,7,1", "labels range from 7 to 7"),
        ("x,test,1,1", "x,test,,1", "invalid literal"),
        ("x,test,1,1,0.25,0.75\n", "", "have shape"),
        ("x,test,1,1,0.25,0.75\n", "x,test,1,1,0.25,0.75\n" * 2, "id 'x' comes twice"),
        ("x,test", '"x,test', "not a CSV file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "p.csv"
    write_predictions(file, predictions(["x"], ["test"], [1], [[0.25, 0.75]]))
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(UserError, match=rf"p\.csv: .*{message}"):
        read_predictions(file, "multi-class")


def test_a_missing_file_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\x93NUMPY\xff\xfe\x00")
    with pytest.raises(UserError, match="evaluate the fold first"):
        read_predictions(tmp_path / "none.csv", "multi-class")
    with pytest.raises(UserError, match="not a CSV file in UTF-8"):
        read_predictions(tmp_path / "binary.csv", "multi-class")


def test_select_keeps_one_part() -> None:
    mixed = predictions(["a", "b", "c"], ["test", "validation", "test"], [0, 1, 1], np.eye(2)[[0, 1, 0]])
    test = mixed.select("test")
    assert test.ids == ("a", "c")
    assert test.predicted.tolist() == [0, 0]


def test_selecting_an_absent_part_says_what_there_is() -> None:
    with pytest.raises(UserError, match="no predictions of part 'validation'; there are: test"):
        draw().select("validation")


def test_ensemble_is_the_mean_by_id_whatever_the_order() -> None:
    first, second = draw(seed=1), draw(seed=2)
    order = np.random.default_rng(0).permutation(30)
    shuffled = predictions(
        [second.ids[row] for row in order], second.parts, second.labels[order], second.probabilities[order]
    )
    combined = ensemble([first, shuffled])
    assert combined.ids == first.ids
    np.testing.assert_allclose(combined.probabilities, (first.probabilities + second.probabilities) / 2, atol=1e-15)


def test_ensemble_of_one_is_that_one() -> None:
    assert_same(ensemble([draw()]), draw())


def test_ensemble_of_different_data_is_refused() -> None:
    first = draw(30)
    relabeled = predictions(first.ids, first.parts, (first.labels + 1) % 3, first.probabilities)
    with pytest.raises(UserError, match="predictions 1 and 0 differ in 1 ids, such as 'test-00029'"):
        ensemble([first, draw(29)])
    with pytest.raises(UserError, match="differ in labels"):
        ensemble([first, relabeled])
    with pytest.raises(UserError, match="number of classes"):
        ensemble([first, draw(30, num_classes=4)])
    with pytest.raises(UserError, match="at least one"):
        ensemble([])


def test_pool_joins_folds() -> None:
    pooled = pool([draw(6, prefix="a"), draw(9, prefix="b")])
    assert len(pooled) == 15
    np.testing.assert_array_equal(pooled.probabilities[6:], draw(9).probabilities)


def test_pooling_an_image_twice_is_refused() -> None:
    with pytest.raises(UserError, match="id 'test-00000' comes twice"):
        pool([draw(5), draw(5)])
    with pytest.raises(UserError, match="differ in their classes"):
        pool([draw(5), draw(8, num_classes=4, prefix="b")])


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="1 ids, 2 parts and 1 labels"):
        predictions(["a"], ["test", "test"], [0], [[0.5, 0.5]])


def grouped(groups: list[str] | None, prefix: str = "test") -> Predictions:
    first = draw(4, 2, prefix=prefix)
    return predictions(first.ids, first.parts, first.labels, first.probabilities, groups)


@pytest.mark.parametrize("groups", [["p 1", "p,2", 'p "3"', "p 1"], None])
def test_groups_survive_the_way_to_disk(tmp_path: Path, groups: list[str] | None) -> None:
    write_predictions(tmp_path / "p.csv", grouped(groups))
    assert_same(read_predictions(tmp_path / "p.csv", "multi-class"), grouped(groups))
    assert read_predictions(tmp_path / "p.csv", "multi-class").groups == (groups and tuple(groups))


def test_groups_of_several_labels_survive_too(tmp_path: Path) -> None:
    several = draw_multi_label()
    named = predictions(several.ids, several.parts, several.labels, several.probabilities, ["x", "y", "x"])
    write_predictions(tmp_path / "p.csv", named)
    assert (tmp_path / "p.csv").read_text().startswith("id,part,label,predicted,group,probability_0,")
    assert_same(read_predictions(tmp_path / "p.csv", "multi-label"), named)
    assert read_predictions(tmp_path / "p.csv", "multi-label").groups == ("x", "y", "x")


def test_groups_follow_their_images() -> None:
    first = grouped(["a", "b", "c", "d"])
    assert first.take([2, 0]).groups == ("c", "a")
    mixed = predictions(first.ids, ["test", "validation"] * 2, first.labels, first.probabilities, first.groups)
    assert mixed.select("validation").groups == ("b", "d")


def test_groups_are_aligned_by_id() -> None:
    first = grouped(["a", "b", "c", "d"])
    shuffled = first.take([3, 1, 0, 2])
    assert align(shuffled, first).groups == ensemble([first, shuffled]).groups == ("a", "b", "c", "d")


@pytest.mark.parametrize("other", [["a", "b", "c", "c"], None])
def test_other_groups_are_other_data(other: list[str] | None) -> None:
    with pytest.raises(UserError, match="differ in labels, parts or groups of the same ids"):
        ensemble([grouped(["a", "b", "c", "d"]), grouped(other)])


def test_pooled_groups_are_joined() -> None:
    first, second = grouped(["a"] * 4, "first"), grouped(["b"] * 4, "second")
    assert pool([first, second]).groups == ("a",) * 4 + ("b",) * 4


def test_pooling_known_and_unknown_groups_is_refused() -> None:
    with pytest.raises(UserError, match="1 of 2 predictions to pool tell the groups of images, the others do not"):
        pool([grouped(["a"] * 4, "first"), grouped(None, "second")])


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="3 groups do not fit 4 samples"):
        grouped(["a"] * 3)


def test_a_group_column_in_another_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,part,label,group,predicted,probability_0,probability_1\n")
    with pytest.raises(UserError, match=r"p\.csv: the header is .*with group after predicted"):
        read_predictions(tmp_path / "p.csv", "multi-class")


@pytest.mark.parametrize("combination", ["ensemble", "pooled"])
def test_folds_are_combined_as_they_were_tested(combination: str) -> None:
    parts = [draw(seed=seed, prefix=str(seed * (combination == "pooled"))) for seed in (1, 2)]
    assert len(combine(parts, combination)) == (30 if combination == "ensemble" else 60)


def test_classes_have_names_of_their_own_or_those_that_are_given() -> None:
    assert draw(3).class_names == ("class 0", "class 1", "class 2")
    named = predictions(["a"], ["test"], [1], [[0.2, 0.8]], class_names=["cat", "dog"])
    assert named.select("test").class_names == ("cat", "dog")
    for names in (["cat"], ["cat", "cat"]):
        with pytest.raises(UserError, match="2 classes need as many different names"):
            predictions(["a"], ["test"], [1], [[0.2, 0.8]], class_names=names)


def test_a_file_is_of_the_task_and_the_classes_that_its_reader_says(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", draw(6, 2))
    found = read_predictions(tmp_path / "p.csv", "binary", ("cat", "dog"))
    assert (found.task, found.class_names) == ("binary", ("cat", "dog"))
    with pytest.raises(UserError, match=r"labels of a multi-label task with 6 samples have shape \(6,\)"):
        read_predictions(tmp_path / "p.csv", "multi-label")
    with pytest.raises(UserError, match="unknown task 'regression'"):
        read_predictions(tmp_path / "p.csv", "regression")  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [ensemble, pool])
def test_other_tasks_and_classes_are_not_combined(make) -> None:
    cats = predictions(["a"], ["test"], [1], [[0.2, 0.8]], class_names=["cat", "dog"])
    names = replace(cats, class_names=["dog", "cat"])
    task = replace(cats, task="binary")
    for other in (names, task):
        with pytest.raises(UserError, match=r"differ in their (task|classes)"):
            make([cats, other])


def test_what_is_checked_once_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[int] = []
    check = scores.check_probabilities
    monkeypatch.setattr(scores, "check_probabilities", lambda *values: checks.append(1) or check(*values))
    result = evaluate_folds(predicted_folds("binary", num_folds=3), resamples=100)
    made = len(checks)
    assert made == 3
    describe_result(result)
    assert len(checks) == made


def test_predictions_say_what_they_are() -> None:
    assert repr(draw(3)) == "Predictions(multi-class, 3 images (3 test), classes: class 0, class 1, class 2)"

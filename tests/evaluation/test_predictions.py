"""Predictions survive the way to disk and back, and folds are combined by the names of the images."""

from __future__ import annotations

import csv
import resource
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.paper import auc
from medmamba_monai.evaluation.predictions import (
    Predictions,
    align,
    combine,
    ensemble,
    pool,
    read_predictions,
    write_predictions,
)


def draw(num_samples: int = 30, num_classes: int = 3, seed: int = 0, prefix: str = "test") -> Predictions:
    generator = np.random.default_rng(seed)
    return Predictions(
        ids=[f"{prefix}-{index:05d}" for index in range(num_samples)],
        parts=["test"] * num_samples,
        labels=np.arange(num_samples) % num_classes,
        probabilities=generator.dirichlet(np.full(num_classes, 0.05), num_samples),
    )


def draw_multi_label() -> Predictions:
    generator = np.random.default_rng(0)
    return Predictions(["a", "b", "c"], ["test"] * 3, generator.integers(2, size=(3, 4)), generator.random((3, 4)))


def assert_same(found: Predictions, expected: Predictions) -> None:
    assert (found.ids, found.parts) == (expected.ids, expected.parts)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize("predictions", [draw(500), draw(20, 2), draw(22, 11), draw_multi_label()])
def test_round_trip_is_exact(tmp_path: Path, predictions: Predictions) -> None:
    write_predictions(tmp_path / "predictions.csv", predictions)
    assert_same(read_predictions(tmp_path / "predictions.csv"), predictions)


def test_round_trip_keeps_the_smallest_numbers(tmp_path: Path) -> None:
    tiny = np.array(
        [[5e-324, 1.0], [np.nextafter(0.5, 1), np.nextafter(0.5, 0)], [np.float32(0.1), 1 - np.float32(0.1)]]
    )
    write_predictions(tmp_path / "p.csv", Predictions(["a", "b", "c"], ["test"] * 3, [0, 1, 1], tiny))
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.csv").probabilities, tiny)


def test_ids_with_commas_quotes_and_line_breaks_survive(tmp_path: Path) -> None:
    ids = ("Ärzte, 1", 'a "quoted" one', "two\r\nlines")
    write_predictions(tmp_path / "p.csv", Predictions(ids, ["test"] * 3, [0, 1, 0], np.eye(2)[[0, 1, 0]]))
    assert read_predictions(tmp_path / "p.csv").ids == ids


def test_the_file_looks_as_documented(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", Predictions(["x"], ["validation"], [1], [[0.25, 0.75]]))
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines == ["id,part,label,predicted,probability_0,probability_1", "x,validation,1,1,0.25,0.75"]


def test_a_multi_label_cell_holds_one_digit_a_class(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", Predictions(["x"], ["test"], [[1, 0]], [[0.25, 0.75]]))
    assert (tmp_path / "p.csv").read_text().splitlines()[1] == "x,test,1 0,0 1,0.25,0.75"


def test_figures_can_be_recomputed_with_scikit_learn_alone(tmp_path: Path) -> None:
    predictions = draw(200)
    write_predictions(tmp_path / "p.csv", predictions)
    with (tmp_path / "p.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    scores = [[float(row[f"probability_{index}"]) for index in range(3)] for row in rows]
    expected = roc_auc_score([int(row["label"]) for row in rows], scores, multi_class="ovr")
    assert auc(predictions.probabilities, predictions.labels) == pytest.approx(expected, rel=0, abs=1e-12)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", draw(5))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*p\.csv"):
            write_predictions(tmp_path / "p.csv", draw(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(read_predictions(tmp_path / "p.csv")) == 5
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
    write_predictions(file, Predictions(["x"], ["test"], [1], [[0.25, 0.75]]))
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(UserError, match=rf"p\.csv: .*{message}"):
        read_predictions(file)


def test_a_missing_file_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\x93NUMPY\xff\xfe\x00")
    with pytest.raises(UserError, match="evaluate the fold first"):
        read_predictions(tmp_path / "none.csv")
    with pytest.raises(UserError, match="not a CSV file in UTF-8"):
        read_predictions(tmp_path / "binary.csv")


def test_select_keeps_one_part() -> None:
    mixed = Predictions(["a", "b", "c"], ["test", "validation", "test"], [0, 1, 1], np.eye(2)[[0, 1, 0]])
    test = mixed.select("test")
    assert test.ids == ("a", "c")
    assert test.predicted.tolist() == [0, 0]


def test_selecting_an_absent_part_says_what_there_is() -> None:
    with pytest.raises(UserError, match="no predictions of part 'validation'; there are: test"):
        draw().select("validation")


def test_ensemble_is_the_mean_by_id_whatever_the_order() -> None:
    first, second = draw(seed=1), draw(seed=2)
    order = np.random.default_rng(0).permutation(30)
    shuffled = Predictions(
        [second.ids[row] for row in order], second.parts, second.labels[order], second.probabilities[order]
    )
    combined = ensemble([first, shuffled])
    assert combined.ids == first.ids
    np.testing.assert_allclose(combined.probabilities, (first.probabilities + second.probabilities) / 2, atol=1e-15)


def test_ensemble_of_one_is_that_one() -> None:
    assert_same(ensemble([draw()]), draw())


def test_ensemble_of_different_data_is_refused() -> None:
    first = draw(30)
    relabeled = Predictions(first.ids, first.parts, (first.labels + 1) % 3, first.probabilities)
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
        Predictions(["a"], ["test", "test"], [0], [[0.5, 0.5]])


def grouped(groups: list[str] | None, prefix: str = "test") -> Predictions:
    first = draw(4, 2, prefix=prefix)
    return Predictions(first.ids, first.parts, first.labels, first.probabilities, groups)


@pytest.mark.parametrize("groups", [["p 1", "p,2", 'p "3"', "p 1"], None])
def test_groups_survive_the_way_to_disk(tmp_path: Path, groups: list[str] | None) -> None:
    write_predictions(tmp_path / "p.csv", grouped(groups))
    assert_same(read_predictions(tmp_path / "p.csv"), grouped(groups))
    assert read_predictions(tmp_path / "p.csv").groups == (groups and tuple(groups))


def test_groups_of_several_labels_survive_too(tmp_path: Path) -> None:
    several = draw_multi_label()
    named = Predictions(several.ids, several.parts, several.labels, several.probabilities, ["x", "y", "x"])
    write_predictions(tmp_path / "p.csv", named)
    assert (tmp_path / "p.csv").read_text().startswith("id,part,label,predicted,group,probability_0,")
    assert_same(read_predictions(tmp_path / "p.csv"), named)
    assert read_predictions(tmp_path / "p.csv").groups == ("x", "y", "x")


def test_groups_follow_their_images() -> None:
    first = grouped(["a", "b", "c", "d"])
    assert first.take([2, 0]).groups == ("c", "a")
    mixed = Predictions(first.ids, ["test", "validation"] * 2, first.labels, first.probabilities, first.groups)
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
    with pytest.raises(UserError, match="4 ids and 3 groups"):
        grouped(["a"] * 3)


def test_a_group_column_in_another_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,part,label,group,predicted,probability_0,probability_1\n")
    with pytest.raises(UserError, match=r"p\.csv: the header is .*with group after predicted"):
        read_predictions(tmp_path / "p.csv")


@pytest.mark.parametrize("combination", ["ensemble", "pooled"])
def test_folds_are_combined_as_they_were_tested(combination: str) -> None:
    parts = [draw(seed=seed, prefix=str(seed * (combination == "pooled"))) for seed in (1, 2)]
    assert len(combine(parts, combination)) == (30 if combination == "ensemble" else 60)

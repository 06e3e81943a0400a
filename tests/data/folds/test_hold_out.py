"""A test part where there is no official one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import Sample, make_folds, prepare_dataset, read_fold_list
from medmamba_monai.data.folds.hold_out import hold_out_test
from medmamba_monai.training.ensemble import select_ensemble_items
from tests.data.folds.test_make import NAMES, patients, singles
from tests.helpers.prepared_folders import draw_classes, report
from tests.helpers.small_data import folder_card


def held_out(samples: list[Sample]) -> set[str]:
    return {sample.id for sample in samples if sample.split == "test"}


@pytest.mark.parametrize(("share", "images"), [(0.2, 20), (0.25, 25), (0.5, 50), (0.15, 15), (0.1, 10)])
def test_the_share_is_kept_out_of_each_class(share: float, images: int) -> None:
    marked = hold_out_test(singles(80, 20), share, 0, NAMES)
    assert len(held_out(marked)) == images
    dogs = sum(sample.label for sample in marked if sample.split == "test")
    assert abs(dogs - images / 5) <= 1


@given(count=st.integers(12, 40), share=st.floats(0.2, 0.5), seed=st.integers(0, 2**32 - 1))
def test_no_group_is_divided_and_no_class_is_missing(count: int, share: float, seed: int) -> None:
    parts: defaultdict[str | None, set[str | None]] = defaultdict(set)
    classes = defaultdict(set)
    for sample in hold_out_test(patients(count), share, seed, NAMES):
        parts[sample.group].add(sample.split)
        classes[sample.split].add(sample.label)
    assert all(len(found) == 1 for found in parts.values())
    assert classes == {"train": {0, 1}, "test": {0, 1}}


def test_the_drawing_has_a_seed_of_its_own() -> None:
    samples = patients(40)
    first, again, other = (held_out(hold_out_test(samples, 0.2, seed, NAMES)) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    ("samples", "share", "seed", "said"),
    [
        (singles(50, 50), 0.6, 0, "hold_out: must be a number above 0 and at most 0.5, found 0.6"),
        (singles(50, 50), 0, 0, "hold_out: must be a number above 0"),
        (singles(50, 50), True, 0, "hold_out: must be a number above 0"),
        (singles(50, 50), 0.2, -1, "hold_out_seed: must be a whole number"),
        (singles(50, 50, "test"), 0.2, 0, "hold_out: 0.2 is asked for, but there is an official test set"),
        (singles(50, 2), 0.2, 0, "hold_out: 0.2 .* class 'dog' has 2 separate images or groups"),
        (patients(4, images=20), 0.2, 0, "class 'cat' has 2 separate images or groups; add images"),
    ],
)
def test_what_cannot_be_kept_out_is_an_error(samples: list[Sample], share: Any, seed: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        hold_out_test(samples, share, seed, NAMES)


def test_prepared_folds_leave_the_test_part_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_classes(tmp_path / "images", 20)
    arguments = (folder_card(), tmp_path / "images", tmp_path / "folds.json")
    made = prepare_dataset(*arguments, num_folds=4, hold_out=0.2)
    assert "protocol hold-out" in capsys.readouterr().out
    folds = read_fold_list(tmp_path / "folds.json", tmp_path / "images")
    assert (folds.protocol, folds.hold_out, folds.digest) == ("hold-out", made.hold_out, made.digest)
    parts = folds.parts(1)
    assert len(parts["test"]) == round(0.2 * folds.num_images) == len(select_ensemble_items(folds))
    assert {item["id"] for part in parts.values() for item in part} == {s.id for s in (*made.training, *made.test)}
    assert report(tmp_path)["protocol"] == "hold-out"
    assert "official split" not in {found["what"] for found in report(tmp_path)["shortcuts"]["findings"]}
    other = prepare_dataset(*arguments, num_folds=5, seed=7, hold_out=0.2, overwrite=True)
    assert other.test == made.test
    plain = prepare_dataset(*arguments, num_folds=4, overwrite=True)
    assert plain.protocol == "cross-validation"
    assert "hold_out" not in (tmp_path / "folds.json").read_text()


def test_folds_of_marked_samples_are_those_of_the_others() -> None:
    marked = hold_out_test(patients(40), 0.2, 0, NAMES)
    assert set(make_folds(marked, 3, 0, NAMES).fold) == {sample.id for sample in marked} - held_out(marked)

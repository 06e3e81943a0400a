from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import Folds, Sample, join_groups, make_folds

NAMES = ("cat", "dog")


def singles(cats: int, dogs: int, split: str | None = None) -> list[Sample]:
    labels = [0] * cats + [1] * dogs
    return [Sample(f"{split}-{n}", f"{split}/{n}.png", label, split) for n, label in enumerate(labels)]  # type: ignore[arg-type]


def patients(count: int, images: int = 3) -> list[Sample]:
    """Patients with some images each, every second one a dog."""
    return [
        Sample(f"image-{patient}-{n}", f"{patient}/{n}.png", patient % 2, group=f"patient {patient}")
        for patient in range(count)
        for n in range(images)
    ]


def counts(samples: list[Sample], folds: Folds) -> Counter[tuple[int, int]]:
    return Counter((folds.fold[sample.id], sample.label) for sample in samples if sample.id in folds.fold)


def test_official_test_images_are_in_no_fold() -> None:
    samples = singles(50, 50, "train") + singles(10, 10, "validation") + singles(5, 5, "test")
    folds = make_folds(samples, 5, 0, NAMES)
    assert folds.protocol == "official-test"
    assert set(folds.fold) == {sample.id for sample in samples if sample.split != "test"}
    assert folds.validation == {}


def test_a_test_split_without_a_class_is_an_error() -> None:
    with pytest.raises(UserError, match="the official test split has no image of 'dog'"):
        make_folds([*singles(50, 50, "train"), *singles(5, 0, "test")], 5, 0, NAMES)


def test_every_fold_has_its_share_of_every_class() -> None:
    samples = singles(100, 25, "train") + singles(1, 1, "test")
    shares = counts(samples, make_folds(samples, 5, 0, NAMES))
    assert all(shares[fold, 0] == 20 and shares[fold, 1] == 5 for fold in range(5))


def test_seed_decides() -> None:
    samples = singles(50, 50)
    assert make_folds(samples, 5, 1, NAMES) == make_folds(samples, 5, 1, NAMES)
    assert make_folds(samples, 5, 1, NAMES).fold != make_folds(samples, 5, 2, NAMES).fold


def test_no_patient_is_in_two_folds() -> None:
    samples = patients(40)
    folds = make_folds(samples, 5, 0, NAMES)
    of_patient = defaultdict(set)
    for sample in samples:
        of_patient[sample.group].add(folds.fold[sample.id])
    assert all(len(found) == 1 for found in of_patient.values())
    assert len(counts(samples, folds)) == 10


def test_groups_are_stratified_too() -> None:
    samples = join_groups(singles(100, 25), [["None-0", "None-1"], ["None-2", "None-120"]])
    shares = counts(samples, make_folds(samples, 5, 0, NAMES))
    assert all(shares[fold, 0] in (19, 20, 21) and shares[fold, 1] == 5 for fold in range(5))


def test_seed_decides_over_groups() -> None:
    samples = patients(40)
    assert make_folds(samples, 5, 1, NAMES) == make_folds(samples, 5, 1, NAMES)
    assert make_folds(samples, 5, 1, NAMES).fold != make_folds(samples, 5, 2, NAMES).fold


def test_without_a_test_split_a_tenth_of_the_rest_validates() -> None:
    samples = singles(100, 100)
    folds = make_folds(samples, 5, 0, NAMES)
    assert folds.protocol == "cross-validation"
    for fold, ids in folds.validation.items():
        assert all(folds.fold[name] != fold for name in ids)
        assert len(ids) == 16


def test_validation_patients_do_not_train() -> None:
    samples = patients(40)
    folds = make_folds(samples, 4, 0, NAMES)
    for fold, ids in folds.validation.items():
        validating = {sample.group for sample in samples if sample.id in ids}
        training = {sample.group for sample in samples if sample.id not in ids and folds.fold[sample.id] != fold}
        assert validating
        assert validating.isdisjoint(training)


def test_small_classes_get_a_larger_validation_part_with_every_class() -> None:
    samples = singles(40, 6)
    folds = make_folds(samples, 2, 0, NAMES)
    label = {sample.id: sample.label for sample in samples}
    assert all({label[name] for name in ids} == {0, 1} for ids in folds.validation.values())


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (singles(50, 4, "train") + singles(1, 1, "test"), "'dog' has 4 separate .* largest possible number is 4"),
        (patients(6), "has 3 separate .* largest possible number is 3"),
        (singles(50, 1), "'dog' has 1 separate .* no number of folds is possible"),
        (singles(50, 0), "'dog' has 0 separate .* no number of folds is possible"),
    ],
)
def test_too_few_of_a_class_names_it_and_the_largest_number(samples: list[Sample], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make_folds(samples, 5, 0, NAMES)


def test_largest_number_is_one_that_works() -> None:
    mixed = [Sample(f"{g}-{n}", "a.png", min(n, 1), group=f"g{g}") for g in range(2) for n in range(9)]
    samples = [*mixed, *(Sample(f"s{n}", "a.png", 1) for n in range(40)), Sample("last", "a.png", 0)]
    with pytest.raises(UserError, match="largest possible number is 3"):
        make_folds(samples, 4, 0, NAMES)
    assert make_folds([*samples, *singles(1, 1, "test")], 3, 0, NAMES).num_folds == 3


def test_validation_part_counts_for_what_is_possible() -> None:
    with pytest.raises(UserError, match=r"'dog' has 2 separate .* no number of folds is possible: add images"):
        make_folds(singles(50, 2), 2, 0, NAMES)
    with pytest.raises(UserError, match=r"'dog' has 3 separate .* largest possible number is 3"):
        make_folds(singles(50, 3), 2, 0, NAMES)
    assert make_folds(singles(50, 3), 3, 0, NAMES).protocol == "cross-validation"


@pytest.mark.parametrize(("num_folds", "seed"), [(1, 0), (0, 0), (2.5, 0), (True, 0), ("5", 0), (5, -1), (5, 2**32)])
def test_wrong_numbers_are_errors(num_folds: int, seed: int) -> None:
    with pytest.raises(UserError, match=r"(num_folds|seed): must be a whole number"):
        make_folds(singles(50, 50), num_folds, seed, NAMES)


def test_copies_join_a_group() -> None:
    joined = join_groups(singles(3, 0), [["None-0", "None-2"]])
    assert [sample.group for sample in joined] == ["group-00000", None, "group-00000"]


def test_copies_join_the_groups_of_two_patients() -> None:
    joined = join_groups(patients(3, images=2), [["image-0-1", "image-2-0"]])
    assert [sample.group for sample in joined] == ["group-00000"] * 2 + ["group-00001"] * 2 + ["group-00000"] * 2


def test_copies_of_copies_are_one_group() -> None:
    joined = join_groups(singles(4, 0), [["None-0", "None-1"], ["None-2", "None-3"], ["None-1", "None-3"]])
    assert len({sample.group for sample in joined}) == 1


def test_a_rare_label_is_in_every_fold_where_that_is_possible() -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        labels = (generator.random((60, 4)) < (0.5, 0.3, 0.15, 0.12)).astype(int)
        labels[:4] = 1
        samples = [Sample(f"image-{i}", f"{i}.png", tuple(row)) for i, row in enumerate(labels.tolist())]
        folds = make_folds(samples, 3, 0, list("abcd"))
        for number in range(3):
            held_out = np.array([sample.label for sample in samples if folds.fold[sample.id] == number])
            assert held_out.any(axis=0).all()

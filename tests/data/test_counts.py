from __future__ import annotations

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.counts import check_counts, count_labels
from medmamba_monai.data.samples import Sample, list_labels
from tests.helpers.small_data import small_card


def samples(cats: int, dogs: int) -> list[Sample]:
    return [Sample(f"image-{i}", f"{i}.png", int(i >= cats)) for i in range(cats + dogs)]


def counted(images: int, cat: int, dog: int) -> dict:
    return {"all": {"images": images, "classes": {"cat": cat, "dog": dog}}}


CARD = small_card(expected_counts=counted(5, 2, 3), other_versions={"v2": counted(10, 4, 6)})


def test_fitting_counts_give_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_counts(CARD, samples(2, 3), allow=False) == []
    assert check_counts(CARD, samples(4, 6), allow=False) == []
    assert capsys.readouterr().out == "mini: these are the images of version v2\n"


def test_other_counts_are_printed_beside_the_expected_ones() -> None:
    with pytest.raises(UserError, match=r"\(nor those of v2\):\n  all, images: expected 5, found 4\n  all, dog: exp"):
        check_counts(CARD, samples(2, 2), allow=False)


def test_allowed_differences_are_returned() -> None:
    assert check_counts(CARD, samples(2, 2), allow=True) == [
        "all, images: expected 5, found 4",
        "all, dog: expected 3, found 2",
    ]


def test_of_several_labels_each_counts() -> None:
    rows = [("train", (1, 1)), ("train", (0, 1)), ("test", (0, 0))]
    assert count_labels(CARD, rows) == {"train": {"cat": 1, "dog": 2}, "test": {"cat": 0, "dog": 0}}
    assert list_labels((0, 1, 1)) == [1, 2]

from __future__ import annotations

from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.image_files import ImageFile, Listing
from medmamba_monai.data.find.tables import Row
from medmamba_monai.data.propose.suffix import find_suffix


def suffix(names: list[str], *files: str) -> str:
    rows = [Row(Path("labels.csv"), line, {"file": name}) for line, name in enumerate(names, start=2)]
    return find_suffix(Listing(tuple(ImageFile(file, (file,)) for file in files), ()), rows, "file")


@pytest.mark.parametrize(
    ("names", "files", "expected"),
    [
        (["a.png", "b"], ["a.png", "b.png"], ""),
        (["a", "b"], ["i/a.png", "i/b.PNG"], ".png"),
        (["a", "b"], ["a.png", "a.mask.png", "b.png", "b.mask.png"], ".png"),
        (["a", "b"], ["a.png", "b.jpg"], ""),
        (["a", "b"], ["a.png", "b.png", "b.jpg"], ""),
        (["a", "b"], ["a.slice.png", "b.slice.png", "a.mask.png"], ".slice.png"),
        (["a", "b"], [], ""),
    ],
)
def test_a_suffix_is_declared_where_one_is_left_out_of_all_names(
    names: list[str], files: list[str], expected: str
) -> None:
    assert suffix(names, *files) == expected


def test_two_endings_that_fit_every_row_are_both_shown() -> None:
    with pytest.raises(UserError, match=r"line 2: 'a' fits 'a\.mask\.png', 'a\.slice\.png', and so does every row"):
        suffix(["a", "b"], "a.slice.png", "b.slice.png", "a.mask.png", "b.mask.png")

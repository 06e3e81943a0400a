from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from medmamba_monai.cards.card import load_card
from medmamba_monai.core.documents import is_hidden
from medmamba_monai.core.errors import UserError


def test_json_without_end_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"card\.json: is nested too deeply"):
        load_card(path)


@pytest.mark.parametrize(
    "path",
    [
        *(".DS_Store", "a/._1.png", "a/.ipynb_checkpoints/1.png", "__MACOSX/a/1.png", "Thumbs.db", "a/THUMBS.DB"),
        *("a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/1.png", "a/@Recycle/1.png", "$RECYCLE.BIN/1.png"),
        *("System Volume Information/1.png", "lost+found/1.png", "a/desktop.ini", "~$labels.xlsx"),
    ],
)
def test_what_a_system_leaves_is_no_data(path: str) -> None:
    assert is_hidden(PurePosixPath(path))


@pytest.mark.parametrize("path", ["a/1.png", "recycle/1.png", "eaDir/1.png", "a@eaDir.png", "thumbs/1.png", "~a.png"])
def test_what_only_resembles_it_is(path: str) -> None:
    assert not is_hidden(PurePosixPath(path))

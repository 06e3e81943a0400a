from __future__ import annotations

from pathlib import Path

import pytest

from medmamba_monai.cards.card import load_card
from medmamba_monai.core.errors import UserError


def test_json_without_end_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"card\.json: is nested too deeply"):
        load_card(path)

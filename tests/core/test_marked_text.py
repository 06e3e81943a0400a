from __future__ import annotations

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.marked_text import find_block, replace_block

EMPTY = "<!-- speed -->\n<!-- /speed -->"


def test_the_block_is_replaced_and_the_rest_is_not() -> None:
    text = f"before\n{EMPTY}\nbetween\n<!-- other -->\nold\n<!-- /other -->\nafter\n"
    assert replace_block(text, "other", "new") == text.replace("old", "new")
    assert find_block(replace_block(text, "speed", "new"), "speed") == "new"


@pytest.mark.parametrize("text", ["# Title\n", "<!-- other -->\n", "<!-- /other -->\n", EMPTY])
def test_markers_must_be_there(text: str) -> None:
    assert find_block(text, "other") is None
    with pytest.raises(UserError, match=r"page\.md has no lines <!-- other --> and <!-- /other -->"):
        replace_block(text, "other", "block", "page.md")

"""Every example in a docstring of the package runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "medmamba_monai").rglob("*.py"))
}
WITH_EXAMPLES = [name for name, source in SOURCES.items() if ">>> " in source]


def test_examples_are_found() -> None:
    assert len(WITH_EXAMPLES) >= 5


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_print_what_they_say(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_no_example_is_left_out(name: str) -> None:
    assert "+SKIP" not in SOURCES[name], "an example that cannot run here is a code block (`Example::`), not a doctest"

"""Imports of the benchmarks make no circle, those inside functions included."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "benchmarks").rglob("*.py")
}


def imported_modules(source: str) -> set[str]:
    """Names that a source may import as modules, with those of its ``from`` imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def order(sources: dict[str, str]) -> list[str]:
    """Order modules so that each comes after those that it imports."""
    return list(
        TopologicalSorter({name: imported_modules(sources[name]) & sources.keys() for name in sources}).static_order()
    )


def test_there_is_no_circle() -> None:
    sources = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items() if path.stem != "__init__"}
    ordered = order(sources)
    assert ordered.index("benchmarks.report") < ordered.index("benchmarks.gpu.parts")


def test_a_circle_is_seen() -> None:
    with pytest.raises(CycleError):
        order({"a": "def late():\n    from b import name\n", "b": "import a\n"})

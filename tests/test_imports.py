"""Imports point one way, and importing the package loads nothing optional."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "medmamba_monai"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
OPTIONAL = {"mamba_ssm", "matplotlib", "mlflow", "numba", "selective_scan_cuda", "triton"}
# What each room may import from the package beside itself and the ground floor; the entry points may import everything.
GROUND = {"core"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "selective_scan": set(),
    "networks": {"selective_scan"},
    "images": set(),
    "cards": {"images"},
    "data": {"images", "cards"},
    "evaluation": set(),
    "tracking": set(),
    "training": {"selective_scan", "networks", "images", "cards", "data", "evaluation", "tracking"},
    "cross_validation": {"networks", "images", "cards", "data", "evaluation", "tracking", "training"},
    "bundle": {"networks", "images", "cards", "data", "evaluation", "tracking", "training", "cross_validation"},
    "cli": {"images", "cards", "data", "evaluation", "tracking", "training", "cross_validation", "bundle", "networks"},
}
ENTRY_POINTS = {"__init__", "__main__"}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            modules |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    inside = (module.split(".") for module in modules if module.startswith(f"{PACKAGE}."))
    return {names[1] for names in inside if (ROOT / names[1]).is_dir() or (ROOT / f"{names[1]}.py").is_file()}


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part not in ENTRY_POINTS:
        ground = set() if part in GROUND else GROUND
        assert imported_parts(path) <= {part} | ground | MAY_IMPORT[part]


def test_upward_import_is_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        f"def late() -> None:\n    from {PACKAGE} import training\n    import {PACKAGE}.networks.medmamba\n"
    )
    assert imported_parts(module) == {"training", "networks"}


def test_importing_loads_nothing_optional_beyond_monai() -> None:
    # `import monai` loads MLflow and matplotlib itself where they are installed.
    code = f"import sys, monai; before = set(sys.modules); import {PACKAGE}; print(*(set(sys.modules) - before))"
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert OPTIONAL.isdisjoint(name.split(".")[0] for name in result.stdout.split())


def test_package_imports_where_nothing_optional_is_installed() -> None:
    result = run_python(f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL!r})); import {PACKAGE}")
    assert result.returncode == 0, result.stderr

"""Imports point one way; importing the package loads nothing large, and what is optional not at all."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "medmamba_monai"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
OPTIONAL = {
    *("mamba_ssm", "matplotlib", "mlflow", "numba", "selective_scan_cuda", "triton"),
    *("highdicom", "nvflare", "onnx", "onnxruntime", "onnxscript", "openslide", "openvino", "pynetdicom", "ray"),
    *("submitit", "tenseal", "transformers"),
}
# What each room may import from the package beside itself and the ground floor; the entry points may import everything.
GROUND = {"core"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "selective_scan": set(),
    "networks": {"selective_scan"},
    "explain": {"selective_scan", "networks"},
    "images": set(),
    "cards": {"images"},
    "data": {"images", "cards"},
    "evaluation": set(),
    "tracking": set(),
    "records": {"cards", "data", "evaluation"},
    "training": {"selective_scan", "networks", "images", "cards", "data", "evaluation", "tracking"},
    "cross_validation": {
        *("networks", "images", "cards", "data", "evaluation", "tracking", "training", "records"),
        *("explain", "explanations", "package"),
    },
    "package": {"networks", "images", "cards", "data", "evaluation"},
    "export": {"selective_scan", "networks", "images", "cards", "data", "evaluation", "package"},
    "serving": {"images", "cards", "data", "evaluation", "tracking", "package"},
    "slides": {"images", "cards", "data", "evaluation", "networks", "training"},
    "robustness": {"images", "cards", "data", "evaluation", "package"},
    "explanations": {"images", "cards", "data", "evaluation", "explain", "package"},
    "hospital": {"images", "cards", "data", "evaluation", "explain", "explanations", "package"},
    "bundle": {"networks", "images", "cards", "data", "evaluation", "tracking", "training", "cross_validation"},
    "auto": {
        *("networks", "images", "cards", "data", "evaluation", "tracking", "training", "cross_validation", "bundle"),
        *("package", "records"),
    },
    "federation": {"networks", "cards", "data", "tracking", "training", "cross_validation", "bundle"},
    "cli": {
        *("images", "cards", "data", "evaluation", "tracking", "training", "cross_validation", "bundle"),
        *(
            "package",
            "export",
            "serving",
            "hospital",
            "robustness",
            "explanations",
            "auto",
            "records",
            "slides",
            "federation",
        ),
    },
}
ENTRY_POINTS = {"__init__", "__main__"}
# The order inside a room: what each part may import from the room beside itself.
INSIDE: dict[str, dict[str, set[str]]] = {
    # Found, then folded, then prepared; the cache knows of none of them.
    "data": {
        "samples": set(),
        "counts": {"samples"},
        "findings": set(),
        "phantom": {"findings"},
        "phantom_slides": set(),
        "statistics": set(),
        "find": {"samples", "counts"},
        "folds": {"samples", "counts", "find"},
        "shortcuts": {"samples", "folds"},
        "prepare": {"samples", "counts", "find", "folds", "shortcuts"},
        "propose": {"samples", "counts", "find", "folds", "prepare"},
        "cache": set(),
        "batches": {"cache"},
    },
    # From scores to numbers, from numbers to results, from results to figures and reports.
    "evaluation": {
        "csv_text": set(),
        "tables": set(),
        "scores": set(),
        "metrics": {"scores"},
        "predictions": {"csv_text", "scores"},
        "statistics": {"scores", "metrics", "predictions"},
        "results": {"csv_text", "scores", "metrics", "predictions", "statistics"},
        "answers": {"csv_text", "scores", "predictions", "statistics"},
        "figures": {"scores", "metrics", "predictions", "statistics", "results"},
        "reports": {"csv_text", "tables", "scores", "metrics", "predictions", "statistics", "results", "figures"},
    },
}


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


def test_importing_the_package_loads_nothing_large() -> None:
    result = run_python(f"import sys; before = set(sys.modules); import {PACKAGE}; print(*(set(sys.modules) - before))")
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert loaded - sys.stdlib_module_names == {PACKAGE}


AFTER_MONAI = f"""
import os, sys
from importlib.metadata import Distribution
find = Distribution.from_name
Distribution.from_name = classmethod(lambda kind, name: find({{"medmamba-monai": "not-there"}}.get(name, name)))
sys.modules.update(dict.fromkeys({OPTIONAL!r}))  # MONAI itself imports MLflow and matplotlib where they are
import monai
without = os.fork() == 0
for name in {OPTIONAL!r}:
    if not without:
        del sys.modules[name]
import torch._dynamo  # which loads Triton where it is
before = set(sys.modules)
import {PACKAGE}
assert monai.networks.nets.MedMamba is {PACKAGE}.MedMamba
if without:
    for name in {OPTIONAL!r} - {{"matplotlib"}}:
        del sys.modules[name]
    import {PACKAGE}.evaluation
else:
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0, "it cannot be imported without what is optional"
    print(*(set(sys.modules) - before))
"""


@pytest.mark.long
def test_after_monai_a_tree_that_was_not_installed_needs_and_loads_nothing_optional() -> None:
    result = run_python(AFTER_MONAI)
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert f"{PACKAGE}.networks" in result.stdout.split()
    assert OPTIONAL.isdisjoint(loaded)


def module_of(path: Path) -> str:
    """The name that a file is imported by; that of its folder for an ``__init__.py``."""
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Those of the known modules that a file names in its imports, wherever in it they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                found.add(deeper if deeper in known else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known


@cache
def import_graph(*folders: Path) -> dict[str, set[str]]:
    files = {module_of(path): path for folder in folders for path in sorted(folder.rglob("*.py"))}
    return {module: imported_modules(path, set(files)) for module, path in files.items()}


def room_of(module: str) -> str:
    """The innermost folder of the package that a module is in; a file beside such folders is a room of its own."""
    names = module.split(".")
    path = ROOT.parent.joinpath(*names)
    inner = any(entry.is_dir() and (entry / "__init__.py").is_file() for entry in path.parent.iterdir())
    return module if path.is_dir() or inner else ".".join(names[:-1])


def test_no_module_is_in_a_circle_of_imports() -> None:
    graph = import_graph(ROOT, ROOT.parent / "benchmarks")
    assert len(graph) > 100
    assert tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_no_room_is_in_a_circle_of_imports() -> None:
    graph: dict[str, set[str]] = {}
    for module, imported in import_graph(ROOT, ROOT.parent / "benchmarks").items():
        rooms = {room_of(name) for name in imported} - {room_of(module)}
        graph.setdefault(room_of(module), set()).update(rooms)
    assert {f"{PACKAGE}.data.find", f"{PACKAGE}.images.dicom"} <= graph.keys()
    assert tuple(TopologicalSorter(graph).static_order())


@cache
def modules_inside(room: str) -> frozenset[str]:
    return frozenset(module_of(file) for file in (ROOT / room).rglob("*.py"))


def imported_inside(path: Path, room: str) -> set[str]:
    """Those parts of a room that a file of it imports."""
    prefix = f"{PACKAGE}.{room}."
    found = imported_modules(path, set(modules_inside(room)))
    return {name.split(".")[2] for name in found if name.startswith(prefix)}


@pytest.mark.parametrize(
    "path",
    [path for room in INSIDE for path in sorted((ROOT / room).rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_imports_point_one_way_inside_a_room(path: Path) -> None:
    room, inner = (name.removesuffix(".py") for name in path.relative_to(ROOT).parts[:2])
    if inner not in ENTRY_POINTS:
        assert imported_inside(path, room) <= {inner} | INSIDE[room][inner]


def test_an_import_inside_a_room_is_seen() -> None:
    assert {"metrics", "predictions", "statistics"} <= imported_inside(
        ROOT / "evaluation" / "results" / "cross_validation.py", "evaluation"
    )
    assert "find" in imported_inside(ROOT / "data" / "prepare" / "prepare.py", "data")


def test_a_circle_of_imports_is_seen() -> None:
    with pytest.raises(CycleError) as caught:
        TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).prepare()
    assert set(caught.value.args[1]) == {"a", "b", "c"}

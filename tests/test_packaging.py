from __future__ import annotations

import re
from pathlib import Path

import pytest
from setuptools.command.egg_info import FileList

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel_names(installed_wheel) -> list[str]:
    """What a wheel built from the checkout holds."""
    return [path.relative_to(installed_wheel).as_posix() for path in installed_wheel.rglob("*") if path.is_file()]


def test_the_wheel_carries_every_card(wheel_names):
    cards = {path.parent.name for path in (ROOT / "data_lists").glob("*/card.json")}
    assert {f"medmamba_monai/data_lists/{name}/card.json" for name in cards} <= set(wheel_names)


def test_the_wheel_carries_the_configs_and_documents_of_a_bundle(wheel_names):
    folders = [ROOT / "medmamba_monai" / "bundle" / name for name in ("configs", "docs")]
    files = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert {"medmamba_monai/bundle/configs/train.json", "medmamba_monai/bundle/docs/LICENSE"} <= files
    assert files <= set(wheel_names)


def test_the_wheel_carries_every_module(wheel_names):
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "medmamba_monai").rglob("*.py")}
    assert modules <= set(wheel_names)
    assert "medmamba_monai/py.typed" in wheel_names


def test_the_wheel_carries_the_template_of_the_reports(wheel_names):
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "medmamba_monai").rglob("*.jinja")}
    assert templates
    assert templates <= set(wheel_names)


def test_the_wheel_carries_nothing_that_a_user_wrote(wheel_names):
    assert not [name for name in wheel_names if name.endswith(("folds.json", "prepare_report.json"))]


def test_every_room_is_packaged():
    listed = set(re.findall(r'^    "(medmamba_monai[.\w]*)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "medmamba_monai").rglob("__init__.py")}
    assert listed == rooms | {"medmamba_monai.data_lists"}


def test_the_constraints_pin_every_dependency():
    text = (ROOT / "constraints.txt").read_text()
    pinned = {line.split("==")[0].strip().lower() for line in text.splitlines() if "==" in line}
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"^(?:baselines|dicom|gpu|slides) = \[.*\]$", project, re.MULTILINE)  # those that dev takes
    declared = re.findall(r'^    "([A-Za-z0-9-]+)>=', project, re.MULTILINE)
    declared += re.findall(r'"([A-Za-z0-9-]+)>=', "\n".join(extras))
    assert {"torch", "pytest", "einops", "triton"} <= set(declared)
    assert {name.lower() for name in declared} <= pinned
    assert "torch==2.13.0" in text
    assert "torchvision" not in text


def list_sdist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What MANIFEST.in takes of a folder, by the rules of setuptools."""
    monkeypatch.chdir(folder)
    taken = FileList()
    for line in (ROOT / "MANIFEST.in").read_text().splitlines():
        if line and not line.startswith("#"):
            taken.process_template_line(line)
    return {Path(name).as_posix() for name in taken.files}


def test_the_sdist_carries_all_that_the_readme_names(monkeypatch):
    readme = (ROOT / "README.md").read_text()
    links = set(re.findall(r'(?:\]\(|src=")([^)"#:]+)[)"#]', readme)) | {"constraints.txt", "Makefile"}
    assert {"docs/how-to/run-a-bundle.md", "docs/images/growth.svg", "benchmarks/__init__.py"} <= links
    taken = list_sdist(ROOT, monkeypatch)
    assert {name for name in links if (ROOT / name).is_file()} <= taken | {"LICENSE"}
    assert [name for name in links if not (ROOT / name).exists()] == []
    assert {f"bundles/{path.name}/configs/train.json" for path in (ROOT / "bundles").iterdir()} <= taken
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} <= taken | {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "reference" / "bundles").rglob("*.md")
    }


def test_the_sdist_carries_nothing_that_a_user_wrote(tmp_path, monkeypatch):
    bundle = tmp_path / "bundles" / "my_scans"
    written = ["folds.json", "prepare_report.json", "mlruns.db", "mlruns.db-wal", "mlartifacts/0/a.csv", ".env"]
    written += ["data/a.png", "eval/files.csv", "images/doe.png", "models/fold_0/model.pt", "output/first/report.html"]
    for name in [*written, "configs/card.json"]:
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text("")
    assert list_sdist(tmp_path, monkeypatch) == {"bundles/my_scans/configs/card.json"}


def test_make_asks_for_marks_that_exist(pytestconfig):
    marks = {line.partition(":")[0].partition("(")[0] for line in pytestconfig.getini("markers")}
    asked = set(re.findall(r"pytest -m (\w+)", (ROOT / "Makefile").read_text()))
    assert {"apart", "hypothesis", "long"} <= asked
    assert asked <= marks

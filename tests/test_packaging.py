from __future__ import annotations

import re
from pathlib import Path

import pytest

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


def test_the_constraints_pin_every_dependency():
    text = (ROOT / "constraints.txt").read_text()
    pinned = {line.split("==")[0].strip().lower() for line in text.splitlines() if "==" in line}
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"^(?:baselines|dicom|gpu) = \[.*\]$", project, re.MULTILINE)  # those that dev takes
    declared = re.findall(r'^    "([A-Za-z0-9-]+)>=', project, re.MULTILINE)
    declared += re.findall(r'"([A-Za-z0-9-]+)>=', "\n".join(extras))
    assert {"torch", "pytest", "einops", "triton"} <= set(declared)
    assert {name.lower() for name in declared} <= pinned
    assert "torch==2.13.0" in text
    assert "torchvision" not in text

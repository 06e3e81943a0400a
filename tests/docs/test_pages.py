"""The commands, options and imports that README and documents show are those that there are."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from medmamba_monai.cli.main import main

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundles" / "pneumoniamnist"
DOCS = ROOT / "docs"
BUILT = ("_build", "bundles", "examples")
PAGES = [ROOT / "README.md", *(path for path in sorted(DOCS.rglob("*.md")) if path.parent.name not in BUILT)]
ALL = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
OWN_FILES = {"configs/my_loss.json"}


def config_keys(files: str) -> set[str]:
    """The keys of the committed configs in a value of ``--config_file``."""
    names = set(re.findall(r"configs/[\w/]+\.json", files)) - OWN_FILES
    return {key for name in names for key in json.loads((BUNDLE / name).read_text(encoding="utf-8"))}


def test_every_command_names_a_config_and_an_entry_that_exist() -> None:
    commands = re.findall(r"monai\.bundle run (\w+) +--config_file (\"\[.*?\]\"|\S+)", ALL)
    assert {run_id for run_id, _ in commands} >= {"prepare", "training", "evaluating", "cross_validation", "inference"}
    for run_id, files in commands:
        assert run_id in config_keys(files), (run_id, files)


def test_every_option_of_a_command_is_a_key_of_its_configs() -> None:
    checked = 0
    for files, rest in re.findall(r"monai\.bundle run \w+ +--config_file (\"\[.*?\]\"|\S+)(.*)", ALL):
        for option in re.findall(r"--(\w+)", rest):
            passed_on = "configs/train.json" if "cross_validation" in files else ""  # to the trainings of its folds
            assert option in config_keys(files) | config_keys(passed_on), (option, files)
            checked += 1
    assert checked >= 20


def test_every_option_that_the_readme_names_is_a_key_of_the_training_config() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    sentence = re.search(r"is an\s+option: `(.*?)`", readme, re.DOTALL)
    assert sentence is not None
    options = re.findall(r"--(\w+)", sentence[1])
    assert len(options) >= 4
    assert set(options) <= config_keys("configs/train.json")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"medmamba-monai ([a-z][a-z-]+)", ALL)) - {"developers"}))
def test_every_command_of_the_console_script_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert name in capsys.readouterr().out


def python_blocks() -> list[tuple[str, str]]:
    """Each block of Python in the documents, with the page that it stands in."""
    return [
        (str(page.relative_to(ROOT)), block)
        for page in PAGES
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ]


@pytest.mark.parametrize(("page", "block"), python_blocks())
def test_what_python_examples_import_exists(page: str, block: str) -> None:
    imports = [node for node in ast.parse(block).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    exec(compile(ast.Module(body=list(imports), type_ignores=[]), page, "exec"), {})


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make (\w+)(?:`|$)", ALL, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

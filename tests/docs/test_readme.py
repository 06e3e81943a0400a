from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs():
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(example[1], names)
    assert tuple(names["logits"].shape) == (1, 2)


def test_every_command_names_a_config_and_an_entry_that_exist():
    configs = ROOT / "bundles" / "pneumoniamnist"
    commands = re.findall(r"monai\.bundle run (\w+) +--config_file (\S+)", README)
    assert len(commands) >= 5
    for run_id, files in commands:
        contents = [json.loads((configs / name).read_text()) for name in re.findall(r"configs/\w+\.json", files)]
        assert any(run_id in content for content in contents)


def test_every_option_is_a_parameter_of_the_training_config():
    train = json.loads((ROOT / "bundles" / "pneumoniamnist" / "configs" / "train.json").read_text())
    sentence = re.search(r"is an\s+option: `(.*?)`", README, re.DOTALL)[1]
    options = re.findall(r"--(\w+)", sentence)
    assert len(options) >= 5
    assert set(options) <= train.keys()


def test_every_file_and_picture_exists():
    paths = re.findall(r"^\| `([^`]+)`", README, re.MULTILINE)
    paths += re.findall(r"!\[.*?\]\((\S+)\)", README) + re.findall(r'<img src="(\S+)"', README)
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)

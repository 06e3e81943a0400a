from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_python_example_runs() -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    names: dict[str, object] = {}
    exec(example[1], names)
    assert tuple(names["logits"].shape) == (1, 2)


def test_every_file_and_picture_that_it_names_exists() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README) + re.findall(r'<img src="(\S+)"', README)
    in_the_bundle = ("configs/", "output/")
    named = [path for path in re.findall(r"`([\w.*/-]+/[\w.*/-]*)`", README) if not path.startswith(in_the_bundle)]
    assert len(links) >= 15
    assert named
    assert [path for path in {*links, *named} if not list(ROOT.glob(path))] == []


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)
    assert {"demo", "test", "docs"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)

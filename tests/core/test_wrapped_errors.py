"""No handler of ``ValueError`` gives other words to a `UserError`, which is one: a refusal keeps what it says to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "medmamba_monai"
WIDE = {"ValueError", "Exception", "BaseException"}
RAISE_NONE_OF_OURS = {
    "core/documents.py": 1,  # check_relative
    "cross_validation/launchers/ray.py": 1,  # ray.init
    "cross_validation/launchers/slurm.py": 1,  # submitit
    "images/file_errors.py": 1,  # Path.stat
    "networks/layer_names.py": 1,  # MONAI's factories of layers
    "networks/tensor_files.py": 1,  # safetensors
    "networks/transformers_encoder.py": 1,  # transformers
    "serving/answer.py": 1,  # base64
    "tracking/sent_state.py": 1,  # json.loads, and the keys of what it read
    "training/pretrained/origins.py": 1,  # the keys of a header
    "training/pretrained/weights_file.py": 1,  # json.loads, and the keys of what it read
}
"""Handlers, by module, of what can raise no `UserError`."""


def list_names(kind: ast.expr | None, constants: dict[str, ast.expr]) -> set[str]:
    """Names of what a handler catches, through tuples and the constants of its module."""
    if kind is None:
        return {"BaseException"}
    if isinstance(kind, ast.Name):
        return list_names(constants[kind.id], constants) if kind.id in constants else {kind.id}
    if isinstance(kind, ast.Tuple):
        return set().union(*(list_names(part, constants) for part in kind.elts))
    return list_names(kind.value, constants) if isinstance(kind, ast.Starred) else {ast.unparse(kind)}


def adds_words(handler: ast.ExceptHandler) -> bool:
    """Whether a handler raises a `UserError` whose text does not end with that of what was caught."""
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) == "UserError":
            (text,) = node.exc.args[:1] or [None]
            last = text.values[-1] if isinstance(text, ast.JoinedStr) else text
            if ast.unparse(last) != f"f'{{{handler.name}}}'" and not (
                isinstance(last, ast.FormattedValue) and ast.unparse(last.value) == handler.name
            ):
                return True
    return False


def find_swallowed(source: str) -> Iterator[int]:
    """Yield the lines of handlers that would give other words to a `UserError`."""
    module = ast.parse(source)
    constants: dict[str, ast.expr] = {}
    for node in module.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if isinstance(targets and targets[0], ast.Name) and isinstance(node.value, ast.Tuple):
            constants[targets[0].id] = node.value
    for node in ast.walk(module):
        if not isinstance(node, ast.Try):
            continue
        body = "\n".join(map(ast.unparse, node.body))
        reads_json = len(node.body) == 1 and "json.loads" in body
        for handler in node.handlers:
            names = list_names(handler.type, constants)
            if "UserError" in names:
                break
            if names & WIDE and not reads_json and adds_words(handler):
                yield handler.lineno


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_user_error_keeps_its_own_words(path):
    found = list(find_swallowed(path.read_text(encoding="utf-8")))
    assert len(found) == RAISE_NONE_OF_OURS.get(path.relative_to(ROOT).as_posix(), 0), found


def test_a_swallowed_error_is_seen():
    source = (
        "BAD = (OSError, ValueError)\n"
        "try:\n    check()\n    read()\n"
        "except (*BAD, KeyError) as error:\n    raise UserError(f'damaged ({error}); get it again') from error\n"
    )
    assert list(find_swallowed(source)) == [5]
    assert list(find_swallowed(source.replace("except (", "except UserError:\n    raise\nexcept ("))) == []
    assert list(find_swallowed(source.replace("damaged ({error}); get it again", "file: {error}"))) == []

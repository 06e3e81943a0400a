"""Kernels in Triton's interpreter, whose language is prepared once a kernel instead of at each call in it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest


@contextmanager
def import_interpreted(name: str, modules: Sequence[str]) -> Iterator[ModuleType]:
    """Import a module with interpreted kernels, known to the caller only.

    A kernel is interpreted or compiled for good when it is defined, so that modules are imported anew.

    Args:
        name: of the module.
        modules: full names of all modules with kernels that it imports, itself among them.

    Yields:
        The module; its kernels run fast within the context.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        _forget(modules)
        module = importlib.import_module(name)
        _forget(modules)
    with pytest.MonkeyPatch.context() as patch:
        _prepare_once(patch)
        yield module


def _forget(modules: Sequence[str]) -> None:
    for module in modules:
        package, _, name = module.rpartition(".")
        sys.modules.pop(module, None)
        if package in sys.modules:
            vars(sys.modules[package]).pop(name, None)


def _prepare_once(patch: pytest.MonkeyPatch) -> None:
    """Have the interpreter replace a language's functions once a kernel.

    It does so at each call of a function inside a kernel, too, where they are replaced already: most of its time.
    """
    from triton.runtime import interpreter

    languages = interpreter.tl, interpreter.tl.core
    prepared: set[tuple[bool, ...]] = set()
    prepare, run = interpreter._patch_lang, interpreter.GridExecutor.__call__

    def run_anew(executor: Any, *arguments: Any, **options: Any) -> None:
        prepared.clear()  # what the kernel before had replaced was put back
        run(executor, *arguments, **options)

    def prepare_once(function: Any) -> Any:
        modules = [value for value in function.__globals__.values() if isinstance(value, ModuleType)]
        seen = tuple(language in modules for language in languages)
        if seen in prepared:
            return None
        prepared.add(seen)
        return prepare(function)

    patch.setattr(interpreter, "_patch_lang", prepare_once)
    patch.setattr(interpreter.GridExecutor, "__call__", run_anew)

"""Call something as soon as a module is there; ``wrapt`` does this too, and would be a dependency for this alone."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def call_after_import(module: str, function: Callable[[], object]) -> None:
    """Call a function once, when a module has been imported: now where it has been already.

    Args:
        module: its full name.
        function: what it raises, the import raises.
    """
    if module in sys.modules:
        function()
    else:
        sys.meta_path.insert(0, _Waiting(module, function))


class _Waiting(importlib.abc.MetaPathFinder):
    """Finds what the others find, and calls the function after the module has been executed without an error."""

    def __init__(self, module: str, function: Callable[[], object]) -> None:
        self._module = module
        self._function = function
        self._asks_the_others = False

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how the module is found; None for every other one."""
        if fullname != self._module or self._asks_the_others:
            return None
        self._asks_the_others = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asks_the_others = False
        if spec is not None and spec.loader is not None:
            self._watch(spec.loader)
        return spec

    def _watch(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_call(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self._function()

        loader.exec_module = execute_and_call

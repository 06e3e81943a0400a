"""A fold that is to be run, here or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class FoldJob:
    """A fold to run.

    Attributes:
        fold: its number.
        directory: its folder.
        content: what `fold_process` is told.
        run_name: of its cross-validation, where folds of several run together.
    """

    fold: int
    directory: Path
    content: dict[str, Any] = field(repr=False)
    run_name: str = ""

    @property
    def title(self) -> str:
        """Its name in what a user is told."""
        return f"{self.run_name} fold {self.fold}".strip()

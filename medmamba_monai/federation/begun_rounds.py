"""After which epoch a site began each round of a fold, so that a round can be trained once more from there."""

from __future__ import annotations

import json
import logging

from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.training.handlers.resumable_checkpoint import count_saved_epochs, find_checkpoints, read_epoch

logger = logging.getLogger("medmamba_monai.federation")


class BegunRounds:
    """The rounds that a site has begun, in a file of the fold's folder.

    Args:
        folder: of the fold.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def note(self, number: int) -> None:
        """Note that a round begins after the newest checkpoint.

        Raises:
            UserError: the file cannot be written.
        """
        write_json(self.folder.begun_rounds, {**self._read(), str(number): self.count_epochs()})

    def count_epochs(self) -> int:
        """Return how many epochs the site has trained."""
        return count_saved_epochs(self.folder.checkpoints)

    def find_end(self, number: int) -> int:
        """Return the epoch with which a round ended, or the last one before it where the site missed it."""
        later = [epoch for begun, epoch in self._read().items() if int(begun) > number]
        return min(later, default=self.count_epochs())

    def undo(self, number: int) -> None:
        """Remove the checkpoints of a round and of those after it, where it has begun already.

        Where the checkpoint with which it began is gone, nothing is removed: the round goes on from the newest.
        """
        begun = self._read().get(str(number))
        files = find_checkpoints(self.folder.checkpoints)
        if begun is None or not any(read_epoch(path) > begun for path in files):
            return
        if begun > 0 and not any(read_epoch(path) == begun for path in files):
            logger.warning(
                f"{self.folder.path}: round {number} goes on from {files[-1].name}, as what it began with is gone"
            )
            return
        for path in files:
            if read_epoch(path) > begun:
                path.unlink()

    def _read(self) -> dict[str, int]:
        path = self.folder.begun_rounds
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

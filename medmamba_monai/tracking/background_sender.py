"""Sending in a thread of its own, so that a slow store never holds a training."""

from __future__ import annotations

import logging
import threading
import time

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.tracking.journal_sender import STEP_SECONDS, JournalSender

_LOOK_SECONDS = 0.05
logger = logging.getLogger("medmamba_monai.tracking")


class BackgroundSender:
    """Let a `JournalSender` send while its caller goes on, or waits for a time that is known beforehand.

    Args:
        sender: what sends.
    """

    def __init__(self, sender: JournalSender) -> None:
        self.sender = sender
        self._condition = threading.Condition()
        self._wanted = False
        self._forced = False
        self._thread: threading.Thread | None = None
        self._error: UserError | None = None

    def begin(self, force: bool = True) -> None:
        """Have everything sent that is pending now, without waiting for it.

        Args:
            force: try even if the last try failed less than a minute ago.
        """
        with self._condition:
            self._wanted = True
            self._forced = self._forced or force
            if self._thread is None:
                self.sender.step_ends = time.monotonic() + STEP_SECONDS
                self._thread = threading.Thread(target=self._run, daemon=True, name="mlflow-sender")
                self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left to do, for a time at most, and no longer where a single call is stuck.

        Args:
            seconds: the time, to which is added what artifacts may need on a slow line.

        Returns:
            Whether nothing is left to do.

        Raises:
            UserError: what the user must put right, see `JournalSender.send`.
        """
        ends = time.monotonic() + seconds - self.sender.artifact_seconds
        with self._condition:
            while self._thread is not None:
                self._condition.wait(_LOOK_SECONDS)
                if time.monotonic() > min(self.sender.step_ends, ends + self.sender.artifact_seconds):
                    return self._thread is None
            if self._error is not None:
                error, self._error = self._error, None
                raise error
        return True

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._wanted:
                    self._thread = None
                    self._condition.notify_all()
                    return
                self._wanted = False
                force, self._forced = self._forced, False
            self._send(force)

    def _send(self, force: bool) -> None:
        try:
            self.sender.send(force=force)
        except UserError as error:
            self._error = error
        except Exception as error:
            logger.warning(f"{self.sender.directory} could not be sent: {get_first_line(error)}", exc_info=True)

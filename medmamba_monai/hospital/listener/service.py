"""The listener as a whole: what runs in which thread, how it begins, and how it ends."""

from __future__ import annotations

import logging
import threading
import time

from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.hospital.listener.answering import Answering, AnswerStudy
from medmamba_monai.hospital.listener.delivery import Delivery
from medmamba_monai.hospital.listener.intake import Intake
from medmamba_monai.hospital.listener.node import Node
from medmamba_monai.hospital.listener.retention import remove_old_images
from medmamba_monai.hospital.listener.settings import ListenerSettings
from medmamba_monai.hospital.listener.state import Case, StateFolder
from medmamba_monai.hospital.listener.waiting import Waiting

_LOOK_SECONDS = 0.1
_PROGRESS_SECONDS = 60.0
_RETENTION_SECONDS = 3600.0

logger = logging.getLogger(__name__)


class Listener:
    """Receives studies, answers each once it is quiet, and delivers the answers.

    Images come in by threads of their connections, answers are made in the thread that calls `run`, and go out by a
    third.

    Args:
        settings: what it is told.
        answer: makes the answer of the images in a folder.

    Example::

        settings = ListenerSettings(port=11112, state="listener", dicom_out="answers")
        stop = threading.Event()
        Listener(settings, lambda study, output: answer_study(package, study, output)).run(stop)
    """

    def __init__(self, settings: ListenerSettings, answer: AnswerStudy) -> None:
        self.settings = settings
        self.state = StateFolder(settings.state)
        self.waiting = Waiting(self.state, settings.max_studies)
        self.intake = Intake(self.state, self.waiting, settings)
        self.answering = Answering(self.state, answer, settings.whole_series)
        self.delivery = Delivery(self.state, settings)
        self.port = 0
        self.ready = threading.Event()
        self._node = Node(settings, self.intake)
        self._later = 0.0
        self._told: tuple[object, ...] = ()
        self._due = {self._tell_progress: 0.0, self.remove_old_images: 0.0}

    def run(self, stop: threading.Event) -> None:
        """Work until a stop is asked for; the study that is being answered then is answered to its end.

        Raises:
            UserError: another listener works in the state folder, a folder cannot be used, or the port is in use.
        """
        with lock_folder(self.settings.state, "listener"):
            self.prepare()
            ended = threading.Event()
            sender = threading.Thread(target=self.delivery.run, args=(ended,), name="delivery")
            try:
                self.port = self._node.start()
                sender.start()
                self._tell_start()
                self.ready.set()
                self._work(stop)
            finally:
                self._node.stop()
                ended.set()
                if sender.is_alive():
                    sender.join()
                self.intake.close()
                logger.info("stopped; %d studies go on at the next start", self.waiting.count_open())

    def prepare(self) -> None:
        """Make the folder for answers, and find in the state folder what an earlier process left there.

        Raises:
            UserError: one of them cannot be used.
        """
        self.delivery.prepare()
        self.state.prepare()
        self.waiting.load()
        self.intake.open()

    def _tell_start(self) -> None:
        who = ", ".join(self.settings.allow) or "any title on this machine"
        address = f"{self.settings.title} on {self.settings.host}, port {self.port}"
        tls = "TLS" if self.settings.tls else "no TLS"
        logger.info("listening: %s, %s, for %s", address, tls, who)

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            for task, due in self._due.items():
                if time.monotonic() >= due:
                    self._due[task] = time.monotonic() + task()
            if not self.answer_next():
                stop.wait(_LOOK_SECONDS)

    def answer_next(self) -> bool:
        """Answer a study, if one is quiet; returns whether one was."""
        case = self._next_case()
        if case is None:
            return False
        if not self.answering.work(case):
            self._later = time.monotonic() + self.settings.retry
        return True

    def _next_case(self) -> Case | None:
        """Return what an earlier process or try left, else the study that has been quiet for longest."""
        if time.monotonic() < self._later:
            return None
        left = self.state.list_cases(self.state.answering)
        return left[0] if left else self.waiting.claim_quiet(self.settings.quiet)

    def _tell_progress(self) -> float:
        answering = self.answering
        found = (self.intake.received, answering.answered, answering.failed, self.delivery.delivered)
        if any(found) and found != self._told:
            each = answering.seconds / answering.answered if answering.answered else 0.0
            logger.info(
                "received %d images, answered %d studies (%.2f s each), failed %d, delivered %d, queue %d",
                *found[:2],
                each,
                *found[2:],
                self.waiting.count_open(),
            )
        self._told = found
        return _PROGRESS_SECONDS

    def remove_old_images(self) -> float:
        """Remove the images whose time is over; returns the seconds until the next look."""
        remove_old_images(self.state, self.settings)
        return _RETENTION_SECONDS

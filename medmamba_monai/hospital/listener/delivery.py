"""Answers on their way: into a folder and to the PACS, again and again until they arrived."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.uid import UID
from pynetdicom import AE, build_context

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.core.files import write_bytes
from medmamba_monai.hospital.listener.faults import describe_failure
from medmamba_monai.hospital.listener.node import make_client_context
from medmamba_monai.hospital.listener.record import Answer
from medmamba_monai.hospital.listener.settings import ListenerSettings, Peer
from medmamba_monai.hospital.listener.state import Case, StateFolder

LONGEST_PAUSE = 300.0
"""Seconds between two tries at most."""

_LOOK_SECONDS = 0.1
_CONNECT_SECONDS = 30

logger = logging.getLogger(__name__)


class DeliveryError(Exception):
    """An answer did not arrive."""


class UnreachableError(DeliveryError):
    """No answer would arrive now."""


class Pause(NamedTuple):
    """How long something waits, and until when."""

    seconds: float
    until: float


class Delivery:
    """Delivers the cases in ``sending``, and then passes them on to ``answered``.

    Args:
        state: where they are.
        settings: where answers go, and how long images are kept.
    """

    def __init__(self, state: StateFolder, settings: ListenerSettings) -> None:
        self._state = state
        self._settings = settings
        self._pauses: dict[str, Pause] = {}
        self._context = make_client_context(settings.tls) if settings.send_tls and settings.tls else None
        self.delivered = 0

    def prepare(self) -> None:
        """Make the folder for answers, so that nothing is received whose answer could never be written.

        Raises:
            UserError: it cannot be made.
        """
        try:
            self._make_folder()
        except OSError as error:
            folder = self._settings.dicom_out
            raise UserError(f"--dicom-out {folder}: cannot be used ({error.strerror}); name another folder") from error

    def _make_folder(self) -> None:
        if self._settings.dicom_out is not None:
            self._settings.dicom_out.mkdir(mode=0o700, parents=True, exist_ok=True)

    def run(self, stop: threading.Event) -> None:
        """Deliver what there is until a stop is asked for."""
        while not stop.wait(_LOOK_SECONDS):
            try:
                self.deliver_all(stop)
            except Exception as error:  # noqa: BLE001 - a delivery that cannot be made today is made tomorrow
                logger.error("deliveries wait: %s", describe_failure(error))
                stop.wait(self._settings.retry)

    def deliver_all(self, stop: threading.Event) -> None:
        """Try each case whose time has come."""
        for case in self._state.list_cases(self._state.sending):
            if stop.is_set():
                return
            if self._is_due(case.folder.name):
                self._try(case)

    def _try(self, case: Case) -> None:
        try:
            self._write(case)
            if self._settings.send_to is not None:
                if not self._is_due(str(self._settings.send_to)):
                    return
                self._send(self._settings.send_to, case, case.read_record().answer)
                self._pauses.pop(str(self._settings.send_to), None)
        except UnreachableError as error:
            self._wait(str(self._settings.send_to), "answers wait", error)
        except (DeliveryError, UserError, OSError) as error:
            self._wait(case.folder.name, f"study {case.study}: its answer waits", error)
        else:
            self._pauses.pop(case.folder.name, None)
            self._finish(case)

    def _finish(self, case: Case) -> None:
        finish(self._state, self._state.pass_on(case, self._state.answered), self._settings.keep)
        self.delivered += 1
        logger.info("study %s: its answer was delivered", case.study)

    def _is_due(self, name: str) -> bool:
        return name not in self._pauses or time.monotonic() >= self._pauses[name].until

    def _wait(self, name: str, what: str, error: Exception) -> None:
        seconds = min(2 * self._pauses[name].seconds, LONGEST_PAUSE) if name in self._pauses else self._settings.retry
        self._pauses[name] = Pause(seconds, time.monotonic() + seconds)
        logger.warning("%s, for %.0f s: %s", what, seconds, get_first_line(error))

    def _write(self, case: Case) -> None:
        """Write an answer into the folder for answers, once."""
        record = case.read_record()
        if self._settings.dicom_out is None or record.in_folder:
            return
        self._make_folder()
        for answer in record.answer:
            target = self._settings.dicom_out / case.folder.name / answer.file
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_bytes(target, (case.answer / answer.file).read_bytes())
        case.write_record(record.model_copy(update={"in_folder": True}))

    def _send(self, peer: Peer, case: Case, answers: tuple[Answer, ...]) -> None:
        entity = AE(self._settings.title)
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = _CONNECT_SECONDS
        contexts = {
            (one.sop_class, one.transfer_syntax): build_context(one.sop_class, one.transfer_syntax) for one in answers
        }
        association = self._connect(entity, peer, list(contexts.values()))
        try:
            for one in answers:
                _check_status(peer, one, _store(association, case.answer / one.file, peer, one))
        finally:
            association.release()

    def _connect(self, entity: AE, peer: Peer, contexts: list[Any]) -> Any:
        tls = (self._context, peer.host) if self._context else None
        try:
            association = entity.associate(peer.host, peer.port, contexts, peer.title, tls_args=tls)
        except OSError as error:
            raise UnreachableError(f"{peer} is not known ({error.strerror})") from error
        if not association.is_established:
            raise UnreachableError(f"{peer} cannot be reached, or refuses {self._settings.title}")
        return association


def finish(state: StateFolder, case: Case, keep_days: float) -> None:
    """Remove of a delivered case the answer, which others hold now, and images that are not to be kept."""
    if case.answer.exists():
        state.remove(case.answer)
    if keep_days == 0 and case.images.exists():
        state.remove(case.images)


def _store(association: Any, path: Path, peer: Peer, answer: Answer) -> Any:
    try:
        return association.send_c_store(path)
    except ValueError as error:
        raise DeliveryError(f"{peer} does not take {UID(answer.sop_class).name}") from error
    except RuntimeError as error:
        raise DeliveryError(f"{peer} ended the association") from error


def _check_status(peer: Peer, answer: Answer, response: Any) -> None:
    status = response.get("Status") if response else None
    if status is None:
        raise DeliveryError(f"{peer} did not answer")
    if status != 0 and status >> 12 != 0xB:  # a warning means stored, too
        raise DeliveryError(f"{peer} refused {UID(answer.sop_class).name} with the status {status:#06x}")

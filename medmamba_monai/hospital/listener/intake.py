"""The door: which images come in, and what is answered to who sends them."""

from __future__ import annotations

import logging
import logging.handlers
import secrets
import threading
from pathlib import Path

from pydicom.uid import UID

from medmamba_monai.core.disk import format_size
from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital.listener import durable
from medmamba_monai.hospital.listener.headers import Header, read_header
from medmamba_monai.hospital.listener.settings import ListenerSettings
from medmamba_monai.hospital.listener.state import StateFolder, is_uid
from medmamba_monai.hospital.listener.waiting import Waiting

SUCCESS = 0x0000
NO_SUCH_CLASS = 0x0122
OUT_OF_RESOURCES = 0xA700
OTHER_THAN_SAID = 0xA900
NOT_UNDERSTOOD = 0xC000

_LOG_BYTES, _LOG_FILES = 2**20, 3

logger = logging.getLogger(__name__)


class RefusalError(Exception):
    """An image does not come in.

    Attributes:
        status: what DICOM calls it.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Intake:
    """Takes images one at a time, from several threads.

    Args:
        state: where they go.
        waiting: the studies there.
        settings: how much may be held.
    """

    def __init__(self, state: StateFolder, waiting: Waiting, settings: ListenerSettings) -> None:
        self._state = state
        self._waiting = waiting
        self._settings = settings
        self._lock = threading.Lock()
        self._full = ""
        self._refused = logging.Logger(f"{__name__}.refused", logging.INFO)
        self.received = 0
        self.refused = 0

    def open(self) -> None:
        """Open the list of what is refused, ``failed/refused.log``, which does not grow beyond some megabytes."""
        path = self._state.failed / "refused.log"
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._refused.addHandler(handler)

    def close(self) -> None:
        """Close the list of what is refused."""
        for handler in list(self._refused.handlers):
            self._refused.removeHandler(handler)
            handler.close()

    def take(self, instance: str, sop_class: str, *parts: bytes) -> int:
        """Take an image: when this returns success, it is on the disk.

        Args:
            instance: SOP Instance UID, as the sender's command has it.
            sop_class: SOP Class UID, the same.
            parts: bytes of the file, in their order.

        Returns:
            The status for the sender.
        """
        try:
            self._store(instance, sop_class, parts)
        except RefusalError as refusal:
            self._tell_refusal(instance, refusal)
            return refusal.status
        self._tell_full("")
        return SUCCESS

    def _store(self, instance: str, sop_class: str, parts: tuple[bytes, ...]) -> None:
        if not is_uid(instance):
            raise RefusalError(NOT_UNDERSTOOD, "its SOP Instance UID is none")
        size = sum(map(len, parts))
        self._check_room(size)
        file = self._state.incoming / f"{secrets.token_hex(8)}.dcm"
        try:
            durable.write(file, *parts)
            header = self._read(file)
            self._check(header, instance, sop_class)
            if self._is_own(header):
                logger.info("study %s: an answer of this listener came back; it is not kept", header.study)
                return
            if not self._waiting.add(file, header.study, header.instance):
                raise RefusalError(OUT_OF_RESOURCES, f"{self._settings.max_studies} studies wait (--max-studies)")
        except OSError as error:
            raise RefusalError(OUT_OF_RESOURCES, f"the disk cannot be written ({error.strerror})") from error
        finally:
            file.unlink(missing_ok=True)
        with self._lock:
            self.received += 1

    def _check_room(self, size: int) -> None:
        settings = self._settings
        if self._state.bytes + size > settings.max_disk:
            raise RefusalError(OUT_OF_RESOURCES, f"{format_size(settings.max_disk)} are in use (--max-disk)")
        if self._state.measure_free() - size < settings.min_free:
            raise RefusalError(OUT_OF_RESOURCES, f"less than {format_size(settings.min_free)} are free (--min-free)")

    def _read(self, file: Path) -> Header:
        try:
            return read_header(file)
        except UserError as error:
            reason = str(error).partition(": ")[2]  # without the name of a file that is gone in a moment
            raise RefusalError(NOT_UNDERSTOOD, reason) from error

    def _check(self, header: Header, instance: str, sop_class: str) -> None:
        if not is_uid(header.study) or not is_uid(header.series):
            raise RefusalError(NOT_UNDERSTOOD, "its Study or Series Instance UID is missing or none")
        if (header.instance, header.sop_class) != (instance, sop_class):
            raise RefusalError(OTHER_THAN_SAID, "its UIDs are others than its sender said")
        if not header.has_pixels:
            known = UID(sop_class).name if is_uid(sop_class) else "of unknown class"
            raise RefusalError(NO_SUCH_CLASS, f"study {header.study}: it is no image ({known})")

    def _is_own(self, header: Header) -> bool:
        try:
            records = self._state.read_records(header.study)
        except UserError:  # the study's answer says so
            return False
        return any(header.instance == answer.sop_instance for record in records for answer in record.answer)

    def _tell_refusal(self, instance: str, refusal: RefusalError) -> None:
        with self._lock:
            self.refused += 1
        if refusal.status == OUT_OF_RESOURCES:
            self._tell_full(str(refusal))
            return
        text = f"refused {instance if is_uid(instance) else 'an object'}: {refusal}"
        logger.warning("%s", text)
        self._refused.warning("%s", text)

    def _tell_full(self, reason: str) -> None:
        """Say once when nothing comes in any more, and once when it does again."""
        with self._lock:
            before, self._full = self._full, reason
        if reason and not before:
            logger.error("full: %s; images are refused (out of resources) until there is room", reason)
        elif before and not reason:
            logger.info("there is room again: images are taken")

"""The folders that hold all that a listener knows."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.hospital.listener import durable
from medmamba_monai.hospital.listener.record import Record

_UID = re.compile(r"(?=.{1,64}$)\d+(\.\d+)*")
_CASE = re.compile(r"(?P<study>[\d.]+)-(?P<number>\d+)")


def is_uid(text: str) -> bool:
    """Return whether a text is a DICOM UID, and so safe as the name of a file.

    Leading zeros, which the standard forbids and some devices write, are let through.
    """
    return _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class Case:
    """Images of a study that were received together, and their answer.

    Attributes:
        folder: its name is the study's UID, a hyphen and the number of the case.
    """

    folder: Path

    @property
    def study(self) -> str:
        """Study Instance UID."""
        return self.folder.name.partition("-")[0]

    @property
    def number(self) -> int:
        """How many cases of the study there were, this one included."""
        return int(self.folder.name.partition("-")[2])

    @property
    def images(self) -> Path:
        """Folder of what was received."""
        return self.folder / "images"

    @property
    def answer(self) -> Path:
        """Folder of the answer."""
        return self.folder / "answer"

    def count_attempt(self) -> int:
        """Return how many times this case was begun, this time included; counted on disk before the work."""
        file = self.folder / "attempts.txt"
        before = int(file.read_text(encoding="ascii")) if file.exists() else 0
        write_json(file, before + 1)
        return before + 1

    def forget_attempts(self) -> None:
        """Count from the start: what stopped the work was not the case's fault."""
        with suppress(OSError):
            (self.folder / "attempts.txt").unlink()

    def read_record(self) -> Record:
        """Read what became of it."""
        return read_document(self.folder / "record.json", Record)

    def write_record(self, record: Record) -> None:
        """Say what became of it."""
        write_json(self.folder / "record.json", record.model_dump(mode="json"))


class StateFolder:
    """Where studies are, by what became of them; each goes from one folder to the next in one step.

    ==============  =================================================================================
    folder          what is in it
    ==============  =================================================================================
    ``incoming``    files that are being written; nobody was told that they are here
    ``received``    a folder a study: images that wait for the study to be quiet
    ``answering``   a folder a case (``STUDY-1``): images, and an answer that is being made
    ``sending``     cases with a whole answer that has not reached all its destinations
    ``answered``    cases whose answer was delivered: the record, and the images for as long as they
                    are kept
    ``failed``      cases that cannot be answered, with the reason in the record; ``refused.log``
    ==============  =================================================================================
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incoming = path / "incoming"
        self.received = path / "received"
        self.answering = path / "answering"
        self.sending = path / "sending"
        self.answered = path / "answered"
        self.failed = path / "failed"
        self._moving = threading.Lock()
        self._counting = threading.Lock()
        self._bytes = 0

    def prepare(self) -> None:
        """Make the folders, for no other user's eyes, and remove files that nobody was told of.

        Raises:
            UserError: they cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            durable.remove(self.incoming)
            for folder in (self.incoming, self.received, self.answering, self.sending, self.answered, self.failed):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"--state {self.path}: cannot be used ({error.strerror}); name another folder") from error
        self.change_bytes(durable.measure(self.path) - self._bytes)

    @property
    def bytes(self) -> int:
        """Bytes of all files, as far as they were counted."""
        return self._bytes

    def change_bytes(self, difference: int) -> None:
        """Count bytes that came or went."""
        with self._counting:
            self._bytes += difference

    def measure_free(self) -> int:
        """Return the bytes that are free on the disk."""
        return shutil.disk_usage(self.path).free

    def list_cases(self, place: Path) -> list[Case]:
        """Return the cases in one of the folders, by study and number."""
        found = [Case(path) for path in place.iterdir() if _CASE.fullmatch(path.name)]
        return sorted(found, key=lambda case: (case.study, case.number))

    def read_records(self, study: str) -> list[Record]:
        """Read what became of the earlier cases of a study, in their order."""
        with self._moving:
            return [case.read_record() for case in self._find_cases(study)]

    def _find_cases(self, study: str) -> Iterator[Case]:
        number = 1
        while (case := self._find_case(study, number)) is not None:
            yield case
            number += 1

    def _find_case(self, study: str, number: int) -> Case | None:
        name = f"{study}-{number}"
        places = (self.sending, self.answered, self.failed)
        return next((Case(place / name) for place in places if (place / name / "record.json").exists()), None)

    def claim(self, study: str) -> Case:
        """Take the images of a study that was received, to answer them."""
        with self._moving:
            folder = self.answering / f"{study}-{1 + sum(1 for _ in self._find_cases(study))}"
        durable.move(self.received / study, folder)
        return Case(folder)

    def pass_on(self, case: Case, place: Path) -> Case:
        """Move a case to another of the folders."""
        with self._moving:
            durable.move(case.folder, place / case.folder.name)
        return Case(place / case.folder.name)

    def remove(self, folder: Path) -> None:
        """Remove a folder and what it holds."""
        size = durable.measure(folder)
        durable.remove(folder)
        self.change_bytes(-size)

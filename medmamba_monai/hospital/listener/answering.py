"""One study at a time: its images are given to what answers, and what comes out is kept whole or not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydicom import dcmread

from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital.listener import durable
from medmamba_monai.hospital.listener.faults import describe_failure, find_machine_fault
from medmamba_monai.hospital.listener.headers import check_one_patient, read_header
from medmamba_monai.hospital.listener.record import Answer, Record
from medmamba_monai.hospital.listener.state import Case, StateFolder

AnswerStudy = Callable[[Path, Path], Sequence[Path]]
"""Answers the images in a folder with DICOM objects in another, and returns their paths; a `UserError` says why not."""

MAX_ATTEMPTS = 5
"""Times that a process may die over a study until the study is given up."""

logger = logging.getLogger(__name__)


class Answering:
    """Answers cases.

    Args:
        state: where they are.
        answer: makes the answer.
        whole_series: whether some slices of a series are no image, so that late ones alone cannot be answered.
    """

    def __init__(self, state: StateFolder, answer: AnswerStudy, whole_series: bool) -> None:
        self._state = state
        self._answer = answer
        self._whole_series = whole_series
        self.answered = 0
        self.failed = 0
        self.seconds = 0.0

    def work(self, case: Case) -> bool:
        """Answer a case, or say why it cannot be answered.

        Returns:
            Whether that was done; if not, the machine is at fault, and the case is to be tried again later.
        """
        started, images = time.monotonic(), sorted(case.images.glob("*.dcm"))
        known: dict[str, str] = {}
        try:
            try:
                known |= _identify(images)
                earlier = self._read_earlier(case)
                if earlier.keys() >= known.keys():
                    self._drop(case, len(known))
                    return True
                answer = self._make_answer(case, images, known, earlier)
            except Exception as error:
                if find_machine_fault(error) is not None:
                    raise
                self._give_up(case, known, error)
                return True
            self._commit(case, known, answer, time.monotonic() - started, late=bool(earlier))
        except Exception as error:  # noqa: BLE001 - whatever happens here, the listener goes on
            case.forget_attempts()
            logger.error("study %s: waits, since the machine cannot work: %s", case.study, describe_failure(error))
            return False
        return True

    def _read_earlier(self, case: Case) -> dict[str, str]:
        """Return the images of the study that were answered before, series by instance."""
        answered: dict[str, str] = {}
        for record in self._state.read_records(case.study):
            if record.outcome == "answered":
                answered |= record.images
        return answered

    def _drop(self, case: Case, images: int) -> None:
        """Remove a case without anything new; one without images is what a process left that was killed here."""
        if images:
            logger.info("study %s: its %d images came again; it is not answered again", case.study, images)
        self._state.remove(case.folder)

    def _check_attempts(self, case: Case) -> None:
        if case.count_attempt() > MAX_ATTEMPTS:
            raise UserError(f"the process died {MAX_ATTEMPTS} times while it answered this study; it is given up")

    def _check_whole(self, earlier: dict[str, str], known: dict[str, str]) -> None:
        touched = set(known.values())
        missing = [one for one, series in earlier.items() if series in touched and one not in known]
        if self._whole_series and missing:
            raise UserError(
                f"late images of a series that was answered, without {len(missing)} of its other images: some slices "
                "are no volume; send the whole series again"
            )

    def _make_answer(
        self, case: Case, images: list[Path], known: dict[str, str], earlier: dict[str, str]
    ) -> tuple[Answer, ...]:
        self._check_attempts(case)
        check_one_patient(images)
        self._check_whole(earlier, known)
        durable.remove(case.answer)
        case.answer.mkdir()
        paths = self._answer(case.images, case.answer)
        if not paths:
            raise UserError("the study got no answer: nothing in it can be judged")
        return tuple(_describe(Path(path), case.answer) for path in paths)

    def _commit(
        self, case: Case, known: dict[str, str], answer: tuple[Answer, ...], seconds: float, late: bool
    ) -> None:
        durable.flush_tree(case.answer)
        case.write_record(_record(case, known, "answered", answer=answer, seconds=round(seconds, 3)))
        self._state.change_bytes(durable.measure(case.answer))
        self._state.pass_on(case, self._state.sending)
        self.answered += 1
        self.seconds += seconds
        further = f" (late images: answer {case.number})" if late else ""
        logger.info("study %s: %d images answered in %.1f s%s", case.study, len(known), seconds, further)

    def _give_up(self, case: Case, known: dict[str, str], error: Exception) -> None:
        reason = " ".join((str(error) if isinstance(error, UserError) else describe_failure(error)).split())
        durable.remove(case.answer)
        case.write_record(_record(case, known, "failed", reason=reason))
        self._state.pass_on(case, self._state.failed)
        self.failed += 1
        logger.error("study %s: not answered, see failed/%s: %s", case.study, case.folder.name, reason)


def _identify(images: list[Path]) -> dict[str, str]:
    return {path.stem: read_header(path).series for path in images}


def _record(case: Case, known: dict[str, str], outcome: Any, **more: Any) -> Record:
    ended = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Record(study=case.study, number=case.number, outcome=outcome, images=known, ended=ended, **more)


def _describe(path: Path, folder: Path) -> Answer:
    resolved, root = path.resolve(), folder.resolve()
    if not resolved.is_relative_to(root):
        raise UserError(f"the answer {path.name} was not written into the folder for it")
    found = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    return Answer(
        file=resolved.relative_to(root).as_posix(),
        sop_class=str(found.SOPClassUID),
        sop_instance=str(found.SOPInstanceUID),
        transfer_syntax=str(found.file_meta.TransferSyntaxUID),
    )

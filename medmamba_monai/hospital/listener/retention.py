"""How long images of patients stay here."""

from __future__ import annotations

import logging
import time

from medmamba_monai.hospital.listener.delivery import finish
from medmamba_monai.hospital.listener.settings import ListenerSettings
from medmamba_monai.hospital.listener.state import StateFolder

_DAY = 24 * 3600.0

logger = logging.getLogger(__name__)


def remove_old_images(state: StateFolder, settings: ListenerSettings) -> int:
    """Remove the images whose time is over; the records, which name nobody, stay.

    Returns:
        Of how many cases.
    """
    removed = 0
    for place, days in ((state.answered, settings.keep), (state.failed, settings.keep_failed)):
        for case in state.list_cases(place):
            if not case.images.exists():
                continue
            age = time.time() - (case.folder / "record.json").stat().st_mtime
            if age >= days * _DAY:
                state.remove(case.images)
                removed += 1
            if place == state.answered:
                finish(state, case, settings.keep)  # what a process that was killed left
    if removed:
        logger.info("images of %d studies were removed, as --keep and --keep-failed say", removed)
    return removed

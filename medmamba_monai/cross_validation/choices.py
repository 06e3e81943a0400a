"""What a cross-validation was told for privacy: it binds whatever works on its folder later."""

from __future__ import annotations

import json

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder


def read_images_choice(folder: RunFolder) -> bool | None:
    """Return what a cross-validation was told about images in its report; None where it was told nothing.

    Raises:
        UserError: the file that says it is damaged.
    """
    if not folder.choices.is_file():
        return None
    try:
        choice = json.loads(folder.choices.read_text(encoding="utf-8"))["report_images"]
    except (OSError, ValueError, KeyError, TypeError):
        choice = "nothing"
    if choice not in (None, True, False):
        raise UserError(
            f"{folder.choices} is damaged: start the cross-validation again, with --report_images True or False"
        )
    return bool(choice) if choice is not None else None


def keep_images_choice(folder: RunFolder, asked: bool | None) -> bool | None:
    """Keep what a cross-validation is told about images; where it is told nothing, what it was told before holds.

    Args:
        folder: of the cross-validation.
        asked: what the user says now; None for nothing.

    Returns:
        What holds.
    """
    choice = read_images_choice(folder) if asked is None else asked
    write_json(folder.choices, {"report_images": choice})
    return choice


def bind_images_choice(folder: RunFolder, asked: bool | None) -> bool | None:
    """Return whether a review shows images: what is asked for, as far as the cross-validation was not told otherwise.

    Raises:
        UserError: images are asked for of a cross-validation that is to show none.
    """
    told = read_images_choice(folder)
    if told is False and asked:
        raise UserError(
            f"{folder.path} was made with --report_images False, and its report shows no images; to show them, start "
            "its cross-validation again with --report_images True: finished folds are not trained anew"
        )
    return told if asked is None else asked

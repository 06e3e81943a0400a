"""Images in base64 as a server is sent them, and what a package says of them as plain values."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.package import Package, Prediction

LEVEL = 0.9
"""Share of sets that are to hold the true class, where a request names none."""


def answer(package: Package, images: Sequence[object], level: float = LEVEL) -> list[dict[str, Any]]:
    """Judge images that came in base64.

    Args:
        package: what judges.
        images: the bytes of a file of an image each, in base64: PNG, JPEG, DICOM and all else that `ReadImage` takes.
        level: share of the sets that are to hold the true class, between 0 and 1.

    Returns:
        For each image ``predicted``, ``probabilities`` and ``calibrated`` by the name of the class, ``doubt``,
        ``reasons`` to leave the answer to a person, ``unlike`` where the package knows it, and the names in its
        ``set``, which a multi-label task has not.

    Raises:
        UserError: there is no image, or one is no base64 or no image that the package can judge; says which one by its
            number from 1, and names no file.
    """
    if not len(images):
        raise UserError("there is no image in the request; send at least one")
    _check_level(level)
    read = (_read(package, image, f"image {n} of {len(images)}") for n, image in enumerate(images, 1))
    return describe_prediction(package.predict_pixels(read), level)


def describe_prediction(found: Prediction, level: float) -> list[dict[str, Any]]:
    """Return what is known of each image as plain values, see `answer`."""
    names = found.class_names
    sets = found.predict_sets(level) if found.conformal else None
    reasons = found.list_reasons(level)
    return [
        {
            "predicted": predicted,
            "probabilities": dict(zip(names, found.probabilities[n].tolist(), strict=True)),
            "calibrated": dict(zip(names, found.calibrated[n].tolist(), strict=True)),
            "doubt": float(found.doubt[n]),
            "reasons": reasons[n],
            **({} if found.unlike is None else {"unlike": float(found.unlike[n])}),
            **({} if sets is None else {"set": [name for name, held in zip(names, sets[n], strict=True) if held]}),
        }
        for n, predicted in enumerate(found.predicted_names)
    ]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level is {level}: give the share of sets that are to hold the truth, such as 0.9")


def _read(package: Package, image: object, name: str) -> Tensor:
    """Read an image by way of a file that is gone at once, since decoders want one, under a name that says nothing."""
    content = _decode(image, name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(content)
        try:
            return package.read(path)
        except UserError as error:
            raise UserError(_hide_file(str(error), path, name)) from error


def _decode(image: object, name: str) -> bytes:
    if not isinstance(image, str):
        raise UserError(f"{name}: is a {type(image).__name__}; send the file's bytes as a text in base64")
    try:
        content = base64.b64decode("".join(image.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{name}: is not base64; encode the bytes of the image file, not its name") from error
    if not content:
        raise UserError(f"{name}: is empty")
    return content


def _hide_file(message: str, path: Path, name: str) -> str:
    for spelling in (format_path(path), os.fspath(path), os.fspath(path.parent)):
        message = message.replace(spelling, name)
    return message

"""From the DICOM files of a study to the DICOM files that answer it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from medmamba_monai.core.files import replace_atomically
from medmamba_monai.hospital.capture import make_captures
from medmamba_monai.hospital.identity import Answer
from medmamba_monai.hospital.judgement import judge
from medmamba_monai.hospital.maps import make_map_captures
from medmamba_monai.hospital.report import make_report
from medmamba_monai.hospital.study import find_study
from medmamba_monai.package import Package

LEVEL = 0.9
"""Of prediction sets, where none is given."""


def answer_study(
    package: Package,
    study: str | os.PathLike[str],
    output: str | os.PathLike[str],
    level: float = LEVEL,
    maps: str | None = None,
) -> list[Path]:
    """Judge the images of a study and write a Structured Report and pictures of it, as objects of the same study.

    Files are named after their SOP Instance UIDs, which the study, the package, the level and the version of this
    software decide: the same study answered again replaces its files, in a folder as in an archive.

    Args:
        package: what judges.
        study: folder of its DICOM files, also in folders below.
        output: folder of the answer; not one in the study.
        level: of the prediction sets.
        maps: method of `EXPLANATIONS` whose maps of the images are added as pictures; None for none.

    Returns:
        The files, the report first.

    Raises:
        UserError: a file is damaged or of another patient or study, there is no image that the package can judge, or no
            knowing which is meant; names the file. Or the method cannot explain the networks. Nothing is written then.
    """
    found = find_study(Path(study), package.card)
    prediction = package.predict([image.source for image in found.images])
    judgements = judge(prediction, package.manifest, level)
    answer = Answer(found, package, level)
    drawn = [] if maps is None else make_map_captures(answer, judgements, maps)
    return _write([make_report(answer, judgements), *make_captures(answer, judgements), *drawn], Path(output))


def _write(objects: Sequence[Dataset], folder: Path) -> list[Path]:
    paths = []
    for made in objects:
        path = folder / f"{made.SOPInstanceUID}.dcm"
        with replace_atomically(path) as temporary:
            made.save_as(temporary, enforce_file_format=True)
        paths.append(path)
    return paths

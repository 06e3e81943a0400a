"""Maps of what speaks for the answer, as pictures (Secondary Capture) beside the report."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.maps import draw_maps
from medmamba_monai.evaluation.figures.style import render
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explanations.drawing import lay_out_maps
from medmamba_monai.explanations.members import Members
from medmamba_monai.explanations.subjects import make_members
from medmamba_monai.hospital.capture import Series, make_capture, name_image
from medmamba_monai.hospital.identity import Answer
from medmamba_monai.hospital.judgement import RESEARCH_ONLY, Judgement, format_share

SERIES_NUMBER = 9803
"""Behind the pages of the report."""
MAPPED = 8
"""Images of a study, at most, that maps are drawn of."""

logger = logging.getLogger("medmamba_monai.hospital")


def choose_method(package_members: Members, method: str) -> str:
    """Return the name of a method that can explain the networks.

    Raises:
        UserError: it does not exist, or cannot explain them.
    """
    able = [name for name in EXPLANATIONS if package_members.can_explain(name)]
    if method not in able:
        why = "cannot explain this network" if method in EXPLANATIONS else "does not exist"
        raise UserError(f"--maps {method}: {why}; choose from {', '.join(able)}")
    return method


def make_map_captures(answer: Answer, judgements: Sequence[Judgement], method: str) -> list[Dataset]:
    """Return a picture for each image: it, and what speaks for the class with the highest probability.

    Of more than `MAPPED` images those with the highest probabilities get one, which is logged.

    Args:
        answer: what is answered and by what.
        judgements: of each image of the study.
        method: a name of `EXPLANATIONS`; maps are the mean over the networks of the package.

    Raises:
        UserError: the method does not exist, or cannot explain the networks.
    """
    package = answer.package
    members = make_members(package, list(package.networks))
    series = Series(SERIES_NUMBER, "Network's maps, research only", ("map", choose_method(members, method)))
    return [
        make_capture(answer, series, number, _draw(answer, members, judgements[at], at, method))
        for number, at in enumerate(_choose_images(judgements), 1)
    ]


def _choose_images(judgements: Sequence[Judgement]) -> list[int]:
    order = sorted(range(len(judgements)), key=lambda at: -max(judgements[at].probabilities))
    if len(order) > MAPPED:
        logger.warning(f"maps are drawn of {MAPPED} of {len(order)} images, those with the highest probabilities")
    return sorted(order[:MAPPED])


def _draw(answer: Answer, members: Members, judgement: Judgement, at: int, method: str) -> np.ndarray:
    package, image = answer.package, answer.study.images[at]
    label = int(np.argmax(judgement.probabilities))
    values = members.draw(method, package.convert([package.read(image.source)]), label)[0]
    shown = np.rint(package.read_unscaled(image.source).numpy()).astype(np.uint8)
    said = f"{judgement.class_names[label]}: {format_share(judgement.calibrated[label])}"
    tiles = lay_out_maps(shown, {EXPLANATIONS[method].title: values}, [said, name_image(at + 1, image)])
    columns = 6 if shown.ndim == 4 else 2
    return render(draw_maps(tiles, columns, f"{answer.algorithm}. {RESEARCH_ONLY}"))

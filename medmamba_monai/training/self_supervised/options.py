"""The options of a self-supervised pretraining beside those of a training."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Expects, Flag, Fraction, Options, Text, WholeFrom1
from medmamba_monai.training.self_supervised.objectives import METHODS, Method


def _check_method(value: Any) -> Method:
    known: dict[Any, Method] = {"contrastive": "contrastive", "masked": "masked"}
    if value not in known:
        raise UserError(f"--method {value!r}: give {' or '.join(METHODS)}")
    return known[value]


MethodName = Annotated[Method, PlainValidator(_check_method), Expects("contrastive or masked")]


class PretrainingOptions(Options):
    """What a pretraining adds; the defaults stand at the top of a bundle's ``configs/pretrain.json``."""

    method: Annotated[MethodName, Flag.SAME] = Field(
        description="what is learnt: contrastive, to find two views of one image; masked, to fill in covered parts"
    )
    images_dir: Annotated[Text | None, Flag.FREE, Flag.PRIVATE] = Field(
        description="folder of images without labels, for all folds; None: the training part of each fold"
    )
    mask_size: Annotated[WholeFrom1 | None, Flag.SAME] = Field(
        description="side in pixels of a covered part; None: about an eighth of the image"
    )
    mask_share: Annotated[Fraction, Flag.SAME] = Field(description="share of an image that is covered")

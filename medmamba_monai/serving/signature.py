"""What a logged model takes and gives, in MLflow's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medmamba_monai.package import Manifest
from medmamba_monai.serving.answer import LEVEL

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

IMAGE = "image"
"""The one column of a request: a file in base64."""


def describe_signature(manifest: Manifest) -> ModelSignature:
    """Return the signature of the model of a package.

    A text, and not MLflow's type for bytes, holds the image: what is no base64 would be cut to what is, and read.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map

    by_class = Map(DataType.double)
    outputs = [
        ColSpec(DataType.string, "predicted"),
        ColSpec(by_class, "probabilities"),
        ColSpec(by_class, "calibrated"),
        ColSpec(DataType.double, "doubt"),
        ColSpec(Array(DataType.string), "reasons"),
    ]
    if manifest.unlike is not None:
        outputs.append(ColSpec(DataType.double, "unlike"))
    if manifest.task != "multi-label":
        outputs.append(ColSpec(Array(DataType.string), "set"))
    return ModelSignature(
        Schema([ColSpec(DataType.string, IMAGE)]),
        Schema([*outputs]),
        ParamSchema([ParamSpec("level", DataType.double, LEVEL)]),
    )

"""A package as a model of MLflow; imported by the code file of a logged model alone, since it needs MLflow."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from medmamba_monai.core.errors import UserError
from medmamba_monai.package import Package
from medmamba_monai.serving.answer import LEVEL, answer
from medmamba_monai.serving.signature import IMAGE

ARTIFACT = "package"
"""Name of the artifact that is the package."""

logger = logging.getLogger("medmamba_monai.serving")


class RefusedRequestError(MlflowException):
    """What a server tells a client in one clear message.

    MLflow's server puts the request's data before the message of an exception; to the client it is left out, as it may
    hold parts of an image.
    """

    def __init__(self, message: str, error_code: int = INVALID_PARAMETER_VALUE) -> None:
        super().__init__(message, error_code)
        self._told = message

    def serialize_as_json(self) -> str:
        """Return the answer: the kind of the error and the message alone."""
        return json.dumps({"error_code": self.error_code, "message": self._told})


class PackageModel(PythonModel):
    """Judges images with the package beside it, one request at a time.

    Networks and their kernels use all cores for one request; two at once would take twice the memory and be no faster.
    """

    def __init__(self) -> None:
        self._package: Package | None = None
        self._lock = threading.Lock()

    def load_context(self, context: PythonModelContext) -> None:
        """Open the package; ``device`` of the model's config says where it computes."""
        config = context.model_config or {}
        self._package = Package.open(context.artifacts[ARTIFACT], config.get("device", "auto"))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Judge the images of a request, see `medmamba_monai.serving.answer.answer`.

        Raises:
            RefusedRequestError: with status 400 for what the client can put right, with 500 and nothing but a hint at
                the log for anything else.
        """
        assert self._package is not None, "MLflow loads the context first"
        level = float((params or {}).get("level", LEVEL))
        try:
            with self._lock:
                return pd.DataFrame(answer(self._package, list(model_input[IMAGE]), level))
        except UserError as error:
            raise RefusedRequestError(str(error)) from error
        except Exception as error:
            logger.exception("a request failed")
            raise RefusedRequestError("the server failed; its log says why", INTERNAL_ERROR) from error

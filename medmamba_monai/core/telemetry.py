"""MLflow's reports of its use to its makers: off, unless the user has decided otherwise.

MONAI imports MLflow, which prepares its reports while it is imported. This module is therefore the first that the
package imports; where MONAI was imported before the package, what MLflow has prepared is ended.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "MLFLOW_DISABLE_TELEMETRY"


def disable_telemetry() -> None:
    """Keep MLflow from reporting its use, unless ``MLFLOW_DISABLE_TELEMETRY`` says something already."""
    if VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = "true"
    if (loaded := sys.modules.get("mlflow.telemetry")) is not None:
        loaded.set_telemetry_client()


disable_telemetry()

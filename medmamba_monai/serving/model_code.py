"""The code file of a logged model: MLflow runs it where a pickle would stand otherwise."""

from mlflow.models import set_model

from medmamba_monai.serving.mlflow_model import PackageModel

set_model(PackageModel())

"""A package behind MLflow: logged models, and what a server of MLflow answers with."""

from medmamba_monai.serving.answer import answer
from medmamba_monai.serving.log_models import LoggedPackage, log_package

__all__ = ["LoggedPackage", "answer", "log_package"]

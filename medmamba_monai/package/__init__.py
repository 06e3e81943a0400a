"""The networks of a finished cross-validation as one folder: written once, opened wherever images are to be judged.

Opening a package and predicting with it needs nothing that only trains or tracks.
"""

from medmamba_monai.evaluation.answers.prediction import Prediction
from medmamba_monai.package.manifest import FORMAT_VERSION, Manifest
from medmamba_monai.package.open import Package
from medmamba_monai.package.open_run import open_run
from medmamba_monai.package.predict_folder import predict_folder
from medmamba_monai.package.run_folds import list_test_parts, read_folds_of_run
from medmamba_monai.package.write import write_package

__all__ = [
    "FORMAT_VERSION",
    "Manifest",
    "Package",
    "Prediction",
    "list_test_parts",
    "open_run",
    "predict_folder",
    "read_folds_of_run",
    "write_package",
]

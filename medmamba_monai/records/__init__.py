"""Clinical records as inputs: encoded by training images alone, judged alone, or together with an image's scores.

`predict_folds` is pure: a fold list, and for fusion the predictions of a cross-validation, give new predictions for
every fold. `medmamba_monai.cross_validation.fuse_records` makes a finished cross-validation of them.
"""

from medmamba_monai.records.classifiers import CLASSIFIERS, Classifier
from medmamba_monai.records.folds import WAYS, Way, predict_folds
from medmamba_monai.records.inputs import RecordInputs
from medmamba_monai.records.table import RecordTable

__all__ = ["CLASSIFIERS", "WAYS", "Classifier", "RecordInputs", "RecordTable", "Way", "predict_folds"]

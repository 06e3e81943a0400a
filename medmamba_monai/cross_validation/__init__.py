"""The cross-validation of a bundle, its review, and its comparison with others."""

from medmamba_monai.cross_validation.compare import compare_runs
from medmamba_monai.cross_validation.fuse import fuse_records
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.cross_validation.review import review_again
from medmamba_monai.cross_validation.workflow import CrossValidation

__all__ = ["CrossValidation", "CrossValidationOptions", "compare_runs", "fuse_records", "review_again"]

"""What corrupted test images cost a cross-validation: kinds of corruption, the judging of images, the report."""

from medmamba_monai.robustness.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from medmamba_monai.robustness.measure import measure_robustness

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "measure_robustness"]

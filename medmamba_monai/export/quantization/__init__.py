"""An exported ONNX network with its linears and convolutions in integers, and what that does to the predictions."""

from medmamba_monai.export.quantization.calibration import read_calibration
from medmamba_monai.export.quantization.judge import AreaChange, compare_on_test_images
from medmamba_monai.export.quantization.quantize import Quantized, quantize_onnx

__all__ = ["AreaChange", "Quantized", "compare_on_test_images", "quantize_onnx", "read_calibration"]

"""An exported ONNX network with its linears and convolutions in integers, and what that does to the predictions."""

from medmamba_monai.export.quantization.calibration import read_calibration
from medmamba_monai.export.quantization.judge import AreaChange, compare_on_test_images
from medmamba_monai.export.quantization.quantize import Quantized, quantize_onnx
from medmamba_monai.export.quantization.write import check_integers, write_integers

__all__ = [
    "AreaChange",
    "Quantized",
    "check_integers",
    "compare_on_test_images",
    "quantize_onnx",
    "read_calibration",
    "write_integers",
]

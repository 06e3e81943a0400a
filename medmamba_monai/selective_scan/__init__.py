"""The selective scan of MedMamba: one operator, one reference, one module per backend."""

from __future__ import annotations

from medmamba_monai.selective_scan.backend import Backend
from medmamba_monai.selective_scan.backends import BACKENDS, available_backends, check_backend
from medmamba_monai.selective_scan.directions import scan_orders
from medmamba_monai.selective_scan.flops import count_backward, count_forward
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.operator import directional_scan
from medmamba_monai.selective_scan.sequences import selective_scan

__all__ = [
    "BACKENDS",
    "Backend",
    "ScanInputs",
    "available_backends",
    "check_backend",
    "count_backward",
    "count_forward",
    "directional_scan",
    "scan_orders",
    "selective_scan",
]

"""A package in other formats, each held to the numbers of the package it came from."""

from __future__ import annotations

from medmamba_monai.export.formats import FORMATS
from medmamba_monai.export.onnx import export_onnx
from medmamba_monai.export.package import PRECISIONS, export_package
from medmamba_monai.export.report import format_report

__all__ = ["FORMATS", "PRECISIONS", "export_onnx", "export_package", "format_report"]

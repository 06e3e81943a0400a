"""The documents' figures on exported networks in integers, from the result of ``benchmarks.quantization`` alone."""

from __future__ import annotations

from typing import Any

from benchmarks.report import markdown_table, measured_on
from medmamba_monai.networks import NETWORKS

PRECISIONS = {32: "float32", 16: "float16", 8: "int8", 4: "int4"}
SEED_GOAL = 8e6
"""Bytes of the "MedMamba-Tiny at 8 MB" that this project's plan spoke of."""


def quantization_part(result: dict[str, Any]) -> str:
    """Write the files of the trained network, then the sizes of all networks, and which of them has 8 MB."""
    return "\n\n".join([_trained_table(result["trained"]), _note(result), _sizes_table(result), _name_goal(result)])


def _trained_table(trained: dict[str, Any]) -> str:
    titles = [f"{trained['dataset']}, ONNX", "file", "AUC", "change (95 % interval)", "same class", "mean difference"]
    return markdown_table(titles, [_trained_row(file, trained["files"]) for file in trained["files"]])


def _trained_row(file: dict[str, Any], files: list[dict[str, Any]]) -> list[str]:
    cells = [PRECISIONS[file["bits"]], _megabytes(file["bytes"])]
    if "change" not in file:
        before = next(other["change"]["auc_before"] for other in files if "change" in other)
        return [*cells, f"{before:.4f}", "", "", ""]
    change = file["change"]
    limits = change["interval"]
    interval = limits if isinstance(limits, str) else f"{limits[0]:+.4f} to {limits[1]:+.4f}"
    return [
        *cells,
        f"{change['auc_after']:.4f}",
        f"{change['change']:+.4f} ({interval})",
        f"{100 * change['same_class']:.1f} %",
        f"{change['mean_difference']:.4f}",
    ]


def _note(result: dict[str, Any]) -> str:
    trained, options = result["trained"], result["options"]
    quantized = next(file for file in trained["files"] if "change" in file)
    network, images = trained["network"], quantized["change"]["images"]
    return (
        f"Fold {options['fold']} of a cross-validation of {trained['parameters']:,} parameters at "
        f"{network['image_size']} pixels, calibrated on {quantized['images']} of its training images, judged on the "
        f"{images} test images in onnxruntime. The interval is of a paired bootstrap over the test images; the "
        f"difference is of probabilities. {quantized['nodes']} linears and convolutions hold {quantized['weights']:,} "
        f"of the numbers; the other {quantized['other_numbers']:,} are no such weights. {measured_on(result)}"
    )


def _sizes_table(result: dict[str, Any]) -> str:
    titles = ["MB of the weights, counted", "parameters", "of linears and convolutions", *PRECISIONS.values()]
    rows = []
    for row in result["counted"]:
        products = row["convolutions"] + row["linears"]
        sizes = [_megabytes(count_bytes(row, bits)) for bits in PRECISIONS]
        rows.append([NETWORKS[row["network"]], f"{row['parameters']:,}", f"{products:,}", *sizes])
    measured = {file["bits"]: _megabytes(file["bytes"]) for file in result["files"]}
    if measured:
        size = result["options"]["image_size"]
        rows.append([f"MedMamba-T, file for {size} pixels", "", "", *(measured.get(bits, "") for bits in PRECISIONS)])
    return markdown_table(titles, rows)


def count_bytes(row: dict[str, Any], bits: int) -> float:
    """Return the bytes of a network's numbers: linears and convolutions in ``bits``, the others in at least 16 bits."""
    products = row["convolutions"] + row["linears"]
    return products * bits / 8 + (row["parameters"] - products) * max(bits, 16) / 8


def _name_goal(result: dict[str, Any]) -> str:
    tiny = next(row for row in result["counted"] if row["network"] == "medmamba_tiny")
    fits = [name for bits, name in PRECISIONS.items() if round(count_bytes(tiny, bits) / 1e6, 1) <= SEED_GOAL / 1e6]
    four = next(file["change"] for file in result["trained"]["files"] if file["bits"] == 4)
    reached = (
        f"only in {' and '.join(fits)}" if fits else f"in none of them ({_megabytes(count_bytes(tiny, 4))} in int4)"
    )
    return (
        f"MedMamba-T has {_megabytes(SEED_GOAL)} {reached}; a network of about {SEED_GOAL / 1e6:.0f} million "
        f"parameters would have them in int8, one of {SEED_GOAL / 2e6:.0f} million in float16. What int4 costs was "
        f"measured on the trained network above: {four['change']:+.4f} of AUC; of a trained MedMamba-T it was not."
    )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"

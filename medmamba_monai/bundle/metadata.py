"""What a bundle says about itself: ``metadata.json`` and the values in its README."""

from __future__ import annotations

from typing import Any

from medmamba_monai.cards import DatasetCard
from medmamba_monai.cards.parts import ExpectedCount
from medmamba_monai.images.patches import Patching
from medmamba_monai.images.slides.tiles import Tiling

VERSION = "0.1.0"
CHANGELOG = {"0.1.0": "first version: training, cross-validation, evaluation and inference"}
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
NETWORK_CHANNELS = 3
"""The paper's networks see three channels; gray images are repeated."""

AUTHORS = "medmamba-monai developers"
PAPER = "Yue, Y. and Li, Z.: MedMamba: Vision Mamba for Medical Image Classification. arXiv 2403.03849 (2024)"
DISCLAIMER = "Research only. Not a medical device, and not for diagnosis or treatment."
_ACTIVATION = {True: "sigmoid of each gives its probability", False: "softmax over them gives probabilities"}


_RECEIVERS = {"slides": "what makes features of tiles", "patches": "what makes features of patches"}
_DATA_TYPE = {"npz": "npz", "slides": "whole slides (SVS, NDPI, MIRAX, tiled TIFF)", "patches": "NIfTI"}


def make_metadata(card: DatasetCard) -> dict[str, Any]:
    """Return the content of ``metadata.json``, as the MONAI Bundle specification and the model zoo want it."""
    classes = {str(index): label.display_name for index, label in enumerate(card.classes)}
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "changelog": CHANGELOG,
        "monai_version": "1.6.1",
        "pytorch_version": "2.13.0",
        "numpy_version": "2.4.6",
        "required_packages_version": {
            "medmamba-monai": VERSION,
            "pytorch-ignite": "0.5.5",
            "mlflow": "3.17.2",
            "scikit-learn": "1.9.1",
            "safetensors": "0.8.0",
        },
        "supported_apps": {},
        "name": f"MedMamba {card.title}",
        "dataset": {"name": card.name, "title": card.title},
        "task": f"Classification of {card.modality} images: {card.title}",
        "description": f"MedMamba, a hybrid of convolutions and a selective state-space scan, trained on {card.title}. "
        f"{card.description}",
        "authors": AUTHORS,
        "copyright": "Copyright (c) 2026 medmamba-monai developers",
        "data_source": card.homepage or "see Data in docs/README.md",
        "data_type": _DATA_TYPE.get(card.layout.kind, "image files (PNG, JPEG, TIFF, BMP, DICOM, NIfTI)"),
        "image_classes": f"{card.modality}, {card.channels} channel(s), read as 0 to 255, scaled to [-1, 1] and given "
        f"to {_RECEIVERS.get(card.layout.kind, 'the network')} as {NETWORK_CHANNELS} channels",
        "label_classes": "; ".join(f"{index}: {name}" for index, name in classes.items()),
        "pred_classes": f"one logit a class, in the order of label_classes; {_ACTIVATION[card.task == 'multi-label']}",
        "eval_metrics": {},
        "intended_use": card.intended_use,
        "references": [PAPER, *card.references],
        "network_data_format": {"inputs": {"image": _image(card)}, "outputs": {"pred": _prediction(card, classes)}},
    }


def _image(card: DatasetCard) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "magnitude",
        "modality": card.modality,
        "num_channels": NETWORK_CHANNELS,
        "spatial_shape": [card.image_size] * card.spatial_dims,
        "dtype": "float32",
        "value_range": [-1, 1],
        "is_patch_data": False,
        "channel_def": {str(index): f"channel {index}" for index in range(NETWORK_CHANNELS)},
    }


def _prediction(card: DatasetCard, classes: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "probabilities",
        "format": "classification",
        "num_channels": card.num_classes,
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": classes,
    }


def describe_card(card: DatasetCard) -> dict[str, str]:
    """Return what the placeholders in the bundle's documents stand for."""
    return {
        "title": card.title,
        "name": card.name,
        "description": card.description,
        "authors": AUTHORS,
        "modality": card.modality,
        "tags": f"Classification, {card.modality}, MedMamba, State Space Model, {card.spatial_dims}D",
        "image_size": " x ".join([str(card.image_size)] * card.spatial_dims),
        "classes": _bullets(f"{index}: {label.display_name}" for index, label in enumerate(card.classes)),
        "counts": _bullets(_count_line(split, count) for split, count in card.expected_counts.items()),
        "how_to_obtain": card.how_to_obtain,
        "data_authors": card.authors,
        "split": _split(card),
        "reading": _reading(card),
        "image_bytes": f"{card.channels * card.image_size**card.spatial_dims / 1024:.0f} KiB",
        "problems": _bullets(card.known_problems) or "None recorded.",
        "published": _bullets(
            f"{result.model}: accuracy {result.accuracy:.3f}, AUC {result.auc:.3f} ({result.source})"
            for result in card.published_results
        )
        or "None recorded.",
        "disclaimer": DISCLAIMER,
        "license": card.license.name + (f" ({card.license.url})" if card.license.url else ""),
        "references": "\n".join(f"{number}. {text}" for number, text in enumerate([PAPER, *card.references], 1)),
    }


def _reading(card: DatasetCard) -> str:
    if card.tiling is not None:
        return f"Of tiles of a slide's tissue a frozen network makes features: {_list_fields(card.tiling)}."
    if card.patching is not None:
        return f"Of patches of a volume a frozen network makes features: {_list_fields(card.patching)}."
    options = card.reading.arguments()
    declared = ", ".join(f"{name} {value}" for name, value in options.items())
    how = f" (declared in the card: {declared})" if options else ""
    color = "gray" if card.channels == 1 else "red, green and blue"
    return f"An image is read as {color} values from 0 to 255{how}, its rows from the top as a person sees it."


def _list_fields(cutting: Tiling | Patching) -> str:
    return ", ".join(f"{name} {value}" for name, value in cutting.model_dump(exclude_none=True).items())


def _count_line(split: str, count: ExpectedCount) -> str:
    classes = "" if count.classes is None else ": " + ", ".join(f"{name} {n:,}" for name, n in count.classes.items())
    return f"{split}: {count.images:,} images{classes}"


def _split(card: DatasetCard) -> str:
    if card.official_test:
        return (
            "The official test set is kept apart. All other images are split into five folds; a fold selects the best "
            "epoch of the model trained on the others, and that model is evaluated on its fold and on the test set."
        )
    return (
        "There is no official test set. All images are split into five folds; a fold is the test set of the model "
        "trained on the others, of which a tenth selects the best epoch."
    )


def _bullets(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)

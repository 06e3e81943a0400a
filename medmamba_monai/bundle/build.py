"""One bundle for each dataset, all from the files in ``files/`` and the dataset's card.

A template is a file with placeholders in double braces, such as ``{{card.name}}``. A JSON string that is nothing but a
placeholder becomes the value with its type; within a longer string the value is written out.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.bundle.geometry import geometry_values
from medmamba_monai.bundle.metadata import bundle_metadata, markdown_values
from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.files import write_json, write_text

TEMPLATE = Path(__file__).parent / "files"
_FLOAT_LABELS = {
    "_target_": "EnsureTyped",
    "keys": "label",
    "dtype": "$torch.float32",
    "track_meta": False,
    "allow_missing_keys": True,
}
_TASK_VALUES: dict[str, dict[str, Any]] = {
    "one class": {
        "loss": "torch.nn.CrossEntropyLoss",
        "label_smoothing": {"loss#label_smoothing": 0.1},
        "focal_loss": "medmamba_monai.training.FocalLoss",
        "weighting": "loss#weight",
        "class_weights": "training.class_weights(@parts['train'], @num_classes)",
        "activation": "softmax",
        "label_conversion": [],
    },
    "multi-label": {
        "loss": "torch.nn.BCEWithLogitsLoss",
        "label_smoothing": {},
        "focal_loss": "medmamba_monai.training.MultiLabelFocalLoss",
        "weighting": "loss#pos_weight",
        "class_weights": "training.positive_weights(@parts['train'])",
        "activation": "sigmoid",
        "label_conversion": [_FLOAT_LABELS],
    },
}
_PLACEHOLDER = re.compile(r"\{\{([\w.]+)\}\}")


def generate_bundle(card_file: str | Path, bundle_dir: str | Path) -> list[Path]:
    """Write the complete bundle of a dataset; files that stand there are replaced.

    Args:
        card_file: the dataset's ``card.json``.
        bundle_dir: folder of the bundle.

    Returns:
        The files written, sorted.

    Raises:
        UserError: the card is missing or does not fit its schema.
    """
    card = load_card(card_file)
    root = Path(bundle_dir)
    written = [_write_config(card, path, root) for path in sorted((TEMPLATE / "configs").rglob("*.json"))]
    written += [_write_text(card, path, root) for path in sorted((TEMPLATE / "docs").iterdir())]
    write_json(root / "configs" / "metadata.json", bundle_metadata(card))
    for source, name in (
        (TEMPLATE / "configs" / "logging.conf", "configs/logging.conf"),
        (TEMPLATE / "LICENSE", "LICENSE"),
    ):
        shutil.copyfile(source, root / name)
        written.append(root / name)
    shutil.copyfile(card_file, root / "configs" / "card.json")
    return sorted([*written, root / "configs" / "metadata.json", root / "configs" / "card.json"])


def _write_config(card: DatasetCard, template: Path, root: Path) -> Path:
    content = _fill(json.loads(template.read_text(encoding="utf-8")), _config_values(card))
    target = root / template.relative_to(TEMPLATE)
    write_json(target, content)
    return target


def _write_text(card: DatasetCard, template: Path, root: Path) -> Path:
    values = markdown_values(card)
    text = _PLACEHOLDER.sub(lambda match: values[match[1]], template.read_text(encoding="utf-8"))
    target = root / "docs" / template.name
    write_text(target, text)
    return target


def _config_values(card: DatasetCard) -> dict[str, Any]:
    values: dict[str, Any] = {f"card.{key}": value for key, value in card.model_dump().items()}
    values |= {
        "reading": card.reading_arguments(),
        "every_frame": card.reading.frame == "all",
        **_TASK_VALUES["multi-label" if card.task == "multi-label" else "one class"],
        **geometry_values(card),
    }
    parameters = json.loads((TEMPLATE / "parameters.json").read_text(encoding="utf-8"))
    values["parameters"] = _fill(parameters, values)
    values["parameter_references"] = {name: f"@{name}" for name in parameters if name != "fold"}
    train = json.loads((TEMPLATE / "configs" / "train.json").read_text(encoding="utf-8"))["train"]
    steps = train["reading"]["transforms"] + train["preprocessing"]["transforms"]
    values["preprocessing"] = _fill({"_target_": "Compose", "transforms": steps}, values)
    return values


def _fill(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return _fill_list(node, values)
    if isinstance(node, dict):
        return _fill_dict(node, values)
    if not isinstance(node, str):
        return node
    whole = _PLACEHOLDER.fullmatch(node)
    if whole:
        return values[whole[1]]
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), node)


def _fill_list(node: list[Any], values: Mapping[str, Any]) -> list[Any]:
    """An item that is a placeholder of a list is replaced by the items of that list."""
    filled: list[Any] = []
    for item in node:
        content = _fill(item, values)
        spliced = isinstance(item, str) and _PLACEHOLDER.fullmatch(item) and isinstance(content, list)
        filled += content if spliced else [content]
    return filled


def _fill_dict(node: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A key that is a placeholder becomes its value, or is replaced by the entries of it; later keys win."""
    filled: dict[str, Any] = {}
    for key, value in node.items():
        placeholder = _PLACEHOLDER.fullmatch(key)
        content = values[placeholder[1]] if placeholder else key
        if isinstance(content, str):
            filled[content] = _fill(value, values)
        else:
            filled.update(content)
    return filled

"""One bundle for each dataset: the same configs, and what its card says in ``metadata.json``, README and licence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from monai.bundle import ConfigParser

from medmamba_monai.bundle.metadata import describe_card, make_metadata
from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.files import write_json, write_text
from medmamba_monai.evaluation.results.comparison import OF_LAYOUTS

CONFIGS = Path(__file__).parent / "configs"
"""The configs of every bundle. What differs between datasets they read from ``card.json`` and ``metadata.json``."""

OF_SLIDES = Path(__file__).parent / "slides"
"""Overlays of these configs for bundles of slides and patches, by the same names; such a bundle has both merged."""

RECIPES_OF_SLIDES = ("class_weighted", "focal_loss")
"""Recipes that change nothing but the loss; the others change images."""

DOCUMENTS = Path(__file__).parent / "docs"


def generate_bundle(card_file: str | Path, bundle_dir: str | Path) -> list[Path]:
    """Write the complete bundle of a dataset; files that stand there are replaced.

    Args:
        card_file: the dataset's ``card.json``; that of the bundle itself, too, which then stays as it is.
        bundle_dir: folder of the bundle.

    Returns:
        The files written, sorted.

    Raises:
        UserError: the card is missing or does not fit its schema.
    """
    card, root = load_card(card_file), Path(bundle_dir)
    files = [path for path in CONFIGS.rglob("*") if path.is_file()]
    if card.cutting is not None:
        files = [path for path in files if path.parent == CONFIGS or path.stem in RECIPES_OF_SLIDES]
    copies = {path: root / "configs" / path.relative_to(CONFIGS) for path in files}
    copies[DOCUMENTS / "LICENSE"] = root / "LICENSE"
    copies[Path(card_file)] = root / "configs" / "card.json"
    for source, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and target.samefile(source)):
            shutil.copyfile(source, target)
    if card.cutting is not None:
        for overlay in OF_SLIDES.glob("*.json"):
            merged = merge_configs(CONFIGS / overlay.name, overlay)
            named = {"inputs": OF_LAYOUTS[card.layout.kind]} if "inputs" in merged else {}
            write_json(root / "configs" / overlay.name, merged | named)
    metadata = root / "configs" / "metadata.json"
    write_json(metadata, make_metadata(card))
    return sorted([*copies.values(), metadata, *_write_documents(card, root / "docs")])


def merge_configs(config: Path, overlay: Path) -> dict[str, Any]:
    """Return a config with what an overlay changes, as ``monai.bundle`` merges files."""
    merged: dict[str, Any] = ConfigParser.load_config_files([config, overlay])
    return merged


def _write_documents(card: DatasetCard, folder: Path) -> list[Path]:
    templates = Environment(
        loader=FileSystemLoader(DOCUMENTS),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML
    )
    written = []
    for name in ("README.md", "data_license.txt"):
        write_text(folder / name, templates.get_template(name).render(describe_card(card)))
        written.append(folder / name)
    return written

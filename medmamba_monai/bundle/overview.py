"""The table of all datasets in the documents, made of their cards."""

from __future__ import annotations

from collections.abc import Sequence

from medmamba_monai.cards import DatasetCard

DATASETS_PAGE, DATASETS_BLOCK = "docs/reference/datasets.md", "datasets"
"""The page with the table, below the root of the repository, and the name of the block that the table is."""

_PROTOCOLS = {True: "official test", False: "cross-validation"}
_TASKS = {"binary": "", "multi-class": "", "ordinal": ", ordered", "multi-label": " labels at once"}


def make_datasets_table(cards: Sequence[DatasetCard]) -> str:
    """A Markdown table with a row for each card.

    Args:
        cards: the datasets, in the order of the rows.
    """
    titles = ("bundle", "modality", "classes", "images", "groups", "protocol", "licence", "known problems")
    lines = [_row(titles), _row(["---"] * len(titles)), *(_row(_cells(card)) for card in cards)]
    return "\n".join(lines)


def _cells(card: DatasetCard) -> list[str]:
    classes = f"{card.num_classes}{_TASKS[card.task]}"
    return [
        f"[{card.title}](../../bundles/{card.name}/docs/README.md)",
        card.modality + (", 3D" if card.spatial_dims == 3 else ""),
        classes,
        _images(card),
        _groups(card),
        _PROTOCOLS[card.official_test],
        card.license.name,
        _problems(card),
    ]


def _images(card: DatasetCard) -> str:
    counts = card.expected_counts
    if "all" in counts:
        return f"{counts['all'].images:,}"
    return " / ".join(f"{counts[split].images:,}" for split in ("train", "validation", "test") if split in counts)


def _groups(card: DatasetCard) -> str:
    """What keeps images in one fold: a column, a table that may be added, or nothing but exact copies."""
    layout = card.label_layout
    if layout.kind == "table":
        return layout.group_column or layout.group_tag or "none"
    table = layout.group_table
    if table is not None:
        return f"with {table.path}"
    tag_or_pattern = None if layout.kind == "npz" else layout.group_tag or layout.group_pattern
    return tag_or_pattern or "none"


def _problems(card: DatasetCard) -> str:
    """The first of them; all are in the bundle's README."""
    if not card.known_problems:
        return ""
    more = len(card.known_problems) - 1
    return card.known_problems[0] + (f" (and {more} more)" if more else "")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

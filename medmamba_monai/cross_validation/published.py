"""Published results of a dataset, from its card or from the cards that the package carries."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.evaluation.reports.published import Published

_CARDS = "medmamba_monai.data_lists"


def list_published(card: DatasetCard) -> list[Published]:
    """List the published results that a card holds."""
    return [Published(**found.model_dump()) for found in card.published_results]


def find_published(dataset: str, num_classes: int) -> Sequence[Published]:
    """Find published results of a dataset by its name among the cards of the package; none of other datasets.

    Args:
        dataset: its short name.
        num_classes: of the run's data; a card with another number of classes is of other data of the same name.
    """
    path = files(_CARDS) / dataset / "card.json"
    if not path.is_file():
        return []
    with as_file(path) as file:
        card = load_card(file)
    return list_published(card) if len(card.classes) == num_classes else []

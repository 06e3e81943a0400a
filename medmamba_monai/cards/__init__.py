"""What a dataset is: a validated JSON file, the card."""

from medmamba_monai.cards.card import DatasetCard, format_card_schema, load_card

__all__ = ["DatasetCard", "format_card_schema", "load_card"]

"""Maps that say which pixels a network decided by, each method on one interface."""

from __future__ import annotations

from medmamba_monai.explain.attention import list_scans, read_attention_row
from medmamba_monai.explain.catalogue import EXPLANATIONS, Explanation, Method
from medmamba_monai.explain.relevance import Relevance, ScanRelevance

__all__ = [
    "EXPLANATIONS",
    "Explanation",
    "Method",
    "Relevance",
    "ScanRelevance",
    "list_scans",
    "read_attention_row",
]

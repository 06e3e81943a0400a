"""Maps of a run's or a package's decisions: drawn over images, judged beside floors, and laid out as a page."""

from medmamba_monai.explanations.explain import explain

__all__ = ["explain"]

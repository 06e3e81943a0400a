"""The images that are audited where there are more than an audit needs: the same ones on every machine."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from medmamba_monai.data.samples import Sample, list_labels

MAX_IMAGES = 10_000
"""So many images tell an AUC to about 0.01, and take little memory and time."""


def choose_audited(samples: Sequence[Sample], limit: int = MAX_IMAGES) -> frozenset[str]:
    """Choose the ids of the images that are audited: all up to a limit, else by a hash of the id, every class first.

    Args:
        samples: of the whole dataset.
        limit: how many to choose.
    """
    if len(samples) <= limit:
        return frozenset(sample.id for sample in samples)
    shuffled = sorted(samples, key=lambda sample: hashlib.blake2b(sample.id.encode(), digest_size=16).digest())
    labels = {label for sample in samples for label in list_labels(sample.label)}
    quota, counts = limit // (2 * max(1, len(labels))), Counter[int]()
    first: list[str] = []
    rest: list[str] = []
    for sample in shuffled:
        own = list_labels(sample.label)
        wanted = any(counts[label] < quota for label in own)
        counts.update(own if wanted else ())
        (first if wanted else rest).append(sample.id)
    return frozenset([*first, *rest][:limit])

"""A network's weights as one vector, since an encryption by blocks of thousands of numbers wants one, not many."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from medmamba_monai.federation.progress import Weights

PACKED = "packed"
"""Name of the one vector."""


def pack_weights(weights: Weights, own: Collection[str] = ()) -> Weights:
    """Return weights as one vector, in the order of their names.

    Whole numbers stay out, as the batch norms' counts of batches: nothing is computed with them.

    Args:
        weights: by name.
        own: names of weights that stay out.
    """
    return {PACKED: np.concatenate([weights[name].ravel() for name in _list_names(weights, own)])}


def unpack_weights(packed: Weights, like: Weights, own: Collection[str] = ()) -> Weights:
    """Return weights by name, in the types and shapes of others; those that stayed out are these others'.

    Args:
        packed: what `pack_weights` gave, of a network of the same kind.
        like: weights of the network.
        own: names of weights that stayed out.

    Raises:
        ValueError: the vector is of another network.
    """
    names, vector = _list_names(like, own), np.asarray(packed[PACKED])
    ends = np.cumsum([like[name].size for name in names])
    if vector.shape != (ends[-1],):
        raise ValueError(f"a vector of {vector.shape} does not hold the {ends[-1]} weights of the network")
    parts = zip(names, np.split(vector, ends[:-1]), strict=True)
    return {**like, **{name: part.reshape(like[name].shape).astype(like[name].dtype) for name, part in parts}}


def _list_names(weights: Weights, own: Collection[str]) -> list[str]:
    return sorted(name for name, value in weights.items() if name not in own and value.dtype.kind == "f")

"""A network's weights as one vector, and back."""

from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.federation.packing import PACKED, pack_weights, unpack_weights

WEIGHTS = {
    "b": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    "a": np.array(0.5, np.float64),
    "norm": np.array([7.0], np.float32),
    "count": np.array(9),
}


def test_weights_come_back_in_their_types_and_shapes():
    packed = pack_weights(WEIGHTS)
    assert packed[PACKED].tolist() == [0.5, 1, 2, 3, 4, 7]
    like = {name: np.zeros_like(value) for name, value in WEIGHTS.items()}
    found = unpack_weights({PACKED: (packed[PACKED] * 2).tolist()}, like)
    assert {name: (value.dtype, value.tolist()) for name, value in found.items()} == {
        "b": (np.float32, [[2, 4], [6, 8]]),
        "a": (np.float64, 1),
        "norm": (np.float32, [14]),
        "count": (np.int64, 0),
    }


def test_what_is_a_sites_own_stays_out():
    packed = pack_weights(WEIGHTS, ["norm"])
    assert packed[PACKED].tolist() == [0.5, 1, 2, 3, 4]
    assert unpack_weights(packed, {**WEIGHTS, "norm": np.array([1.0], np.float32)}, ["norm"])["norm"].tolist() == [1]


def test_a_vector_of_another_network_is_refused():
    with pytest.raises(ValueError, match=r"a vector of \(5,\) does not hold the 6 weights"):
        unpack_weights(pack_weights(WEIGHTS, ["norm"]), WEIGHTS)

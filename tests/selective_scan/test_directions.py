"""The order in which directions visit tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medmamba_monai.selective_scan import scan_orders
from medmamba_monai.selective_scan.directions import scan_positions

CPU = torch.device("cpu")


def test_directions_of_an_image_are_rows_columns_and_their_reverses() -> None:
    assert scan_orders([2, 3], CPU).tolist() == [
        [0, 1, 2, 3, 4, 5],
        [0, 3, 1, 4, 2, 5],
        [5, 4, 3, 2, 1, 0],
        [5, 2, 4, 1, 3, 0],
    ]


def test_each_axis_of_a_volume_is_innermost_once() -> None:
    strides = (scan_orders([2, 3, 4], CPU)[:, 1] - scan_orders([2, 3, 4], CPU)[:, 0]).tolist()
    assert strides == [1, 12, 4, -1, -12, -4]


def test_directions_of_a_sequence_are_forwards_and_backwards() -> None:
    assert scan_orders([3], CPU).tolist() == [[0, 1, 2], [2, 1, 0]]


@pytest.mark.parametrize("spatial_shape", [[1], [1, 1], [1, 5], [4, 3], [2, 3, 5], [2, 2, 2, 2]])
def test_every_direction_visits_every_token_once(spatial_shape: list[int]) -> None:
    orders = scan_orders(spatial_shape, CPU)
    assert orders.sort(dim=1).values.equal(torch.arange(orders.shape[1]).expand_as(orders))


@pytest.mark.parametrize("spatial_shape", [[1], [7], [1, 5], [4, 3], [2, 3, 5], [3, 1, 2], [2, 3, 4, 5]])
def test_positions_lead_back_from_each_order(spatial_shape: list[int]) -> None:
    orders, positions = scan_orders(spatial_shape, CPU), scan_positions(spatial_shape, CPU)
    assert positions.equal(torch.argsort(orders, dim=1))


@pytest.mark.parametrize("number", [scan_orders, scan_positions])
def test_orders_and_positions_can_be_scripted(number: Callable[..., Tensor]) -> None:
    assert torch.jit.script(number)([2, 3, 4], CPU).equal(number([2, 3, 4], CPU))

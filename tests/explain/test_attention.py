"""What a token reads: rows of the implicit attention beside the matrix by its formula."""

from __future__ import annotations

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain import list_scans, read_attention_row
from medmamba_monai.networks.blocks import SS2D
from tests.explain.dense import attention_matrix, record_inputs
from tests.explain.nets import draw_images, small_net

PLACES = {2: (14, 14), 3: (3, 5, 4)}


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_rows_equal_the_dense_matrix(spatial_dims: int) -> None:
    shape, scan = list(PLACES[spatial_dims]), "stages.0.blocks.0.ss2d"
    network = small_net(spatial_dims)
    images = torch.randn(1, 2, *(2 * size for size in shape))
    exact = small_net(spatial_dims).double()
    layer = exact.get_submodule(scan)
    assert isinstance(layer, SS2D)
    with torch.no_grad():
        x = record_inputs(exact, images.double())[layer]
        u = torch.nn.functional.silu(layer.conv(layer.in_proj(x.movedim(1, -1)).movedim(-1, 1)))
        for k in range(2 * spatial_dims):
            matrix = attention_matrix(layer, u.movedim(1, -1).flatten(1, -2)[0], shape, k).unflatten(1, shape)
            for token in (tuple(0 for _ in shape), tuple(size // 2 for size in shape), tuple(s - 1 for s in shape)):
                row = read_attention_row(network, images, scan, k, token)
                expected = matrix[(slice(None), *token)].unflatten(1, shape)[None]
                torch.testing.assert_close(row.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_row_of_a_large_map_takes_no_matrix() -> None:
    """The matrix of this map would take 4 C L^2 bytes, 64 GiB for its smallest channel alone."""
    images = torch.rand(1, 2, 256, 256)
    row = read_attention_row(small_net(), images, "stages.0.blocks.0.ss2d", 1, (127, 127))
    assert row.shape == (1, 4, 128, 128)
    assert bool(row[..., 127, 127].abs().min() > 0)


@pytest.mark.parametrize(
    ("scan", "direction", "token", "reason"),
    [
        ("stages.0", 0, (0, 0), "no scan of this network: choose one of stages.0.blocks.0.ss2d"),
        ("stages.0.blocks.0.ss2d", 4, (0, 0), "directions 0 to 3"),
        ("stages.0.blocks.0.ss2d", 0, (0, 0, 0), "no place"),
        ("stages.0.blocks.0.ss2d", 0, (11, 0), "no place"),
    ],
)
def test_what_does_not_exist_is_refused(scan: str, direction: int, token: tuple[int, ...], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read_attention_row(small_net(), draw_images(), scan, direction, token)


def test_scans_are_listed_and_no_hook_is_left() -> None:
    network = small_net()
    assert list_scans(network) == [f"stages.{stage}.blocks.{n}.ss2d" for stage, n in ((0, 0), (1, 0), (1, 1))]
    read_attention_row(network, draw_images(), list_scans(network)[2], 0, (0, 0))
    assert not any(module._forward_pre_hooks for module in network.modules())

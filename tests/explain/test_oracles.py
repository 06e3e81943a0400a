"""Maps and their judging beside Captum and Quantus, which others wrote: the same numbers for the same question."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medmamba_monai.evaluation.figures.maps import smooth_map
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explain.class_activation import find_last_map
from medmamba_monai.explain.curves import blur_image, compute_curves
from medmamba_monai.explain.gradients import IntegratedGradients
from medmamba_monai.explain.randomization import compare_ranks, compare_structure
from medmamba_monai.explanations.places import points_inside
from medmamba_monai.networks import MedMamba
from tests.explain.nets import small_net

SIZE = (16, 20)
STEPS = 16


def draw_maps(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, *SIZE))


def make_images(count: int = 2) -> Tensor:
    return torch.rand(count, 2, *SIZE, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def network() -> MedMamba:
    return small_net()


def test_integrated_gradients_are_those_of_captum(network: MedMamba) -> None:
    attr = pytest.importorskip("captum.attr", reason="Captum is not installed")
    images = make_images()
    plain = images.mean((2, 3), keepdim=True).expand_as(images)
    oracle = attr.IntegratedGradients(network)
    wanted = oracle.attribute(images, plain, target=1, n_steps=24, method="riemann_middle").sum(1)
    torch.testing.assert_close(IntegratedGradients(network, steps=24)(images, 1), wanted.float(), rtol=1e-3, atol=1e-6)


def test_grad_cam_is_that_of_captum(network: MedMamba) -> None:
    attr = pytest.importorskip("captum.attr", reason="Captum is not installed")
    images = make_images()
    layer = network.get_submodule(find_last_map(network, images))
    coarse = attr.LayerGradCam(network, layer).attribute(images, target=2, relu_attributions=True)
    wanted = nn.functional.interpolate(coarse, SIZE, mode="bilinear")[:, 0]
    found = EXPLANATIONS["grad_cam"].make(network)(images, 2)
    assert wanted.amax() > 0
    torch.testing.assert_close(found / found.amax(), wanted.detach() / wanted.amax(), rtol=1e-3, atol=1e-5)


class Answering(nn.Module):
    """The probabilities of a network as Quantus asks for them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.network(images.float()).softmax(1)


def flip_pixels(quantus: Any, model: nn.Module, image: Tensor, towards: Tensor, relevance: np.ndarray) -> np.ndarray:
    """Return the probability of class 1 as Quantus takes an image to another, a sixteenth of the pixels a step.

    Its order is one of values; every channel of a pixel gets that of the pixel, so that all of them go together.
    """
    channels, pixels = len(image), relevance.size
    ranks = np.argsort(np.argsort(-relevance.ravel()))
    order = -(ranks[None] * channels + np.arange(channels)[:, None]).reshape(1, channels, *relevance.shape)

    def replace(arr: np.ndarray, indices: np.ndarray, **_: Any) -> np.ndarray:
        arr = arr.copy()
        np.put_along_axis(arr, indices, np.take_along_axis(towards.numpy().reshape(1, -1), indices, 1), 1)
        return arr

    metric = quantus.PixelFlipping(
        features_in_step=channels * pixels // STEPS, normalise=False, perturb_func=replace, disable_warnings=True
    )
    given = {"x_batch": image.numpy()[None], "y_batch": np.array([1]), "a_batch": order.astype(np.float64)}
    return np.array(metric(model=model, softmax=False, channel_first=True, device="cpu", **given)[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(3))
def test_deletion_and_insertion_are_the_pixel_flipping_of_quantus(network: MedMamba, number: int) -> None:
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed")
    image, relevance = make_images(3)[number], draw_maps(3)[number]
    model = Answering(network).eval()
    found = compute_curves(model, image, relevance, 1, STEPS)
    blurred = blur_image(image)
    flip = functools.partial(flip_pixels, quantus, model, relevance=relevance)
    np.testing.assert_allclose(found.deletion[1:], flip(image=image, towards=blurred), rtol=1e-5)
    np.testing.assert_allclose(found.insertion[1:], flip(image=blurred, towards=image), rtol=1e-5)
    assert np.ptp(found.deletion) > 1e-3


@pytest.mark.filterwarnings("ignore")
def test_hits_are_those_of_the_pointing_game_of_quantus() -> None:
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed")
    maps = draw_maps(40)
    places = np.abs(np.indices(SIZE) - np.array([7, 9])[:, None, None]).max(0) < 6
    metric = quantus.PointingGame(normalise=False, disable_warnings=True)
    smoothed = np.stack([smooth_map(relevance) for relevance in maps])[:, None]
    masks, images = np.broadcast_to(places, (40, 1, *SIZE)), np.zeros((40, 1, *SIZE))
    hits = metric(
        model=nn.Identity(), x_batch=images, y_batch=np.zeros(40, int), a_batch=smoothed, s_batch=masks, device="cpu"
    )
    assert [points_inside(relevance, places) for relevance in maps] == [bool(hit) for hit in hits]
    assert 0 < sum(hits) < len(hits)


@pytest.mark.filterwarnings("ignore")
def test_maps_of_shuffled_weights_are_compared_as_quantus_and_scikit_image_do() -> None:
    similarity = pytest.importorskip("quantus.functions.similarity_func", reason="Quantus is not installed")
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    first = draw_maps(1)[0]
    second = first + 0.7 * draw_maps(2)[1]
    sizes = np.abs(first), np.abs(second)
    wanted = similarity.correlation_spearman(sizes[0].ravel(), sizes[1].ravel())
    assert compare_ranks(first, second) == pytest.approx(wanted, abs=1e-12)
    one, other = (size / size.max() for size in sizes)
    options = {"gaussian_weights": True, "sigma": 1.5, "win_size": 11, "use_sample_covariance": False, "data_range": 1}
    assert compare_structure(first, second) == pytest.approx(
        metrics.structural_similarity(one, other, **options), abs=1e-4
    )
    assert 0.1 < compare_structure(first, second) < 0.9

"""What the rules choose, and that they say why."""

from __future__ import annotations

from typing import Any

import pytest

from medmamba_monai.auto import rules
from medmamba_monai.auto.fingerprint import Spacing, Speed
from medmamba_monai.auto.networks import NETWORKS_TO_TRY, Network, choose_networks, list_networks
from medmamba_monai.auto.reasons import explain_candidates
from medmamba_monai.networks import NETWORKS, build_network
from tests.auto.fingerprints import make_fingerprint


@pytest.mark.parametrize(
    ("side", "affordable", "chosen", "said"),
    [
        (28, 224, 64, "The images are 28 pixels; 64 gives the network's stem something to halve"),
        (64, 224, 64, "The images have 64 pixels along their longer side."),
        (100, 224, 96, "Details finer than 1.0 of their pixels are lost"),
        (512, 224, 224, "Details finer than 2.3 of their pixels are lost"),
        (512, 96, 96, "larger ones than 96 would leave no time"),
        (512, 10, 64, "larger ones than 64 would leave no time"),
    ],
)
def test_the_image_size_is_no_more_than_there_is_and_than_the_time_allows(
    side: int, affordable: int, chosen: int, said: str
) -> None:
    choice = rules.choose_image_size(make_fingerprint(side=side), affordable)
    assert choice.value == chosen
    assert said in choice.reason


def test_the_image_size_is_no_more_than_the_memory_allows() -> None:
    choice = rules.choose_image_size(make_fingerprint(side=512), 224, 96)
    assert choice.value == 96
    assert "8 larger ones than 96 would not fit into half of the 13.5 GiB of memory" in choice.reason
    assert "no time" in rules.choose_image_size(make_fingerprint(side=512), 96, 96).reason


def test_the_image_size_is_told_in_millimetres_where_files_tell_them() -> None:
    spacing = Spacing(smallest=(0.1, 0.1), median=(0.14, 0.14), largest=(0.2, 0.2), images=9)
    choice = rules.choose_image_size(make_fingerprint(side=2240, spacing=spacing), 224)
    assert choice.reason.endswith("One of the 224 is about 1.4 mm.")


def test_volumes_have_sizes_of_their_own() -> None:
    choice = rules.choose_image_size(make_fingerprint(side=60, spatial_dims=3), 224)
    assert choice.value == 48
    assert choice.reason.startswith("The volumes have 60 pixels")


@pytest.mark.parametrize(("counts", "size"), [((100, 100), 16), ((400, 400), 32), ((1349, 3883), 64)])
def test_few_images_come_in_small_batches(counts: tuple[int, ...], size: int) -> None:
    assert rules.choose_batch_size(make_fingerprint(counts)).value == size


@pytest.mark.parametrize(("memory", "size"), [(6.0, 64), (7.0, 32), (100.0, 4), (1e6, 1)])
def test_a_batch_takes_no_more_than_half_of_the_free_memory(memory: float, size: int) -> None:
    speeds = {name: Speed(step=1.0, forward=0.1, memory_gib=share * memory) for name, share in (("a", 0.5), ("b", 1))}
    choice = rules.bound_batch_size(rules.Choice(64, "Wanted."), make_fingerprint(speeds=speeds))
    assert choice.value == size
    assert choice.reason == "Wanted." if size == 64 else f"keep {memory:.1f} GiB" in choice.reason


def test_a_network_of_which_a_small_batch_does_not_fit_is_left_out_and_the_batch_stays() -> None:
    memory = {"medmamba_small": 1.0, "resnet18": 60.0}  # GiB of a batch of 64, of which 8 may take 6.75
    speeds = {name: Speed(step=1.0, forward=0.1, memory_gib=size) for name, size in memory.items()}
    seen = make_fingerprint(speeds=speeds)
    seen = seen.model_copy(update={"too_large": rules.find_too_large(seen, 64)})
    assert seen.too_large == ("resnet18",)
    assert [network.name for network in choose_networks(seen, 2)] == ["medmamba_small"]
    assert rules.bound_batch_size(rules.Choice(64, "Wanted."), seen).value == 64
    assert "resnet18 would not fit into the memory here." in explain_candidates(seen, choose_networks(seen, 2))


def test_the_thriftiest_network_stays_however_little_memory_there_is() -> None:
    speeds = {name: Speed(step=1.0, forward=0.1, memory_gib=size) for name, size in (("a", 1e5), ("b", 1e4))}
    assert rules.find_too_large(make_fingerprint(speeds=speeds), 64) == ("a",)


def test_a_speed_on_smaller_batches_takes_less_of_everything() -> None:
    scaled = Speed(step=4.0, forward=2.0, memory_gib=1.0).scale(0.5)
    assert (scaled.step, scaled.forward, scaled.memory_gib) == (2.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("counts", "changes", "epochs", "recipe", "said"),
    [
        ((1349, 3883), {}, 3, "augmented", "balanced well enough (2.9 to 1)"),
        ((1349, 3883), {}, 4, "strongly_augmented", "Images of another scanner"),
        ((100, 500), {}, 3, "augmented,class_weighted", "5.0 images for one of 'normal'"),
        ((500, 10, 500), {}, 3, "augmented,class_weighted,focal_loss", "50.0 images for one of 'pneumonia'"),
        ((50, 400), {"task": "multi-label", "images": 1000}, 3, "augmented,focal_loss", "'normal' is absent 19 times"),
        ((400, 400), {"task": "multi-label", "images": 1000}, 3, "augmented", "No label is so rare"),
    ],
)
def test_the_recipe_suits_the_imbalance_and_the_epochs(
    counts: tuple[int, ...], changes: dict[str, Any], epochs: int, recipe: str, said: str
) -> None:
    choice = rules.choose_recipe(make_fingerprint(counts, **changes), epochs)
    assert choice.value == recipe
    assert said in choice.reason


def test_a_test_part_is_kept_out_where_none_is_official() -> None:
    assert rules.choose_hold_out(make_fingerprint()).value is None
    choice = rules.choose_hold_out(make_fingerprint(official_test=False, groups=30))
    assert choice.value == rules.HOLD_OUT
    assert "whole patients" in choice.reason


def test_only_measured_networks_become_candidates() -> None:
    seen = make_fingerprint()
    assert [network.name for network in choose_networks(seen, 3)] == [
        "medmamba_small",
        "medmamba_small_fast",
        "resnet18",
    ]
    assert len(choose_networks(seen, 6)) == 4


@pytest.mark.parametrize(
    ("changes", "tried"), [({}, True), ({"images": 1999}, False), ({"spatial_dims": 3, "side": 60}, False)]
)
def test_medvit_is_tried_on_images_of_which_there_are_many(changes: dict[str, Any], tried: bool) -> None:
    assert ("medvit_tiny" in [network.name for network in list_networks(make_fingerprint(**changes))]) is tried


def test_a_plan_says_which_network_would_want_more_images() -> None:
    seen = make_fingerprint(images=300)
    said = explain_candidates(seen, choose_networks(seen, 2))
    assert "medvit_tiny would want more than the 300 images that there are." in said
    assert "medvit_tiny" not in explain_candidates(make_fingerprint(spatial_dims=3, side=60), []).partition("Left")[0]


@pytest.mark.parametrize("network", NETWORKS_TO_TRY, ids=lambda network: network.name)
def test_each_network_to_try_can_be_built_at_the_smallest_size(network: Network) -> None:
    options = {name: value for name, value in network.options.items() if name != "learning_rate"}
    name = options.pop("network_name")
    assert name in NETWORKS
    assert build_network(name, 2, 1, 2, rules.SIZES[2][0], **options)
    assert network.reason.endswith((".", "?"))


@pytest.mark.parametrize(
    ("candidates", "finalists", "epochs", "rounds"),
    [(1, 1, 50, []), (2, 1, 5, [0.5]), (6, 2, 20, [0.25, 0.5]), (6, 2, 1, []), (3, 3, 10, [])],
)
def test_rounds(candidates: int, finalists: int, epochs: int, rounds: list[float]) -> None:
    assert rules.choose_rounds(candidates, finalists, epochs).value == rounds

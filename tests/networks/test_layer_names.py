"""What is said of layers that MONAI does not have, or not like this."""

from __future__ import annotations

from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.layer_names import check_layers


def refusal(act: Any = "relu", norm: Any = "batch") -> str:
    with pytest.raises(UserError) as error:
        check_layers(act, norm, 2, [8, 12])
    return str(error.value)


@pytest.mark.parametrize(
    ("act", "norm"),
    [
        ("RELU", "Batch"),
        (("leakyrelu", {"negative_slope": 0.2}), ("group", {"num_groups": 4})),
        ("", ""),
        ("swish", "instance"),
    ],
)
def test_layers_of_monai_are_taken(act: Any, norm: Any) -> None:
    check_layers(act, norm, 3, [8, 12])


def test_activations_are_listed_in_order_with_the_nearest_first() -> None:
    listed = refusal(act="nope").partition("There are ")[2].split(", ")
    assert listed == sorted(listed)
    assert {"relu", "swish"} < set(listed)
    assert "did you mean 'relu'?" in refusal(act="rellu")
    assert "did you mean 'batch'?" in refusal(norm=("batchs", {}))


def test_a_layer_that_needs_arguments_is_shown_with_them() -> None:
    assert refusal(norm="group").endswith("it needs arguments, write ('group', {'num_groups': 4})")
    assert refusal(norm="localresponse").endswith("write ('localresponse', {'size': ...})")


@pytest.mark.parametrize(
    ("act", "norm", "said"),
    [
        ("relu", ("group", {"num_groups": 3}), "must be divisible by num_groups"),
        (("leakyrelu", {"slope": 1}), "batch", "unexpected keyword argument 'slope'"),
        (3, "batch", "act=3 is no activation layer of MONAI: There are celu"),
        ("relu", None, "norm=None is no normalization layer"),
        ("relu", (), "norm=() is no normalization layer"),
    ],
)
def test_what_does_not_fit_is_said(act: Any, norm: Any, said: str) -> None:
    assert said in refusal(act, norm)

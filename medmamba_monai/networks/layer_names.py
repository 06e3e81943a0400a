"""What ``act`` and ``norm`` of a network may be: MONAI's layers by name, checked when the network is made."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial

from monai.networks.layers import Act, LayerFactory, Norm, get_act_layer, get_norm_layer

from medmamba_monai.core.errors import UserError

GIVEN_BY_THE_NETWORK = ("num_features", "num_channels")


def check_layers(act: tuple | str, norm: tuple | str, spatial_dims: int, widths: Sequence[int]) -> None:
    """Raise a UserError unless MONAI has the layers and they fit.

    Args:
        act: an activation, as MONAI's ``get_act_layer`` takes it.
        norm: a normalization, as MONAI's ``get_norm_layer`` takes it.
        spatial_dims: of the maps that are normalized.
        widths: channels of these maps, all that there are.
    """
    refused = f"MedMamba: act={act!r} is no activation layer of MONAI"
    _check_name(refused, act, Act, lambda name: Act[name])
    _try(refused, partial(get_act_layer, act))
    halves = f"{list(widths)} channels, half of those of each stage"
    refused = f"MedMamba: norm={norm!r} is no normalization layer of MONAI for {halves}"
    _check_name(refused, norm, Norm, lambda name: Norm[name, spatial_dims], num_groups=math.gcd(*widths))
    for width in widths:
        _try(refused, partial(get_norm_layer, norm, spatial_dims, width))


def _check_name(
    refused: str, given: tuple | str, factory: LayerFactory, find: Callable[[str], Callable], **suggested: int
) -> None:
    """Name what MONAI has where the name is wrong, and the arguments of a layer that is no layer without them."""
    name = given[0] if isinstance(given, (tuple, list)) and given else given
    if name == "":
        return
    if not isinstance(name, str) or name.upper() not in factory.names:
        names = sorted(known.lower() for known in factory.names)
        near = difflib.get_close_matches(str(name).lower(), names, 1)
        advice = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"{refused}: {advice}There are {', '.join(names)}")
    needed = _list_needed(find(name)) if isinstance(given, str) else []
    if needed:
        arguments = ", ".join(f"{argument!r}: {suggested.get(argument, '...')}" for argument in needed)
        raise UserError(f"{refused}: it needs arguments, write ({name!r}, {{{arguments}}})")


def _list_needed(layer: Callable) -> list[str]:
    """Return the names of the arguments that a layer has no default for."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(layer).parameters.values()
    needed = [p.name for p in parameters if p.kind is positional and p.default is inspect.Parameter.empty]
    return [name for name in needed if name not in GIVEN_BY_THE_NETWORK]


def _try(refused: str, make: Callable[[], object]) -> None:
    """Make a layer, and say why that does not work."""
    try:
        make()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{refused} ({error})") from error

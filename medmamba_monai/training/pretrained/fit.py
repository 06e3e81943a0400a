"""Weights from elsewhere made to fit a network: its head by the names of the classes, its stem by its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable
from medmamba_monai.networks import MedMamba, read_architecture
from medmamba_monai.networks.film import FiLM
from medmamba_monai.networks.head_features import find_head
from medmamba_monai.networks.state_dicts import list_names
from medmamba_monai.training.pretrained.weights_file import CLASS_INDICES, WeightsFile
from medmamba_monai.training.weights import format_option

_OF_THE_ARCHITECTURE = ("spatial_dims", "depths", "channels", "patch_size", "state_size")


@dataclass(frozen=True)
class FittedWeights:
    """A state dict that a network takes, and what was done to make it fit.

    Attributes:
        state: a tensor for each key of the network.
        notes: what was done with the head and the stem, in words.
    """

    state: dict[str, Tensor]
    notes: tuple[str, ...]


def fit_weights(file: WeightsFile, network: nn.Module, card: DatasetCard) -> FittedWeights:
    """Make the weights of a file fit a network; neither is changed.

    Every weight but those of head and stem must be there in its shape. The head is taken where the names of its
    classes are known and are the card's, its rows put into the card's order; else the network keeps its own. A stem
    for another number of input channels gets, in each channel, the mean over the file's channels times old/new, so
    that a gray image, repeated in all channels, is seen as before. Of a `FiLM`, the MedMamba takes them; the layers of
    its clinical records begin anew, since those of a file may be of other records.

    Args:
        file: the weights.
        network: not wrapped.
        card: of the dataset that the network will be trained on.

    Raises:
        UserError: the file is of another network, or cannot be read.
    """
    if not isinstance(network, FiLM):
        return _fit(file, file.state, network, card)
    of_records = tuple(f"{name}." for name, _ in network.named_children() if name != "network")
    state = {key: value for key, value in file.state.items() if not key.startswith(of_records)}
    inner = _fit(file, state, network.network, card)
    own = {key: inner.state.get(key.removeprefix("network."), value) for key, value in network.state_dict().items()}
    return FittedWeights(own, (*inner.notes, "the layers of the clinical records begin anew"))


def _fit(file: WeightsFile, given: dict[str, Tensor], network: nn.Module, card: DatasetCard) -> FittedWeights:
    own = network.state_dict()
    _check_architecture(file, network)
    state = dict(given)
    head, head_note = _fit_head(file, network, card, own)
    stem, stem_note = _fit_stem(state, network, own)
    state = {**state, **stem}
    state = {key: value for key, value in state.items() if not key.startswith(_name_head(network, card))} | head
    _check_rest(file, own, state)
    return FittedWeights(
        {key: state[key].to(own[key].dtype) for key in own}, tuple(filter(None, (head_note, stem_note)))
    )


def match_classes(names: Sequence[str], card: DatasetCard) -> list[int] | None:
    """Return the place in ``names`` of each class of a card; None where they are not the same classes.

    Args:
        names: classes in the order of a head's rows, spelt as in the data or as readers see them.
        card: its classes in label order.

    Example:
        >>> from types import SimpleNamespace as Card
        >>> match_classes(["cat", "dog"], Card(display_names=("Dog", "Cat"), label_of=["dog", "cat"].index))
        [1, 0]
    """
    shown = {comparable(name): label for label, name in enumerate(card.display_names)}
    labels = [shown.get(comparable(name), card.label_of(name)) for name in names]
    if sorted(label for label in labels if label is not None) != list(range(len(card.display_names))):
        return None
    return [labels.index(label) for label in range(len(labels))] if len(labels) == len(card.display_names) else None


def _name_head(network: nn.Module, card: DatasetCard) -> str:
    head = find_head(network, card.num_classes)
    return f"{next(name for name, module in network.named_modules() if module is head)}."


def _fit_head(
    file: WeightsFile, network: nn.Module, card: DatasetCard, own: dict[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    start = _name_head(network, card)
    drawn = {key: value for key, value in own.items() if key.startswith(start)}
    found = {key: file.state[key] for key in drawn if key in file.state}
    if len(found) < len(drawn):
        return drawn, "the head is drawn anew, the file has none"
    if file.kind == "self-supervised":
        return drawn, "the head is drawn anew, since self-supervised weights know no classes"
    names = file.class_names
    if names is None:
        return drawn, (
            "the head is drawn anew, since nothing says which classes the file's head has in which order "
            f"({CLASS_INDICES} beside it could)"
        )
    if any(len(value) != len(names) for value in found.values()):
        rows = len(next(iter(found.values())))
        raise UserError(
            f"--pretrained {file.path}: its head has {rows} rows, but {len(names)} classes are named for it"
        )
    rows_of = match_classes(names, card)
    if rows_of is None:
        return drawn, f"the head is drawn anew, that of the file has other classes ({list_names(names)})"
    note = "the head is taken"
    if rows_of != sorted(rows_of):
        note = "the head is taken, its rows put into the order of the card's classes"
    return {key: value[rows_of] for key, value in found.items()}, note


def _fit_stem(state: dict[str, Tensor], network: nn.Module, own: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    kinds = (nn.Conv2d, nn.Conv3d)
    key = next((f"{name}.weight" for name, module in network.named_modules() if isinstance(module, kinds)), "")
    if key not in state or state[key].ndim != own[key].ndim:
        return {}, ""
    found, wanted = state[key], own[key]
    old, new = found.shape[1], wanted.shape[1]
    if old == new or (found.shape[0], *found.shape[2:]) != (wanted.shape[0], *wanted.shape[2:]):
        return {}, ""
    stem = (found.mean(1, keepdim=True) * (old / new)).expand_as(wanted).contiguous()
    return {key: stem}, f"the stem is made for {new} input channels of {old}: the mean over them, times {old}/{new}"


def _check_architecture(file: WeightsFile, network: nn.Module) -> None:
    """Compare depths, channels and the like, where both are a MedMamba."""
    if not isinstance(network, MedMamba):
        return
    try:
        found = read_architecture(file.state)
    except UserError as error:
        raise UserError(f"--pretrained {file.path}: is of another network than a MedMamba: {error}") from error
    wanted = read_architecture(network.state_dict())
    other = [name for name in _OF_THE_ARCHITECTURE if found[name] != wanted[name]]
    if other:
        differences = "; ".join(f"{name} {_plain(found[name])}, not {_plain(wanted[name])}" for name in other)
        options = " ".join(
            f"--{name} {format_option(list(found[name]))}" for name in other if name in ("depths", "channels")
        )
        advice = f"pass {options}" if options else "use other weights"
        raise UserError(f"--pretrained {file.path}: holds a MedMamba with {differences}; {advice}")


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _check_rest(file: WeightsFile, own: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
    wrong += [key for key in state if key not in own]
    if wrong and (records := file.description.get("records")):
        raise UserError(
            f"--pretrained {file.path}: was trained with clinical records beside images ({list_names(records)}), which "
            "this network is not given; use the recipe film, or other weights"
        )
    if wrong:
        key = wrong[0]
        found = list(state[key].shape) if key in state else "missing"
        wanted = list(own[key].shape) if key in own else "unknown"
        raise UserError(
            f"--pretrained {file.path}: does not fit the network; of {len(wrong)} weights the first is {key}: {found} "
            f"in the file, {wanted} in the network. Give the --network_name that it has; vit_b16 needs its --image_size"
        )

"""Why a plan does as much as it does, in words: reasons that follow from its values, and choose nothing."""

from __future__ import annotations

from collections.abc import Sequence

from medmamba_monai.auto.fingerprint import Fingerprint, Machine, StartingWeights
from medmamba_monai.auto.networks import NETWORKS_TO_TRY, Network, list_networks, list_started
from medmamba_monai.auto.rules import MOST_EPOCHS
from medmamba_monai.auto.words import (
    describe_architecture,
    describe_network,
    describe_time,
    format_count,
    format_percent,
)
from medmamba_monai.core.defaults import NUM_FOLDS


def explain_candidates(seen: Fingerprint, chosen: Sequence[Network]) -> str:
    """Say why these networks and not more."""
    titles = [describe_network(network.options, network.pretrained, network.probe) for network in chosen]
    left = [one.name for one in list_networks(seen) if one not in chosen and one.name not in seen.too_large]
    less = f" Left out, as the time would be missed elsewhere: {', '.join(left)}." if left else ""
    few = [network.name for network in NETWORKS_TO_TRY if seen.images < network.fewest_images]
    hungry = f" {', '.join(few)} would want more than the {seen.images} images that there are." if few else ""
    large = f" {', '.join(seen.too_large)} would not fit into the memory here." if seen.too_large else ""
    return f"{format_count(len(chosen), 'candidate')}: {'; '.join(titles)}.{less}{hungry}{large}"


def explain_starting_weights(weights: StartingWeights) -> str:
    """Say what begins with the starting weights, what was done to make them fit, and who judges them."""
    begun = [network.name for network in list_started(weights)]
    notes = f" To make them fit, {'; '.join(weights.notes)}." if weights.notes else ""
    return (
        f"These weights fit {describe_architecture(weights.options)}: {', '.join(begun[:-1])} and {begun[-1]} begin "
        f"with them, and what else races from nothing, so that validation tells whether they help.{notes} Weights "
        "whose header says that they have seen images which a fold is validated or tested on are refused; of others, "
        "you have to know."
    )


def explain_at_once(machine: Machine) -> str:
    """Say on how many trainings at a time the times count."""
    if machine.at_once == 1:
        return (
            f"The times count on one job of {machine.cluster} after the other, as nothing says how many it runs at a "
            "time: say so with --jobs, and a plan does more in the same time."
        )
    return (
        f"As --jobs says: {machine.at_once} jobs of {machine.cluster} at a time, each on a node as fast as the one "
        "that measured. What waits in the queue is not counted."
    )


def explain_folds(number: int, in_time: int) -> str:
    """Say why the winner is trained so many times.

    Args:
        number: of folds.
        in_time: of these, those that the time is planned for.
    """
    share = f"each model learns from {format_percent(1 - 1 / number)} of the images, and the ensemble is their mean"
    why = (
        f"No more than {number} folds can be made with every class in each; {share}."
        if number < NUM_FOLDS
        else f"Five folds, as is usual: {share}."
    )
    if in_time < number:
        return f"{why} There is surely time for {in_time} of them; more are trained where it goes faster."
    return why


def explain_epochs(epochs: int, budget: float) -> str:
    """Say what decided the number of epochs."""
    if epochs >= MOST_EPOCHS:
        return f"{MOST_EPOCHS}, as in the paper (section 3.1); there is time for them."
    return f"As many as fit into {describe_time(budget)} with all that is planned. More time gives more epochs."


def explain_finalists(number: int) -> str:
    """Say how many candidates go on after the race."""
    if number == 1:
        return "The best candidate on fold 0 is trained on the other folds; there is no time for a second one."
    return f"The best {number} on fold 0 are trained on all folds: fold 0 alone is too little to tell close ones apart."


def explain_baselines(number: int, in_time: int) -> str:
    """Say what the winner is compared with.

    Args:
        number: of baselines.
        in_time: of these, those that the time is planned for.
    """
    networks = "The small MedMamba and ResNet-18" if number > 1 else "The small MedMamba"
    why = (
        f"{networks} with the paper's plain recipe, on the same folds, for as many epochs: they show what was gained "
        "over what anybody would have done first. Never chosen, only compared."
    )
    if in_time < number:
        kept = "the first of them" if in_time else "none of them"
        return (
            f"{why} Time is kept for {kept}; what is left when the winner is trained goes to the rest, if it suffices."
        )
    return why

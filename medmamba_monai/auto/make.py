"""A plan for a dataset, a machine and a time: the rules applied, and as much of everything as the time allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from medmamba_monai.auto import rules
from medmamba_monai.auto.estimate import MARGIN, estimate_plan
from medmamba_monai.auto.fingerprint import Fingerprint, Speed
from medmamba_monai.auto.networks import BASELINES, NETWORKS_TO_TRY, Network, choose_networks
from medmamba_monai.auto.plan import OF_A_TRAINING, Candidate, Costs, Plan
from medmamba_monai.auto.reasons import (
    explain_at_once,
    explain_baselines,
    explain_candidates,
    explain_epochs,
    explain_finalists,
    explain_folds,
    explain_starting_weights,
)
from medmamba_monai.auto.rules import Choice, Shape
from medmamba_monai.auto.words import describe_time
from medmamba_monai.core.defaults import NUM_FOLDS
from medmamba_monai.core.errors import UserError

# Seconds beside those of a network's steps that a run of the demo and its package took on two cores, as its files tell;
# the race measures its own steps and corrects what is left.
_IMPORTS, _START, _FIGURES, _REVIEW, _PACKAGE = 14.0, 8.0, 2.0, 8.0, 15.0
_LEAST_EPOCHS = 30
"""Epochs of the small MedMamba that a comparison of two candidates in five folds takes at the least."""


def choose_affordable_size(seen: Fingerprint, speed: Speed, batch_size: int, seconds: float) -> int:
    """Return the largest side whose leanest comparison fits into a time, from the speed at the smallest side.

    Args:
        seen: the dataset.
        speed: of the small MedMamba at the smallest side of `rules.SIZES`.
        batch_size: of that speed.
        seconds: that the comparison may take.
    """
    epoch = estimate_epoch(seen, speed, batch_size, 0.2 if seen.official_test else 0.36)
    one_after_the_other = _LEAST_EPOCHS / min(seen.machine.at_once, NUM_FOLDS)
    return _find_largest_size(seen, seconds / (one_after_the_other * epoch))


def choose_size_in_memory(seen: Fingerprint, speed: Speed, batch_size: int) -> int:
    """Return the largest side of which a small batch fits into the memory, from what is kept at the smallest side.

    Args:
        seen: the dataset.
        speed: of the small MedMamba at the smallest side of `rules.SIZES`.
        batch_size: of that speed.
    """
    needed = speed.memory_gib * min(rules.LEAST_BATCH, batch_size) / batch_size
    free = rules.MEMORY_SHARE * seen.machine.memory_gib
    return _find_largest_size(seen, free / needed if needed > 0 else math.inf)


def _find_largest_size(seen: Fingerprint, scale: float) -> int:
    """Return the largest side with so many times the pixels of the smallest, or that one."""
    sizes = rules.SIZES[seen.spatial_dims]
    return next((size for size in reversed(sizes) if (size / sizes[0]) ** seen.spatial_dims <= scale), sizes[0])


def estimate_epoch(seen: Fingerprint, speed: Speed, batch_size: int, not_trained_on: float) -> float:
    """Return the seconds of an epoch with its validation.

    Args:
        seen: the dataset.
        speed: of the network.
        batch_size: of that speed.
        not_trained_on: share of the images that validate or are kept out.
    """
    trained = seen.images * (1 - not_trained_on)
    steps = math.ceil(trained / batch_size)
    return steps * speed.step + (seen.images - trained) / batch_size * speed.forward


def make_plan(
    seen: Fingerprint,
    image_size: Choice[int],
    batch_size: Choice[int],
    most_folds: int,
    budget: float,
    looked_seconds: float,
    dataset_dir: str = "",
    pretrained_place: str = "",
) -> Plan:
    """Return the richest plan that the time allows, with a margin.

    Args:
        seen: the dataset, with the speeds measured here.
        image_size: as `rules.choose_image_size` has it.
        batch_size: as `rules.choose_batch_size` has it.
        most_folds: how many folds can be made.
        budget: seconds for everything.
        looked_seconds: of these, spent before the race begins.
        dataset_dir: folder of the images.
        pretrained_place: where the starting weights are.

    Raises:
        UserError: not even the leanest plan fits; says how much time it needs.
    """
    available = budget * (1 - MARGIN)
    values = {
        "dataset": seen.dataset,
        "bundle": f"bundles/{seen.dataset}",
        "dataset_dir": dataset_dir,
        "budget_seconds": budget,
        "looked_seconds": round(looked_seconds, 1),
        "fold_seed": 0,
        "weight_decay": None,
        "pretrained": None if seen.pretrained is None else seen.pretrained.identity,
        "pretrained_place": pretrained_place,
    }
    for shape in rules.SHAPES:
        plan = _draft(seen, shape, most_folds, image_size, batch_size, values)
        if estimate_whole(plan) <= available:
            return _explain(_add_epochs(plan, seen, available), seen, shape, image_size, batch_size)
    needed = describe_time(60 * math.ceil(estimate_whole(plan) / (1 - MARGIN) / 60))
    raise UserError(
        f"--budget {describe_time(budget)}: one epoch of the smallest network in two folds takes about {needed} "
        "here, with looking, evaluation and report; give at least that"
    )


def estimate_whole(plan: Plan) -> float:
    """Return the seconds of all steps of a plan together."""
    return sum(estimate_plan(plan).values())


def _draft(
    seen: Fingerprint,
    shape: Shape,
    most_folds: int,
    image_size: Choice[int],
    batch_size: Choice[int],
    values: dict[str, Any],
) -> Plan:
    networks, folds = choose_networks(seen, shape.candidates), min(NUM_FOLDS, most_folds)
    hold_out, epochs = rules.choose_hold_out(seen).value, shape.epochs
    not_trained_on = 1 - (1 - (hold_out or 0)) * (1 - 1 / folds)
    seconds = {
        name: round(estimate_epoch(seen, speed, batch_size.value, not_trained_on), 1)
        for name, speed in seen.speeds.items()
    }
    looks = {
        network.name: round((seen.images + seen.test_images) / batch_size.value * seen.speeds[network.name].forward, 1)
        for network in networks
        if network.probe is not None
    }
    slowest = max(seen.speeds[network.name].forward for network in networks)
    tested = seen.test_images + seen.images * ((hold_out or 0) + 1 / folds)
    on_cluster = bool(seen.machine.cluster)  # each job imports for itself
    return Plan(
        **values,
        hold_out=hold_out,
        num_folds=folds,
        planned_folds=min(shape.folds, folds),
        planned_baselines=shape.baselines,
        views=rules.choose_views().value,
        image_size=image_size.value,
        batch_size=batch_size.value,
        epochs=epochs,
        recipe=rules.choose_recipe(seen, epochs).value,
        learning_rate=rules.choose_learning_rate().value,
        candidates=[_make_candidate(network, {**seconds, **looks}[network.name]) for network in networks],
        rounds=rules.choose_rounds(_count_trained(networks), shape.finalists, epochs).value,
        finalists=min(shape.finalists, len(networks)),
        at_once=seen.machine.at_once,
        baselines=_make_baselines(seen, seconds),
        costs=Costs(
            start=round(_START + (_IMPORTS if on_cluster else 0.0) + seen.seconds_per_image * seen.images, 1),
            evaluation=round(_FIGURES + tested / batch_size.value * slowest, 1),
            review=_REVIEW,
            imports=0.0 if on_cluster else _IMPORTS,
            package=round(_PACKAGE + folds * seen.images / batch_size.value * slowest, 1),
        ),
        reasons={},
    )


def _make_candidate(network: Network, seconds: float) -> Candidate:
    """Return a network as a candidate; a probe has no options of a training."""
    options = {name: value for name, value in network.options.items() if not network.probe or name not in OF_A_TRAINING}
    how: dict[str, Any] = {"pretrained": network.pretrained, "probe": network.probe, "reason": network.reason}
    return Candidate(name=network.name, seconds_per_epoch=seconds, **how, **options)


def _count_trained(networks: Sequence[Network]) -> int:
    return sum(network.probe is None for network in networks)


def _make_baselines(seen: Fingerprint, seconds: dict[str, float]) -> list[Candidate]:
    """Return what the winner is compared with, as far as it was measured."""
    able = seen.speeds.keys() - set(seen.too_large)
    known = {network.name: network for network in NETWORKS_TO_TRY if network.name in able}
    reason = "The paper's plain recipe (section 3.1): no augmentation, a learning rate that stays."
    values = {"recipe": "paper", "learning_rate": 0.001, "reason": reason}
    return [
        Candidate(name=f"{name}_paper", seconds_per_epoch=seconds[name], **{**known[name].options, **values})
        for name in BASELINES
        if name in known
    ]


def _add_epochs(plan: Plan, seen: Fingerprint, available: float) -> Plan:
    """Give a plan as many epochs as fit; with them, the recipe and the rounds of the race may be others."""
    best = plan
    for epochs in range(plan.epochs + 1, rules.MOST_EPOCHS + 1):
        rounds = rules.choose_rounds(len(plan.trained_candidates), plan.finalists, epochs).value
        recipe = rules.choose_recipe(seen, epochs).value
        longer = plan.model_copy(update={"epochs": epochs, "rounds": rounds, "recipe": recipe})
        if estimate_whole(longer) > available:
            break
        best = longer
    return best


def _explain(
    plan: Plan,
    seen: Fingerprint,
    shape: Shape,
    image_size: Choice[int],
    batch_size: Choice[int],
) -> Plan:
    networks = choose_networks(seen, shape.candidates)
    reasons = {
        "hold_out": rules.choose_hold_out(seen).reason,
        "num_folds": explain_folds(plan.num_folds, plan.folds_in_time),
        "views": rules.choose_views().reason,
        "image_size": image_size.reason,
        "batch_size": batch_size.reason,
        "epochs": explain_epochs(plan.epochs, plan.budget_seconds),
        "recipe": rules.choose_recipe(seen, plan.epochs).reason,
        "learning_rate": rules.choose_learning_rate().reason,
        "candidates": explain_candidates(seen, networks),
        "rounds": rules.choose_rounds(_count_trained(networks), plan.finalists, plan.epochs).reason,
        "finalists": explain_finalists(plan.finalists),
        "baselines": explain_baselines(len(plan.baselines), len(plan.baselines_in_time)),
    }
    if seen.machine.cluster:
        reasons["at_once"] = explain_at_once(seen.machine)
    if seen.pretrained is not None:
        reasons["pretrained"] = explain_starting_weights(seen.pretrained)
    values = plan.model_dump(mode="json")
    chosen = {name: values[name] for name in reasons if not isinstance(values[name], list)}
    return plan.model_copy(update={"reasons": reasons, "chosen": chosen})

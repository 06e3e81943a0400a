"""Which score tells other images from those of the dataset: ``python -m benchmarks.unlike PACKAGE RUN --json FILE``.

Each candidate looks at the images that `package` looks at, ranks its score among those of validation images of each
fold, and adds the ranks of the folds up. Test images of the dataset stand against turned and inverted ones, noise,
blank images, the phantom of this package, and what pydicom, nibabel and scikit-learn hold to test and learn with. All
have the number of pixels that the dataset's have, so that sharpness tells none of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.covariance import LedoitWolf, ShrunkCovariance
from sklearn.neighbors import NearestNeighbors

from benchmarks.report import add_common_options, markdown_table, measured_on, new_result, save_result, text_table
from benchmarks.unlike_images import make_other_images
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import read_fold_list
from medmamba_monai.data.folds.fold_list import FoldList
from medmamba_monai.evaluation.answers.reasons import UNLIKE
from medmamba_monai.evaluation.scores import FloatArray, IntArray
from medmamba_monai.evaluation.statistics.significance import delong_interval
from medmamba_monai.evaluation.statistics.unlike import Cloud, Vectors
from medmamba_monai.images import ReadImage
from medmamba_monai.package import Package
from medmamba_monai.package.fit_likeness import draw_items, measure_items

Score = Callable[[Vectors], FloatArray]
Fit = Callable[[Vectors, IntArray], Sequence[Score]]
CHOSEN = "Mahalanobis, features and pixels"
_NEIGHBORS = 10


def _measure(cloud: Cloud, kind: str, new: Vectors) -> FloatArray:
    return cloud.measure(new[kind])


def fit_mahalanobis(*kinds: str) -> Fit:
    """Return the distance from the mean of each of these vectors, with one covariance for all images."""

    def fit(vectors: Vectors, labels: IntArray) -> Sequence[Score]:
        clouds = {kind: Cloud.fit(vectors[kind]) for kind in kinds}
        return [partial(_measure, cloud, kind) for kind, cloud in clouds.items()]

    return fit


def fit_by_class(relative: bool) -> Fit:
    """Return the distance from the nearest class's mean, or how much smaller it is than that from the whole mean."""

    def fit(vectors: Vectors, labels: IntArray) -> Sequence[Score]:
        mean, spread = vectors["features"].mean(axis=0), vectors["features"].std(axis=0) + 1e-6
        scaled = (vectors["features"] - mean) / spread
        means = np.stack([scaled[labels == label].mean(axis=0) for label in np.unique(labels)])
        whole = LedoitWolf(assume_centered=True).fit(scaled)
        # As much shrinkage as of the whole: two amounts would be most of what the difference tells.
        by_class = ShrunkCovariance(assume_centered=True, shrinkage=whole.shrinkage_).fit(scaled - means[labels])

        def score(new: Vectors) -> FloatArray:
            points = (new["features"] - mean) / spread
            nearest = np.min([by_class.mahalanobis(points - center) for center in means], axis=0)
            return np.asarray(nearest - whole.mahalanobis(points) if relative else nearest)

        return [score]

    return fit


def fit_neighbors(vectors: Vectors, labels: IntArray) -> Sequence[Score]:
    """Return the distance from the tenth nearest training image, features scaled to a standard deviation of 1."""
    mean, spread = vectors["features"].mean(axis=0), vectors["features"].std(axis=0) + 1e-6
    known = NearestNeighbors(n_neighbors=_NEIGHBORS).fit((vectors["features"] - mean) / spread)
    return [lambda new: known.kneighbors((new["features"] - mean) / spread)[0][:, -1]]


CANDIDATES: dict[str, Fit] = {
    CHOSEN: fit_mahalanobis("features", "pixels"),
    "Mahalanobis, features": fit_mahalanobis("features"),
    "Mahalanobis by class, features": fit_by_class(relative=False),
    "relative Mahalanobis, features": fit_by_class(relative=True),
    f"{_NEIGHBORS} nearest neighbors, features": fit_neighbors,
    "Mahalanobis, pixels": fit_mahalanobis("pixels"),
}
"""What is compared; of several scores the highest rank counts, as in the package."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser("python -m benchmarks.unlike", description=__doc__)
    parser.add_argument("package", type=Path, help="folder that the command package wrote")
    parser.add_argument("run", type=Path, help="the cross-validation that it was written from")
    add_common_options(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    result = new_result("unlike", {"quick": given.quick, "threshold": UNLIKE})
    result |= measure(Package.open(given.package), given.run, 10 if given.quick else 200)
    print(text_table(_titles(result), _rows(result)))
    save_result(result, given.json)
    return 0


def measure(package: Package, run: Path, images: int) -> dict[str, Any]:
    """Return what each candidate says of each kind of image.

    Args:
        package: whose networks give the features.
        run: whose images it was trained on.
        images: of each kind, at most.
    """
    described = json.loads(RunFolder(run).description.read_text(encoding="utf-8"))
    folds = read_fold_list(described["data_list"], described["dataset_dir"])
    tested = draw_items(folds.parts(min(package.networks))["test"])
    read = ReadImage(**package.manifest.reading)
    arrays = [read(item["image"]).numpy().squeeze() for item in tested.values()]
    others = make_other_images(arrays, images)
    vectors = {name: _measure_arrays(package, found) for name, found in {"test": arrays, **others}.items()}
    shares = _share(package, folds, vectors)
    return {
        "dataset": package.card.title,
        "network": package.manifest.network.model_dump(mode="json"),
        "counts": {name: len(found) for name, found in {"test": arrays, **others}.items()},
        "candidates": {name: _describe(found) for name, found in shares.items()},
    }


def _measure_arrays(package: Package, arrays: Sequence[np.ndarray]) -> dict[int, Vectors]:
    return measure_items(package, [{"image": array} for array in arrays])


def _share(
    package: Package, folds: FoldList, vectors: Mapping[str, Mapping[int, Vectors]]
) -> dict[str, dict[str, FloatArray]]:
    """Return by candidate and kind of image the share of validation images with lower scores."""
    less: dict[str, dict[str, Any]] = {name: dict.fromkeys(vectors, 0) for name in CANDIDATES}
    parts = {fold: folds.parts(fold) for fold in package.networks}
    drawn = draw_items([item for part in parts.values() for name in ("train", "validation") for item in part[name]])
    known, total = measure_items(package, list(drawn.values())), 0
    for fold, part in parts.items():
        validation_ids = {item["id"] for item in part["validation"]}
        held = np.array([name in validation_ids for name in drawn])
        labels = np.array([item["label"] for item in drawn.values()])
        training, validation = (_select(known[fold], rows) for rows in (~held, held))
        total += int(held.sum())
        for name, fit in CANDIDATES.items():
            scores = fit(training, labels[~held])
            ranks = _rank([score(validation) for score in scores], [score(validation) for score in scores])
            for kind, found in vectors.items():
                new = _rank([score(validation) for score in scores], [score(found[fold]) for score in scores])
                less[name][kind] = less[name][kind] + np.searchsorted(np.sort(ranks), new)
    return {name: {kind: np.asarray(count / total) for kind, count in found.items()} for name, found in less.items()}


def _select(vectors: Vectors, rows: np.ndarray) -> dict[str, FloatArray]:
    return {kind: found[rows] for kind, found in vectors.items()}


def _rank(known: Sequence[FloatArray], new: Sequence[FloatArray]) -> np.ndarray:
    return np.asarray(np.max([np.searchsorted(np.sort(a), b) for a, b in zip(known, new, strict=True)], axis=0))


def _describe(shares: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Return AUC and how many of each kind pass, with intervals; of test images how many do not."""
    test = shares["test"]
    found: dict[str, Any] = {"false alarms": _describe_share(test >= UNLIKE)}
    for kind, values in shares.items():
        if kind != "test":
            truth = np.r_[np.zeros(len(test)), np.ones(len(values))].astype(int)
            area = delong_interval(np.r_[test, values], truth)
            limits = area.interval if isinstance(area.interval, str) else [area.interval.low, area.interval.high]
            found[kind] = {"auc": area.auc, "limits": limits, "passes": _describe_share(values < UNLIKE)}
    return found


def _describe_share(found: np.ndarray) -> dict[str, float]:
    interval = binomtest(int(found.sum()), len(found)).proportion_ci(method="wilson")
    return {"value": float(found.mean()), "low": float(interval.low), "high": float(interval.high)}


def _titles(result: Mapping[str, Any]) -> list[str]:
    counts = result["counts"]
    names = [f"{kind} ({count})" for kind, count in counts.items() if kind != "test"]
    return ["passes, % (AUC)", f"false alarms ({counts['test']})", *names]


def _rows(result: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each candidate."""
    kinds = [kind for kind in result["counts"] if kind != "test"]
    return [
        [
            name,
            _format_share(found["false alarms"]),
            *(f"{_format_share(found[kind]['passes'])} ({found[kind]['auc']:.3f})" for kind in kinds),
        ]
        for name, found in result["candidates"].items()
    ]


def _format_share(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.0f} [{100 * found['low']:.0f}-{100 * found['high']:.0f}]"


def unlike_part(result: dict[str, Any]) -> str:
    """Write the table with a row for each kind of image, which is easier to read on a page."""
    titles, rows = _titles(result), _rows(result)
    turned = [[title, *(row[column] for row in rows)] for column, title in enumerate(titles) if column]
    size = result["network"]["image_size"]
    note = (
        f"Of each kind, the share in % that passes for an image of {result['dataset']} (in brackets the 95 % interval, "
        f"Wilson's), then the AUC against its test images; first how many of these are called unlike. An image is "
        f"called so from a share of {result['options']['threshold']} of validation images on. "
        f"{result['network']['name']} at {size} pixels. Frames of one file, slices of one volume and crops of one "
        f"picture are not independent: their intervals are too narrow. {measured_on(result)}"
    )
    return f"{markdown_table(['other images', *(row[0] for row in rows)], turned)}\n\n{note}"


if __name__ == "__main__":
    sys.exit(main())

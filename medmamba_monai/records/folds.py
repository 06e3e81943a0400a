"""Predictions of every fold from clinical records, alone or with the scores of a cross-validation of images.

The classifier of fold k is fitted on the images that train fold k, and on no other. In late fusion each of these has
the score of a network that did not learn from it: that of the fold which holds the image out (Wolpert 1992). The images
that fold k selects and reports on have the scores of the network of fold k, as a new image would.

Where test images are kept out of all folds, no network and no classifier has seen one; the images that a fold holds out
have chosen the epoch of the network that scores them, which flatters it a little, so that the image is weighed rather
too much than too little. Where folds take turns as the test part, the networks that score the training images of fold k
have themselves learned from images of fold k. That reaches the classifier of fold k only through the few
coefficients by which it weighs a score; a test with records that are noise, and networks that know their training
images by heart, holds that it gains nothing from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.folds.fold_list import FoldList
from medmamba_monai.evaluation.predictions import PARTS, Predictions
from medmamba_monai.records.classifiers import Classifier, fit_and_predict
from medmamba_monai.records.table import build_record_table

Way = Literal["records", "late"]
"""``records``: the records alone; ``late``: the records with the scores that networks gave to the image."""

WAYS: tuple[Way, ...] = get_args(Way)

_FEWEST_FOLDS = 2

_SMALLEST = 1e-7
"""Of a probability, before its logarithm is taken: about what float32 can tell from 0 beside 1."""


def predict_folds(
    fold_list: FoldList,
    class_names: Sequence[str],
    classifier: Classifier = "logistic",
    images: Mapping[int, Predictions] | None = None,
    folds: Sequence[int] | None = None,
) -> dict[int, Predictions]:
    """Fit a classifier for each fold and predict the images that the fold selects and reports on.

    Args:
        fold_list: of a dataset whose card declares records.
        class_names: for readers, in label order.
        classifier: which one.
        images: predictions of a cross-validation of the same folds, of two or more by their numbers, for late fusion;
            None for the records alone. Images of folds that are not among them have no score, and train no classifier.
        folds: numbers of the folds to predict; by default those of ``images``, or all.

    Returns:
        Predictions of each fold, validation and test, as a cross-validation of networks has them.

    Raises:
        UserError: the list holds no records, or the predictions are of one fold alone, or of other images.
    """
    held_out = None if images is None else _collect_held_out(fold_list, images)
    found = {}
    for fold in folds or sorted(images or range(fold_list.num_folds)):
        parts = fold_list.parts(fold)
        train = parts["train"] if held_out is None else [item for item in parts["train"] if item["id"] in held_out]
        judged = [(part, item) for part in PARTS for item in parts[part]]
        tables = [build_record_table(fold_list, [item["id"] for item in items]) for items in (train, _second(judged))]
        if images is not None and held_out is not None:
            own = _score_images(images[fold])
            scores = [_look_up(held_out, train), _look_up(own, _second(judged))]
            tables = [table.append_numbers(score, "image") for table, score in zip(tables, scores, strict=True)]
        labels = np.array([item["label"] for item in train], np.int64)
        found[fold] = Predictions(
            probabilities=fit_and_predict(classifier, tables[0], labels, tables[1], len(class_names)),
            labels=np.array([item["label"] for _, item in judged], np.int64),
            task=fold_list.task,
            groups=[item["group"] for _, item in judged] if fold_list.has_groups else None,
            ids=[item["id"] for _, item in judged],
            parts=[part for part, _ in judged],
            class_names=class_names,
        )
    return found


def _second(pairs: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [item for _, item in pairs]


def _collect_held_out(fold_list: FoldList, images: Mapping[int, Predictions]) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each image that belongs to a fold, by the network of that fold."""
    if len(images) < _FEWEST_FOLDS:
        raise UserError(
            f"late fusion: only fold {', '.join(map(str, images))} has finished, and the images that train it have no "
            "score of a network that did not learn from them: start the cross-validation again to go on with the others"
        )
    part = "validation" if fold_list.has_test_set else "test"
    held_out: dict[str, NDArray[np.float64]] = {}
    for fold, predictions in images.items():
        found = _score_images(predictions.select(part))
        own = {item.id for item in fold_list.training if item.fold == fold}
        if odd := sorted(own ^ found.keys()):
            raise UserError(
                f"fold {fold}: holds other images than the cross-validation has there ({len(odd)} differ, such as "
                f"{odd[0]}): its predictions are of other folds"
            )
        held_out |= found
    return held_out


def _score_images(predictions: Predictions) -> dict[str, NDArray[np.float64]]:
    scores = compute_scores(predictions)
    return dict(zip(predictions.ids, scores, strict=True))


def compute_scores(predictions: Predictions) -> NDArray[np.float64]:
    """Return what stands for images in a table: log odds (B, 1) of a binary task, of each label of several (B, C).

    Of other tasks it is the logarithm of each class's probability minus their mean, (B, C).
    """
    logs = np.log(np.clip(predictions.probabilities, _SMALLEST, 1 - _SMALLEST))
    if predictions.task == "multi-label":
        scores: NDArray[np.float64] = logs - np.log1p(-np.exp(logs))
    elif predictions.task == "binary":
        scores = logs[:, 1:] - logs[:, :1]
    else:
        scores = logs - logs.mean(axis=1, keepdims=True)
    return scores


def _look_up(scores: Mapping[str, NDArray[np.float64]], items: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    if missing := [item["id"] for item in items if item["id"] not in scores]:
        raise UserError(
            f"{len(missing)} images of the folds have no score in the cross-validation, such as {missing[0]}: its "
            "predictions are of other folds"
        )
    return np.stack([scores[item["id"]] for item in items])

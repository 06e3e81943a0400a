from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.samples import Record
from medmamba_monai.evaluation import Model, Predictions, compare, evaluate_folds
from medmamba_monai.evaluation.reports.additions import write_additions
from medmamba_monai.records import CLASSIFIERS, Classifier, predict_folds
from medmamba_monai.records.folds import compute_scores
from tests.helpers.recorded_samples import NAMES, make_fold_list, predict_with


def draw(count: int = 240, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64], list[Record]]:
    """Labels of a skewed class that an image and an age decide half and half; a third of the ages is missing."""
    generator = np.random.default_rng(seed)
    image, age = generator.standard_normal((2, count))
    labels = (1.5 * (image + age) + generator.logistic(size=count) > 1).astype(np.int64)
    hidden = generator.random(count) < 1 / 3
    records: list[Record] = [
        (None if gone else 60 + 10 * value, "FM"[number % 2])
        for number, (value, gone) in enumerate(zip(age.tolist(), hidden, strict=True))
    ]
    return labels, image, records


def auc(folds: dict[int, Predictions], combination: str = "pooled") -> float:
    return evaluate_folds(folds, "pooled" if combination == "pooled" else "ensemble").metrics["auc"]


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("test", [0, 60])
def test_fusion_is_better_than_either_as_the_data_were_made(classifier: Classifier, test: int) -> None:
    labels, image, records = draw()
    fold_list = make_fold_list(labels, records, test=test)
    images = predict_with(fold_list, image)
    alone, fused = (predict_folds(fold_list, NAMES, classifier, given) for given in (None, images))
    way = "ensemble" if test else "pooled"
    both, either = auc(fused, way), (auc(images, way), auc(alone, way))
    assert both > max(either) + 0.02
    assert min(either) > 0.6
    assert {fold: found.ids for fold, found in fused.items()} == {fold: found.ids for fold, found in images.items()}


def test_the_words_say_what_the_image_adds_and_what_the_records_add() -> None:
    labels, image, records = draw(1000)
    fold_list = make_fold_list(labels, records, num_folds=10)
    blind = make_fold_list(labels, [(None, "FM"[number % 2]) for number in range(1000)], num_folds=10)
    images = predict_with(fold_list, image)
    net, twin = Model("net", [images]), Model("twin", [images])
    clinic = Model("clinic", [predict_folds(fold_list, NAMES)], "records")
    both = Model("both", [predict_folds(fold_list, NAMES, images=images)], "image and records")
    noise = Model("both", [predict_folds(blind, NAMES, images=images)], "image and records")
    said = [write_additions(compare(models, "pooled", resamples=100)) for models in ((net, both), (both, clinic))]
    assert said[0][0].startswith("The records add to the image (AUC +")
    assert said[0][0].endswith("both beside net), on these images and over trainings.")
    assert said[1][0].startswith("The image adds to the records (AUC +")
    (none,) = write_additions(compare([noise, net], "pooled", resamples=100))
    assert none.startswith("It is not shown that the records add anything to the image (AUC ")
    assert write_additions(compare([net, twin], "pooled", resamples=100)) == []


def test_scores_of_networks_that_know_their_training_images_by_heart_gain_nothing_from_records_of_noise() -> None:
    found = []
    for seed in range(6):
        generator = np.random.default_rng(seed)
        labels = np.arange(90) % 2
        pixels = generator.standard_normal((90, 60))
        fold_list = make_fold_list(labels, [(float(v), "F") for v in generator.standard_normal(90)])
        scores = []
        for fold in range(3):
            train = [int(item["id"][-5:]) for item in fold_list.parts(fold)["train"]]
            scores.append(LogisticRegression(C=100).fit(pixels[train], labels[train]).decision_function(pixels))
            assert ((scores[-1][train] > 0) == labels[train]).all()
        found.append(auc(predict_folds(fold_list, NAMES, "logistic", predict_with(fold_list, scores))))
    assert abs(np.mean(found) - 0.5) < 0.06


def test_a_held_out_label_does_not_reach_the_classifier_of_its_fold() -> None:
    labels, _, records = draw()
    fold_list = make_fold_list(labels, records)
    before = predict_folds(fold_list, NAMES)
    mixed = [
        item.model_copy(update={"label": 1 - item.label}) if item.fold == 0 else item for item in fold_list.training
    ]
    after = predict_folds(fold_list.model_copy(update={"training": tuple(mixed)}), NAMES)
    first = before[0].select("test"), after[0].select("test")
    np.testing.assert_array_equal(first[0].probabilities, first[1].probabilities)
    assert not np.array_equal(before[1].probabilities, after[1].probabilities)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_missing_values_and_categories_that_training_does_not_have_are_taken(classifier: Classifier) -> None:
    labels, _, records = draw(60)
    records[0], records[1] = (None, None), (None, "X")
    found = predict_folds(make_fold_list(labels, [(None, sex) for _, sex in records]), NAMES, classifier)
    assert all(np.isfinite(fold.probabilities).all() for fold in found.values())


def test_several_labels_and_classes_have_scores() -> None:
    names = {"ids": ["a", "b"], "parts": ["test", "test"]}
    several = Predictions([[0.5, 0.25], [0.75, 0.5]], [[0, 1], [1, 0]], "multi-label", **names)
    np.testing.assert_allclose(compute_scores(several), np.log([[1, 1 / 3], [3, 1]]), atol=1e-12)
    three = Predictions([[0.5, 0.25, 0.25], [0, 0, 1]], [0, 2], "multi-class", **names)
    assert np.isfinite(compute_scores(three)).all()
    np.testing.assert_allclose(compute_scores(three).sum(axis=1), 0, atol=1e-12)


def test_what_is_not_there_is_named() -> None:
    labels, image, records = draw(60)
    with pytest.raises(UserError, match=r"folds\.json: holds no clinical records; declare them in the card"):
        predict_folds(make_fold_list(labels, [None] * 60, records_too=False), NAMES)  # type: ignore[list-item]
    fold_list = make_fold_list(labels, records)
    images = predict_with(fold_list, image)
    with pytest.raises(UserError, match="late fusion: only fold 1 has finished"):
        predict_folds(fold_list, NAMES, images={1: images[1]})
    with pytest.raises(
        UserError, match=r"fold 1: holds other images than the cross-validation has there \(40 differ, such as image-"
    ):
        predict_folds(fold_list, NAMES, images=dict.fromkeys(range(3), images[0]))


def test_folds_that_have_not_finished_train_no_classifier() -> None:
    labels, image, records = draw(120)
    fold_list = make_fold_list(labels, records)
    images = predict_with(fold_list, image)
    found = predict_folds(fold_list, NAMES, images={0: images[0], 2: images[2]})
    assert sorted(found) == [0, 2]
    other = [item.model_copy(update={"label": 0}) if item.fold == 1 else item for item in fold_list.training]
    changed = fold_list.model_copy(update={"training": tuple(other)})
    again = predict_folds(changed, NAMES, images={0: images[0], 2: images[2]})
    np.testing.assert_array_equal(found[0].select("test").probabilities, again[0].select("test").probabilities)

from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.training.probes import METHODS, NEIGHBORS, STRENGTHS, fit_probe


def draw(count: int, num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of which the first tell the class, and the classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % num_classes
    features = generator.normal(size=(count, 6))
    features[:, :num_classes] += 4 * np.eye(num_classes)[labels]
    return features, labels


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("num_classes", [2, 4])
def test_a_probe_learns_what_the_features_tell(method, num_classes):
    probe = fit_probe(method, *draw(60, num_classes), num_classes)
    features, labels = draw(40, num_classes, seed=1)
    chances = probe.predict(features)
    np.testing.assert_allclose(chances.sum(1), 1)
    assert (chances.argmax(1) == labels).mean() > 0.9
    assert set(probe.chosen) <= set(STRENGTHS if method == "linear" else NEIGHBORS)


@pytest.mark.parametrize("method", METHODS)
def test_each_label_of_several_has_a_classifier_and_one_that_never_varies_its_own_chance(method):
    features, classes = draw(60, 2)
    labels = np.stack([classes, 1 - classes, np.zeros_like(classes)], axis=1)
    probe = fit_probe(method, features, labels, 3)
    chances = probe.predict(features)
    assert chances.shape == (60, 3)
    assert ((chances[:, :2] > 0.5) == labels[:, :2].astype(bool)).mean() > 0.9
    assert (chances[:, 2] == 0).all()
    assert probe.chosen[2] is None


@pytest.mark.parametrize("method", METHODS)
def test_a_class_without_training_images_gets_no_chance(method):
    features, labels = draw(30, 2)
    chances = fit_probe(method, features, labels * 2, 4).predict(features)
    assert chances.shape == (30, 4)
    assert (chances[:, [1, 3]] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_class_with_one_image_leaves_nothing_to_choose_by(method):
    features, _ = draw(20, 2)
    probe = fit_probe(method, features[:12], np.where(np.arange(12) == 3, 1, 0), 2)
    assert probe.chosen in ((1.0,), (5.0,))
    assert probe.predict(features).shape == (20, 2)


@pytest.mark.parametrize("groups", [None, [f"p{row // 4}" for row in range(41)]])
def test_a_rare_class_does_not_keep_the_strength_from_being_chosen(groups):
    features = np.random.default_rng(0).normal(size=(41, 20))  # tell nothing, so that the strongest penalty is best
    labels = np.append(np.arange(40) % 2, 2)
    assert fit_probe("linear", features, labels, 3, groups).chosen[0] < 0.01


def test_inner_folds_whose_training_images_are_of_one_class_are_left_out():
    labels = np.array([0] * 20 + [1] * 20)
    groups = ["a"] * 20 + ["a"] * 19 + ["b"]  # without the first group one class is left
    features, _ = draw(40, 2)
    assert fit_probe("linear", features, labels, 2, groups).chosen == (1.0,)
    assert fit_probe("linear", features, labels, 2, ["a"] * 19 + ["c"] + groups[20:]).predict(features).shape == (40, 2)


def test_the_strength_is_chosen_with_patients_kept_together():
    generator = np.random.default_rng(0)
    patients = np.repeat(np.arange(24), 5)
    labels = patients % 2
    of_patients = generator.normal(size=(24, 20))  # tells the patient, and nothing of the class
    features = of_patients[patients] + 0.01 * generator.normal(size=(120, 20))
    apart = fit_probe("linear", features, labels, 2, groups=[f"p{n}" for n in patients])
    mixed = fit_probe("linear", features, labels, 2)
    assert apart.chosen[0] < mixed.chosen[0]

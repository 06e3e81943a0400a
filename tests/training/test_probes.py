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


def test_the_strength_is_chosen_with_patients_kept_together():
    generator = np.random.default_rng(0)
    patients = np.repeat(np.arange(24), 5)
    labels = patients % 2
    of_patients = generator.normal(size=(24, 20))  # tells the patient, and nothing of the class
    features = of_patients[patients] + 0.01 * generator.normal(size=(120, 20))
    apart = fit_probe("linear", features, labels, 2, groups=[f"p{n}" for n in patients])
    mixed = fit_probe("linear", features, labels, 2)
    assert apart.chosen[0] < mixed.chosen[0]

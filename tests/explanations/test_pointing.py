"""Counts of the pointing game, and what the page says of them."""

from __future__ import annotations

import numpy as np

from medmamba_monai.explanations.pointing import Pointing, make_section

HITS = {"edges": np.array([0.0, 0, 1, 0]), "grad_cam": np.array([1.0, 0, 1, 1])}
COVERED = np.array([0.02, 0.04, 0.06, 0.08])


def test_hits_are_counted_of_all_images_and_of_those_recognized() -> None:
    counts = Pointing(COVERED, np.array([True, True, False, True])).describe(HITS)
    assert counts == {
        "images": 4,
        "chance": 0.05,
        "recognized": 3,
        "hits": {"edges": 1, "grad_cam": 3},
        "hits_of_recognized": {"edges": 0, "grad_cam": 2},
    }
    section = make_section(counts)
    assert section.tables[0].header == ["method", "hits of 4", "of the 3 recognized"]
    assert section.tables[0].rows == [["Grad-CAM", "3", "2"], ["Edges (floor)", "1", "0"]]
    assert "5.0 % of an image" in section.paragraphs[0]
    assert "the true class of 3 of these 4 images" in section.paragraphs[0]


def test_without_true_classes_nothing_is_said_of_them() -> None:
    section = make_section(Pointing(COVERED, None).describe(HITS))
    assert section.tables[0].header == ["method", "hits of 4"]
    assert "true class" not in section.paragraphs[0]

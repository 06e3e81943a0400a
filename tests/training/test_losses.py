from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.training import FocalLoss, MultiLabelFocalLoss, compute_class_weights, compute_positive_weights

LABELS = [0, 0, 0, 2, 1, 2, 0, 0]
SEVERAL = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]])


def items(labels: Any) -> list[dict[str, Any]]:
    return [{"label": label} for label in labels]


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) * 3


def test_class_weights_are_those_of_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(compute_class_weights(items(LABELS), 3), expected, rtol=1e-6)


def test_positive_weights_are_negatives_by_positives():
    assert compute_positive_weights(items(SEVERAL)).tolist() == pytest.approx([1 / 3, 3, 3])


def test_a_class_without_images_has_no_weight():
    with pytest.raises(UserError, match="no image of the training part is of label 3"):
        compute_class_weights(items(LABELS), 4)
    with pytest.raises(UserError, match="no image of the training part has label 1"):
        compute_positive_weights(items(SEVERAL[[0, 2]]))
    with pytest.raises(UserError, match="no image of the training part lacks label 0"):
        compute_positive_weights(items(np.array([[1, 0], [1, 1]])))


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_with_gamma_0_it_is_the_cross_entropy(logits, weight, label_smoothing):
    labels = torch.tensor(LABELS)
    expected = nn.CrossEntropyLoss(weight=weight, label_smoothing=label_smoothing)(logits, labels)
    torch.testing.assert_close(FocalLoss(0, weight, label_smoothing)(logits, labels), expected)


def test_the_focal_loss_is_that_of_the_paper(logits):
    rows = logits.double().exp().numpy()
    true = (rows / rows.sum(1, keepdims=True))[np.arange(8), LABELS]
    expected = float(np.mean(-((1 - true) ** 2) * np.log(true)))
    assert FocalLoss()(logits, torch.tensor(LABELS)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("pos_weight", [None, torch.tensor([0.5, 2.0, 1.0])])
def test_with_gamma_0_it_is_the_binary_cross_entropy(logits, pos_weight):
    labels = torch.tensor(SEVERAL).float()
    expected = nn.BCEWithLogitsLoss(pos_weight=pos_weight)(logits[:4], labels)
    torch.testing.assert_close(MultiLabelFocalLoss(0, pos_weight)(logits[:4], labels), expected)


def test_the_multi_label_focal_loss_is_that_of_the_paper(logits):
    positive = 1 / (1 + np.exp(-logits[:4].double().numpy()))
    true = np.where(SEVERAL == 1, positive, 1 - positive)
    expected = float(np.mean(-((1 - true) ** 2) * np.log(true)))
    loss = MultiLabelFocalLoss()(logits[:4], torch.tensor(SEVERAL).float())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [FocalLoss, MultiLabelFocalLoss])
def test_gamma_is_no_less_than_0(loss):
    with pytest.raises(UserError, match="--loss#gamma -1: give a number from 0"):
        loss(gamma=-1)

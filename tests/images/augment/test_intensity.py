from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast, ScaleIntensity, ShiftIntensity

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import RandomAdjustContrastd, RandomScaleIntensityd, RandomShiftIntensityd

CASES = [
    (RandomAdjustContrastd(0.6, (0.8, 1.25)), (0.8, 1.25), AdjustContrast),
    (RandomScaleIntensityd(0.3, 0.6), (-0.3, 0.3), lambda factor: ScaleIntensity(None, None, factor)),
    (RandomShiftIntensityd((0.1, 0.4), 0.6), (0.1, 0.4), ShiftIntensity),
]


@pytest.mark.parametrize(("step", "ends", "monai"), CASES)
@pytest.mark.parametrize("shape", [(7, 5), (4, 5, 6)])
def test_the_same_parameters_give_the_pixels_of_monai(step: Any, ends: Any, monai: Any, shape: Any) -> None:
    before = torch.rand((8, 3, *shape), generator=torch.Generator().manual_seed(0)) * 2 - 1
    before[0] = 0.5  # of one value
    kept, indices = before.clone(), np.arange(8)
    changed, numbers = step.draw(indices)
    values = ends[0] + (ends[1] - ends[0]) * numbers[:, 0]
    assert 0 < changed.sum() < 8
    after = step.apply(before, indices)
    for image, found, applied, value in zip(before, after, changed, values, strict=True):
        np.testing.assert_allclose(found, monai(float(value))(image) if applied else image, rtol=0, atol=2e-6)
    assert torch.equal(before, kept)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandomAdjustContrastd(0.5, (0, 2)), r"gamma must be above 0, found \(0, 2\)"),
        (lambda: RandomScaleIntensityd("much"), "RandomScaleIntensityd: factors: give a number or a pair"),
        (lambda: RandomShiftIntensityd((1, 2, 3)), "RandomShiftIntensityd: offsets: give a number or a pair"),
    ],
)
def test_what_is_no_option_is_refused(make: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        make()

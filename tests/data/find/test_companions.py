from __future__ import annotations

import pytest

from medmamba_monai.data.find.companions import find_companions


@pytest.mark.parametrize(
    ("image", "companion"),
    [
        ("benign/benign (1).png", "benign/benign (1)_mask.png"),
        ("benign/benign (1).png", "benign/benign (1)_mask_1.png"),
        ("c.png", "c.mask.png"),
        ("7.png", "mask_7.png"),
        ("COVID/images/1.png", "COVID/masks/1.png"),
        ("scan.1.nii.gz", "scan.1_seg.nii.gz"),
        ("x.jpg", "X-GroundTruth.png"),
    ],
)
def test_masks_of_other_images_are_seen(image: str, companion: str) -> None:
    assert find_companions([companion, image]) == [(companion, image)]


@pytest.mark.parametrize(
    "names",
    [
        ("p01.png", "p01_2.png"),
        ("a/1.png", "b/1.png"),
        ("masks/1.png", "masks/2.png"),
        ("mask_1.png", "mask_2.png"),
        ("x.png", "x_left.png"),
        ("x.png", "xmask.png"),
    ],
)
def test_images_that_stand_alone_are_no_companions(names: tuple[str, ...]) -> None:
    assert find_companions(names) == []

"""Occlusion, MONAI's: what a class's logit loses where a part of the image is hidden."""

from __future__ import annotations

import torch
from monai.visualize import OcclusionSensitivity
from torch import Tensor

from medmamba_monai.explain.on_copy import MethodOnCopy

SHARE = {2: 8, 3: 4}
"""What part of an edge a hidden square (cube) has, 1 by this, by the number of axes."""
OVERLAP = 0.5
BATCH = 16


class Occlusion(MethodOnCopy):
    """The logit of an image minus that with a square (cube) hidden, which takes the mean value of the image.

    Squares overlap by one half; where several hid a pixel, it has the mean of what they cost.
    """

    def draw(self, images: Tensor, class_index: int) -> Tensor:
        """Draw maps of images for a class, see `MethodOnCopy`."""
        shape = images.shape[2:]
        sensitivity = OcclusionSensitivity(
            self.network,
            mask_size=[max(1, edge // SHARE[len(shape)]) for edge in shape],
            n_batch=BATCH,
            verbose=False,
            mode="mean_img",
            overlap=OVERLAP,
            activate=False,
        )
        with torch.no_grad():
            whole = self.network(images)[:, class_index]
        hidden = torch.stack([torch.as_tensor(sensitivity(image[None])[0])[0, class_index] for image in images])
        return whole.view(-1, *(1 for _ in shape)) - hidden

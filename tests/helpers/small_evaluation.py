"""An evaluation of a few samples by MONAI's evaluator, whose network passes its input on as logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd

CLASSES = ["cat", "dog"]
SEVERAL = ["Effusion", "Pleural thickening", "Hernia"]


def samples(count: int = 11, labeled: bool = True) -> list[dict[str, Any]]:
    """Logits of two classes; without labels each has a file whose name tells a patient's."""
    vectors = torch.randn(count, 2, generator=torch.Generator().manual_seed(1))
    items = [{"id": f"image-{n}", "image": vector} for n, vector in enumerate(vectors)]
    if labeled:
        return [{**item, "label": n % 2, "part": "test" if n > 5 else "validation"} for n, item in enumerate(items)]
    return [{**item, "file": f"Doe, Jane/{n}.png"} for n, item in enumerate(items)]


def several_labels() -> list[dict[str, Any]]:
    """Thirteen images, so that the last batch is a single one, each with three labels as the fold list gives them."""
    generator = np.random.default_rng(0)
    labels = (generator.random((13, 3)) < 0.5).astype(np.int64)
    logits = torch.tensor(generator.normal(-0.5, size=(13, 3)), dtype=torch.float32)
    parts = ["validation"] * 6 + ["test"] * 7
    return [
        {"id": f"image-{n}", "image": logits[n], "label": labels[n], "part": part, "file": f"{n}.png"}
        for n, part in enumerate(parts)
    ]


def evaluate(data: list[dict[str, Any]], handler: Any, activation: str = "softmax", workers: int = 0) -> None:
    """Run MONAI's evaluator with a network that passes its input on as logits."""
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(data, batch_size=4, num_workers=workers),
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        postprocessing=Activationsd("pred", **{activation: True}),
        val_handlers=[handler],
    ).run()

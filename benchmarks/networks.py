"""The networks that are compared, and the steps that are timed. All begin with random weights; nothing is downloaded.

==========================  ========================================================================================
name                        network
==========================  ========================================================================================
``medmamba``                MedMamba-T; ``medmamba:NAME`` scans with the backend NAME (numba, triton, mamba_ssm...)
``medmamba-loop``           MedMamba-T with the scan as a Python loop over tokens, as ``medmamba:reference``
``medmamba-checkpointed``   MedMamba-T that recomputes its scan branches in the backward pass
``medmamba-folded``         MedMamba-T with its batch norms folded into the convolutions, for inference only
``resnet50``                that of :mod:`medmamba_monai.networks`, in channels-last memory format
``swin``                    Swin-T, that of :mod:`medmamba_monai.networks`
``vit``                     ViT-S/16 of transformers, its attention computed by PyTorch's fused function
==========================  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from benchmarks.accuracy import scan
from medmamba_monai import medmamba_tiny, networks
from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.baselines import EXTRA, Classifier
from medmamba_monai.selective_scan import check_backend

NUM_CLASSES = 6
TITLES = {
    "medmamba": "MedMamba-T",
    "medmamba-loop": "MedMamba-T, loop",
    "medmamba-checkpointed": "MedMamba-T, checkpointed",
    "medmamba-folded": "MedMamba-T, folded",
    "resnet50": "ResNet-50",
    "swin": "Swin-T",
    "vit": "ViT-S/16",
}
OF_PACKAGE = {"resnet50": "resnet50", "swin": "swin_t"}
"""Networks that the package builds, by their names there."""
OF_TRANSFORMERS = ("swin", "vit")


class Job(NamedTuple):
    """What is run: fields that travel to another process.

    Attributes:
        network: a name of the table above.
        image_size: edge of the square images in pixels.
        batch: images in a step.
        training: whether a step trains; else it is a forward pass in inference mode.
        bfloat16: whether it runs under bfloat16 autocast.
        device: where.
        recording: whether a forward pass records what a backward pass would need, instead of running in inference mode.
        compiled: whether ``torch.compile`` compiles the network.
    """

    network: str
    image_size: int = 224
    batch: int = 1
    training: bool = False
    bfloat16: bool = False
    device: str = "cpu"
    recording: bool = False
    compiled: bool = False

    @property
    def title(self) -> str:
        """Name for tables."""
        return f"{title_of(self.network)}{', compiled' * self.compiled}{', bfloat16' * self.bfloat16}"

    @property
    def task(self) -> str:
        """What is done, whatever the network: ``training, batch 64, bfloat16``."""
        kind = "training" if self.training else "inference"
        compiled = ", compiled" if self.compiled else ""
        return f"{kind}, batch {self.batch}, {'bfloat16' if self.bfloat16 else 'float32'}{compiled}"


def title_of(name: str) -> str:
    """Return a network's name for tables."""
    base, _, backend = name.partition(":")
    return f"{TITLES[base]}, {backend}" if backend else TITLES[base]


def check_name(name: str) -> str:
    """Return ``name`` if it is one of a network.

    Raises:
        UserError: if it is not.
    """
    base, _, backend = name.partition(":")
    if base not in TITLES or (backend and base != "medmamba"):
        raise UserError(f"network {name!r} does not exist: choose among {', '.join(TITLES)} and medmamba:BACKEND")
    if backend:
        check_backend(backend)
    return name


def what_is_missing(name: str, image_size: int) -> str | None:
    """Say why a network cannot be built here, or None if it can."""
    try:
        with torch.device("meta"):
            build_network(name, image_size)
    except UserError as error:
        return f"{title_of(name)} is left out: {error}"
    return None


def available(names: Sequence[str], image_size: int) -> list[str]:
    """Keep the networks that can be built, and say why others cannot.

    Raises:
        UserError: a name is none of a network.
    """
    reasons = {name: what_is_missing(check_name(name), image_size) for name in names}
    for reason in filter(None, reasons.values()):
        print(reason)
    return [name for name, reason in reasons.items() if reason is None]


def build_network(name: str, image_size: int = 224, num_classes: int = NUM_CLASSES) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: one of the table above.
        image_size: edge of its images; only ``swin`` and ``vit`` depend on it.
        num_classes: logits.

    Raises:
        UserError: the network does not exist or cannot be built here.
    """
    base, _, backend = check_name(name).partition(":")
    if base in OF_PACKAGE:
        return networks.build_network(OF_PACKAGE[base], 2, 3, num_classes, image_size)
    if base == "vit":
        return _vit(image_size, num_classes)
    if base == "medmamba-folded":
        return networks.fold_batch_norm(medmamba_tiny(num_classes=num_classes).eval())
    backend = "reference" if base == "medmamba-loop" else backend or "auto"
    recomputes = base == "medmamba-checkpointed"
    return medmamba_tiny(num_classes=num_classes, scan_backend=backend, use_checkpoint=recomputes)


def build_step(job: Job) -> Callable[[], None]:
    """Build a network and return its step, always on the same images."""
    torch.manual_seed(0)
    return step_of(build_network(job.network, job.image_size).to(job.device), job)


def step_of(network: nn.Module, job: Job) -> Callable[[], None]:
    """Return the step of a network.

    A training step is forward, cross-entropy, backward and the update of plain gradient descent, which has no state:
    with Adam a network with more parameters would look worse in time and memory, and that is not the point here.
    """
    images = torch.randn(job.batch, 3, job.image_size, job.image_size, device=job.device)
    if job.network == "resnet50":
        images = images.contiguous(memory_format=torch.channels_last)
    network.train(job.training)
    if job.compiled:
        network.compile()
    kind = torch.device(job.device).type
    cast = (lambda: torch.autocast(kind, torch.bfloat16)) if job.bfloat16 else nullcontext

    def infer() -> None:
        with torch.inference_mode(not job.recording), cast():
            network(images)

    if not job.training:
        return infer
    labels = torch.arange(job.batch, device=job.device) % NUM_CLASSES
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        with cast():
            loss = functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()

    return train


def load_libraries(job: Job) -> None:
    """Load and compile what a step of the job needs beside its network: convolutions, products and the scan."""
    functional.conv2d(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3))
    torch.zeros(8, 8) @ torch.zeros(8, 8)
    if job.network.startswith("medmamba"):
        shapes = [(1, 4, 1), (1, 4, 4, 3), (4, 1, 1), (4, 1), (4, 1, 1), (4, 1)]
        inputs = [torch.full(shape, -1.0, requires_grad=job.training) for shape in shapes]
        y = scan(inputs, [2, 2])
        if job.training:
            y.sum().backward()
    elif job.network in OF_TRANSFORMERS:
        from transformers import SwinForImageClassification, ViTForImageClassification  # noqa: F401


def _vit(image_size: int, num_classes: int) -> nn.Module:
    if find_spec("transformers") is None:
        raise UserError(f"network 'vit' needs transformers, which is missing: pip install '{EXTRA}'")
    from transformers import ViTConfig, ViTForImageClassification

    options: dict[str, Any] = {
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "image_size": image_size,
        "patch_size": 16,
        "num_labels": num_classes,
        "attn_implementation": "sdpa",
    }
    return Classifier(ViTForImageClassification(ViTConfig(**options)), 2, 3, smallest_size=16, fixed_size=image_size)

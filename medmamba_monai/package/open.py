"""A package that is open: checked, its networks on a device, ready for images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.transforms import Compose
from torch import Tensor, nn

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.batches.dataset import TransformedDataset
from medmamba_monai.evaluation import ConformalPredictor
from medmamba_monai.evaluation.answers.prediction import Prediction
from medmamba_monai.evaluation.scores import FloatArray
from medmamba_monai.evaluation.statistics.unlike import Likeness, Vectors, compute_unlike
from medmamba_monai.images import ConvertImaged, ReadImage, ResizeImage
from medmamba_monai.networks import build_network
from medmamba_monai.networks.head_features import compute_with_features, find_head
from medmamba_monai.networks.tensor_files import read_safetensors_file
from medmamba_monai.package.likeness_file import read_likeness
from medmamba_monai.package.manifest import MANIFEST, Manifest, compute_digest, find_checked, read_manifest
from medmamba_monai.package.pixels import measure_pixels

Image = str | os.PathLike[str] | np.ndarray | Tensor | Sequence[Path]
"""A file, the files of one DICOM series, or an array as a file of the dataset holds it: RGB with channels last, gray
without an axis."""


class Batch(NamedTuple):
    """What the network of each fold makes of B images: probabilities (B, C) and vectors, see `Likeness`."""

    probabilities: dict[int, np.ndarray]
    vectors: dict[int, Vectors]


class Package:
    """The networks of a package.

    Args:
        manifest: what they are.
        card: of the dataset.
        networks: by the number of the fold, in evaluation mode.
        device: where they are.
        digest: SHA-256 of ``package.json``, which holds that of every other file.
        likeness: what training images are like for each network; empty where the package does not know.

    Example::

        package = Package.open("packages/phantom")
        found = package.predict(["first.png", "second.png"])
        found.predicted_names, found.probabilities, found.predict_sets(level=0.9)
    """

    def __init__(
        self,
        manifest: Manifest,
        card: DatasetCard,
        networks: dict[int, nn.Module],
        device: torch.device,
        digest: str,
        likeness: Mapping[int, Likeness],
    ) -> None:
        self.manifest = manifest
        self.card = card
        self.networks = networks
        self.device = device
        self.digest = digest
        self.likeness = likeness
        description = manifest.network
        self.read_unscaled = ReadImage(**manifest.reading)
        self.resize = ResizeImage([description.image_size] * description.spatial_dims)
        self._convert = Compose([ConvertImaged("image", description.in_channels)])

    @classmethod
    def open(cls, folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> Package:
        """Check a package and load its networks.

        Args:
            folder: of the package.
            device: ``cpu``, ``cuda``, ...; ``auto`` is a GPU where there is one.

        Raises:
            UserError: the package is of another format version, a file is missing or damaged, weights do not fit, or
                there is no such device.
        """
        root = Path(folder)
        manifest = read_manifest(root)
        where = resolve_device(device)
        card = load_card(find_checked(root, manifest.card))
        networks = {m.fold: _load(manifest, find_checked(root, m.weights)).to(where) for m in manifest.members}
        likeness = read_likeness(find_checked(root, manifest.unlike.file)) if manifest.unlike else {}
        return cls(manifest, card, networks, where, compute_digest(root / MANIFEST), likeness)

    def predict(self, images: Sequence[Image], batch_size: int | None = None) -> Prediction:
        """Judge images.

        On a CPU the probabilities of a fold are those of the cross-validation bit for bit where the same images come in
        the same batches, with as many threads; else they differ by the rounding of float32.

        Args:
            images: files and arrays.
            batch_size: by default that of the evaluation.

        Raises:
            UserError: there is no image, or one cannot be read; names the file.
        """
        if not len(images):
            raise UserError("images: is empty; give a list of files or arrays")
        return self.predict_pixels((self.read(image) for image in images), batch_size)

    def read(self, image: Image) -> Tensor:
        """Read an image and scale it to the network's size: ``(channels, *spatial)``, 0 to 255.

        Raises:
            UserError: it cannot be read.
        """
        return self.resize(self.read_unscaled(image.detach().cpu().numpy() if isinstance(image, Tensor) else image))

    def predict_pixels(self, pixels: Iterator[Tensor], batch_size: int | None = None) -> Prediction:
        """Judge what `read` returned, at least one image, a batch at a time."""
        size = self.manifest.batch_size if batch_size is None else batch_size
        if size < 1:
            raise UserError(f"batch_size is {size}: give a whole number from 1")
        batches = [self.judge(chosen, bool(self.likeness)) for chosen in iter(lambda: tuple(islice(pixels, size)), ())]
        folds = {fold: np.concatenate([batch.probabilities[fold] for batch in batches]) for fold in self.networks}
        unlike = [compute_unlike(self.likeness, batch.vectors) for batch in batches] if self.likeness else None
        return self._describe(folds, None if unlike is None else np.concatenate(unlike))

    def convert(self, pixels: Sequence[Tensor]) -> Tensor:
        """Return what `read` returned of B images as the networks take it: ``(B, channels, *spatial)``, float32."""
        dataset = TransformedDataset([{"image": image} for image in pixels], self._convert)
        images: Tensor = dataset.finish(dataset.load(range(len(pixels))), self.device)["image"]
        return images

    def judge(self, pixels: Sequence[Tensor], with_vectors: bool) -> Batch:
        """Compute probabilities, and vectors where they are wanted, of what `read` returned, as one batch."""
        images = self.convert(pixels)
        of_pixels = measure_pixels(torch.stack(list(pixels))) if with_vectors else None
        probabilities: dict[int, np.ndarray] = {}
        vectors: dict[int, Vectors] = {}
        with torch.inference_mode():
            for fold, network in self.networks.items():
                if of_pixels is None:
                    logits = network(images)
                else:
                    head = find_head(network, self.manifest.network.num_classes)
                    logits, features = compute_with_features(network, head, images)
                    vectors[fold] = {"features": features.double().cpu().numpy(), "pixels": of_pixels}
                probabilities[fold] = self._activate(logits)
        return Batch(probabilities, vectors)

    def _activate(self, logits: Tensor) -> np.ndarray:
        """Return probabilities, of one image at a time as in the evaluation: a batch's could differ in the last bit."""
        rows = logits.float()
        if self.manifest.activation == "softmax":
            return torch.stack([row.softmax(0) for row in rows]).double().cpu().numpy()
        return torch.stack([row.sigmoid() for row in rows]).double().cpu().numpy()

    def _describe(self, folds: dict[int, np.ndarray], unlike: FloatArray | None) -> Prediction:
        members = self.manifest.members
        methods = members[0].conformal
        conformal: dict[str, ConformalPredictor] = {
            method: ConformalPredictor(
                method,
                {m.fold: np.array(m.conformal[method].strangeness) for m in members},
                {m.fold: np.array(m.conformal[method].labels) for m in members},
            )
            for method in methods
        }
        temperatures = {member.fold: member.temperature for member in members}
        return Prediction(folds, self.manifest.class_names, self.manifest.task, temperatures, conformal, unlike)


def _load(manifest: Manifest, path: Path) -> nn.Module:
    description = manifest.network
    network = build_network(**description.model_dump())
    try:
        state, _ = read_safetensors_file(path)
    except UserError as error:
        raise UserError(f"{path} cannot be read as weights: {error}") from error
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if own != found:
        wrong = sorted(own.keys() ^ found.keys()) or [name for name in own if own[name] != found[name]]
        raise UserError(
            f"{path} does not fit the network {description.name!r} of the package; the first weight that is missing, "
            f"extra or of another shape is {wrong[0]}: write the package again"
        )
    network.load_state_dict(state)
    return network.eval()

"""A package that is open: checked, its networks on a device, ready for images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

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
from medmamba_monai.images import ConvertImaged, ReadImage, ResizeImage
from medmamba_monai.networks import build_network
from medmamba_monai.networks.tensor_files import read_safetensors_file
from medmamba_monai.package.manifest import MANIFEST, Manifest, compute_digest, find_checked, read_manifest

Image = str | os.PathLike[str] | np.ndarray | Tensor | Sequence[Path]
"""A file, the files of one DICOM series, or an array as a file of the dataset holds it: RGB with channels last, gray
without an axis."""


class Package:
    """The networks of a package.

    Args:
        manifest: what they are.
        card: of the dataset.
        networks: by the number of the fold, in evaluation mode.
        device: where they are.
        digest: SHA-256 of ``package.json``, which holds that of every other file.

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
    ) -> None:
        self.manifest = manifest
        self.card = card
        self.networks = networks
        self.device = device
        self.digest = digest
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
        return cls(manifest, card, networks, where, compute_digest(root / MANIFEST))

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
        batches = [self._predict_batch(chosen) for chosen in iter(lambda: tuple(islice(pixels, size)), ())]
        folds = {fold: np.concatenate([batch[fold] for batch in batches]) for fold in self.networks}
        return self._describe(folds)

    def convert(self, pixels: Sequence[Tensor]) -> Tensor:
        """Return what `read` returned of B images as the networks take it: (B, channels, *spatial), float32."""
        dataset = TransformedDataset([{"image": image} for image in pixels], self._convert)
        images: Tensor = dataset.finish(dataset.load(range(len(pixels))), self.device)["image"]
        return images

    def _predict_batch(self, pixels: Sequence[Tensor]) -> dict[int, np.ndarray]:
        images = self.convert(pixels)
        with torch.inference_mode():
            return {fold: self._activate(network(images)) for fold, network in self.networks.items()}

    def _activate(self, logits: Tensor) -> np.ndarray:
        """Return probabilities, of one image at a time as in the evaluation: a batch's could differ in the last bit."""
        rows = logits.float()
        if self.manifest.activation == "softmax":
            return torch.stack([row.softmax(0) for row in rows]).double().cpu().numpy()
        return torch.stack([row.sigmoid() for row in rows]).double().cpu().numpy()

    def _describe(self, folds: dict[int, np.ndarray]) -> Prediction:
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
        return Prediction(folds, self.manifest.class_names, self.manifest.task, temperatures, conformal)


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

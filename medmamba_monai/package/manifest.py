"""What stands in ``package.json``: all that is needed to predict with the weights beside it, and how good they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from medmamba_monai.cards.parts import Task
from medmamba_monai.core.documents import check_relative, join_inside, read_document
from medmamba_monai.core.errors import UserError

FORMAT_VERSION = 1
"""To be raised when a package that this code writes can no longer be read by the code before it."""

MANIFEST = "package.json"

RelativeFile = Annotated[str, AfterValidator(check_relative)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of the manifest; what it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Part):
    """A file of the package, with the SHA-256 of its content."""

    path: RelativeFile
    sha256: Digest


class NetworkDescription(Part):
    """The arguments of `build_network`."""

    name: str
    spatial_dims: Literal[2, 3]
    in_channels: int = Field(gt=0)
    num_classes: int = Field(ge=2)
    image_size: int = Field(gt=0)
    depths: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None


class Known(Part):
    """How strange the true class of each validation image was, ascending, and which class it was."""

    strangeness: tuple[Probability, ...]
    labels: tuple[int, ...]


class Member(Part):
    """The network of one fold, and what its own validation images say of it."""

    fold: int = Field(ge=0)
    weights: File
    temperature: float = Field(gt=0)
    validation_images: int = Field(gt=0)
    conformal: dict[Literal["LAC", "APS"], Known] = Field(
        default_factory=dict, description="by method; empty of a multi-label task"
    )


class UnlikeFile(Part):
    """What is needed to say how unlike the training images an image is: figures of all of them, no image's own."""

    file: File
    training_images: int = Field(gt=0, description="that the means and covariances are of, over all folds")
    validation_images: int = Field(gt=0, description="whose distances are known, over all folds")


class Manifest(Part):
    """Everything but the weights and the card."""

    format_version: int
    folds: Literal["all", "finished", "best", "one"]
    selection: str = Field(description="how the folds in the package were chosen")
    fold_digest: str
    card: File
    network: NetworkDescription
    reading: dict[str, Any] = Field(description="arguments of `ReadImage`")
    class_names: tuple[str, ...]
    task: Task
    activation: Literal["softmax", "sigmoid"]
    batch_size: int = Field(gt=0, description="of the evaluation, and by default of predictions")
    precision: str = Field(description="in which the evaluation computed; the package computes in float32")
    members: tuple[Member, ...] = Field(min_length=1)
    unlike: UnlikeFile | None = None
    unlike_missing: str = Field(default="", description="why there is no such file")
    figures: dict[str, Any] = Field(description="what the evaluation found, as in ``review.json``")
    operating_points_from: str = Field(description="on which images the thresholds were chosen")
    versions: dict[str, str] = Field(description="of the packages that wrote this")

    @model_validator(mode="before")
    @classmethod
    def _format_is_known(cls, content: Any) -> Any:
        """Name the version before any field of a format that this code does not know."""
        found = content.get("format_version") if isinstance(content, dict) else None
        if found != FORMAT_VERSION:
            raise ValueError(
                f"is a package of format {found!r}, and this version of medmamba-monai reads format {FORMAT_VERSION}: "
                "install the version that wrote it, or write the package again"
            )
        return content


def read_manifest(folder: Path) -> Manifest:
    """Read the ``package.json`` of a folder.

    Raises:
        UserError: it is missing, of another format version or does not fit; names the file.
    """
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder}: holds no {MANIFEST}; give a folder that medmamba-monai package wrote")
    return read_document(folder / MANIFEST, Manifest)


def compute_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy the whole package again") from error


def find_checked(folder: Path, file: File) -> Path:
    """Return the path of a file of a package whose content is what it was when the package was written.

    Raises:
        UserError: it is missing or was changed.
    """
    path = join_inside(folder, file.path)
    if compute_digest(path) != file.sha256:
        raise UserError(f"{path}: is damaged or was changed, its SHA-256 is not that in {MANIFEST}; copy it again")
    return path

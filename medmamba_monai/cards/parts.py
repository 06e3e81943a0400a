"""The parts of a card: a class label, a data file, how images are read, expected counts, published results."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from medmamba_monai.cards.layouts import RelativePath, Strict
from medmamba_monai.core.config_text import check_config_text, check_prose
from medmamba_monai.images.intensity import Rules

Task = Literal["binary", "multi-class", "ordinal", "multi-label"]
Url = Annotated[str, Field(pattern=r"^https?://\S+$")]
Text = Annotated[str, Field(min_length=1), AfterValidator(check_config_text)]
"""What is written into a bundle's metadata, which is part of its configs."""

Prose = Annotated[str, Field(min_length=1), AfterValidator(check_prose)]
"""What is written into documents alone."""
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Count = Annotated[int, Field(ge=0)]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]

THUMBNAIL = 512
"""Longer edge in pixels of the picture that stands for a slide wherever a person or a check looks at it."""
OVERVIEW = 128
"""Longest edge in voxels of the volume that stands likewise for one that is cut into patches."""


class ClinicalCode(Strict):
    """A code of a terminology, as DICOM holds one: SNOMED CT's "Pneumonia" is SCT, 233604007."""

    scheme: str = Field(
        pattern="^[A-Za-z0-9_.-]{1,16}$", description="DICOM's designator of the terminology: SCT, RADLEX"
    )
    value: str = Field(pattern="^[A-Za-z0-9_.-]{1,16}$", description="the code itself")
    meaning: Text = Field(max_length=64, description="its text in the terminology")


class DicomFacts(Strict):
    """What is known of the dataset's images in DICOM; what a study is answered by."""

    modality: tuple[Annotated[str, Field(pattern="^[A-Z0-9]{1,16}$")], ...] = Field(
        default=(), description="codes of the images that may be judged, such as CR and DX; empty where nobody said"
    )
    finding: ClinicalCode | None = Field(default=None, description="what the classes are about, in reports")


class ClassLabel(Strict):
    """One class; its place in the card's list is the label."""

    name: Text = Field(description="the class as the data spell it: folder name or value in a table")
    display_name: Text = Field(description="the class as a reader should see it")
    aliases: tuple[str, ...] = Field(default=(), description="other spellings in the data, or classes counted as this")
    code: ClinicalCode | None = Field(
        default=None, description="of the class in DICOM reports; without it, one of this project's own"
    )

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that the data may use; differences in case and between blank, ``_`` and ``-`` do not count."""
        return (self.name, *self.aliases)


class DataFile(Strict):
    """A file of the dataset, looked for below the dataset folder and downloaded where a direct link exists."""

    path: RelativePath
    url: Url | None = None
    bytes: Annotated[int, Field(gt=0)] | None = None
    md5: Md5 | None = None
    other_md5: dict[str, Md5] = Field(default_factory=dict, description="of other published versions, by name")
    image_size: Annotated[int, Field(gt=0, description="side of the images in pixels")] | None = None


class Reading(Strict):
    """How stored values become the scale 0 to 255: arguments of `ReadImage`, which says what each does."""

    dtype: Literal["uint8", "float32"] = Field(default="uint8", description="float32 does not round; needs more memory")
    intensity_range: tuple[float, float] | Literal["full", "image"] | None = Field(
        default=None, description="stored values that become 0 and 255; 'full': of their type; 'image': of each image"
    )
    window: tuple[float, float] | None = Field(default=None, description="center and width of a DICOM window")
    clip: bool = Field(default=False, description="whether values outside intensity_range are clipped, not an error")
    background: Annotated[int, Field(ge=0, le=255)] | tuple[int, int, int] | None = Field(
        default=None, description="what transparent images are laid on: gray, or red, green, blue"
    )
    frame: Annotated[int, Field(ge=0)] | Literal["all"] | None = Field(
        default=None, description="which frame of a file with several; 'all': each is an image, of one group"
    )
    fill_non_finite: float | None = Field(default=None, description="what stands for NaN and infinity")
    field_of_view: Millimetres | tuple[Millimetres, Millimetres, Millimetres] | None = Field(
        default=None, description="of volumes: the mm around their center that are shown, along x, y and z; null: all"
    )
    max_pixels: Annotated[int, Field(gt=0)] = 2**26

    @model_validator(mode="after")
    def _rules_make_sense(self) -> Reading:
        arguments = self.arguments()
        Rules(**{key: arguments[key] for key in arguments.keys() & Rules.__dataclass_fields__})
        return self

    def arguments(self) -> dict[str, Any]:
        """Return what differs from the defaults, as plain values."""
        return self.model_dump(mode="json", exclude_defaults=True)


class ExpectedCount(Strict):
    """How many images a split has, and of each class where that is published."""

    images: Count
    classes: dict[str, Count] | None = None


class License(Strict):
    """The terms of the data."""

    name: Prose
    url: Url | None = None


class PublishedResult(Strict):
    """A figure that others printed for this dataset."""

    model: str
    accuracy: Fraction
    auc: Fraction
    source: str

"""From a file to the pixels that a person sees.

Read are PNG, JPEG, TIFF, BMP, GIF, WebP, DICOM, NIfTI, MGH, NRRD, MetaImage and npz.
"""

from medmamba_monai.images.augment.detail import RandomBlurd, RandomErased
from medmamba_monai.images.augment.geometry import RandomAffined, RandomFlipd, RandomRotate90d
from medmamba_monai.images.augment.intensity import RandomAdjustContrastd, RandomScaleIntensityd, RandomShiftIntensityd
from medmamba_monai.images.convert import ConvertImage
from medmamba_monai.images.formats import READABLE_SUFFIXES
from medmamba_monai.images.raw_image import ImageFacts
from medmamba_monai.images.read import ReadImage, describe_image
from medmamba_monai.images.resize import ResizeImage
from medmamba_monai.images.transforms import ConvertImaged, ReadImaged, ResizeImaged, ToUint8d

__all__ = [
    "READABLE_SUFFIXES",
    "ConvertImage",
    "ConvertImaged",
    "ImageFacts",
    "RandomAdjustContrastd",
    "RandomAffined",
    "RandomBlurd",
    "RandomErased",
    "RandomFlipd",
    "RandomRotate90d",
    "RandomScaleIntensityd",
    "RandomShiftIntensityd",
    "ReadImage",
    "ReadImaged",
    "ResizeImage",
    "ResizeImaged",
    "ToUint8d",
    "describe_image",
]

"""Datasets: what they are (cards), who is in which fold, and how an image becomes a checked array."""

from medmamba_monai.data.caching import cached_dataset, check_cache
from medmamba_monai.data.cards import DatasetCard, card_schema, load_card
from medmamba_monai.data.conversion import ConvertImage, ConvertImaged
from medmamba_monai.data.download import DownloadError, download, file_md5
from medmamba_monai.data.fold_list import PREPARE_COMMAND, FoldList, read_fold_list
from medmamba_monai.data.folds import Folds, Sample, join_groups, make_folds
from medmamba_monai.data.locations import default_dataset_dir, default_fold_list, list_images
from medmamba_monai.data.phantom import write_phantom
from medmamba_monai.data.prepare import prepare
from medmamba_monai.data.reading import ReadImage, ReadImaged
from medmamba_monai.data.resizing import ResizeImage, ResizeImaged, ToUint8d

__all__ = [
    "PREPARE_COMMAND",
    "ConvertImage",
    "ConvertImaged",
    "DatasetCard",
    "DownloadError",
    "FoldList",
    "Folds",
    "ReadImage",
    "ReadImaged",
    "ResizeImage",
    "ResizeImaged",
    "Sample",
    "ToUint8d",
    "cached_dataset",
    "check_cache",
    "card_schema",
    "default_dataset_dir",
    "default_fold_list",
    "download",
    "file_md5",
    "join_groups",
    "list_images",
    "load_card",
    "make_folds",
    "prepare",
    "read_fold_list",
    "write_phantom",
]

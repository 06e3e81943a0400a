"""Datasets: what they are (cards), where their images are, who is in which fold, and what is kept between epochs."""

from medmamba_monai.data.caching import cached_dataset, check_cache
from medmamba_monai.data.cards import DatasetCard, card_schema, load_card
from medmamba_monai.data.download import DownloadError, download, file_md5
from medmamba_monai.data.fold_list import PREPARE_COMMAND, FoldList, read_fold_list
from medmamba_monai.data.folds import Folds, Sample, join_groups, make_folds
from medmamba_monai.data.locations import default_dataset_dir, default_fold_list, list_images
from medmamba_monai.data.phantom import write_phantom
from medmamba_monai.data.prepare import prepare

__all__ = [
    "PREPARE_COMMAND",
    "DatasetCard",
    "DownloadError",
    "FoldList",
    "Folds",
    "Sample",
    "cached_dataset",
    "card_schema",
    "check_cache",
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

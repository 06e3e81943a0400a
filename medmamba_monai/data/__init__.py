"""Datasets: where their images are, who is in which fold, and what is kept between epochs."""

from medmamba_monai.cards.card import load_card
from medmamba_monai.data.batches.dataset import TransformedDataset, transformed_dataset
from medmamba_monai.data.batches.loader import BatchLoader
from medmamba_monai.data.cache.dataset import cached_dataset, check_cache
from medmamba_monai.data.find.download import DownloadError, compute_md5, download
from medmamba_monai.data.find.locations import default_dataset_dir, default_fold_list, list_images
from medmamba_monai.data.folds.fold_list import FoldList
from medmamba_monai.data.folds.make import Folds, join_groups, make_folds
from medmamba_monai.data.folds.read import PREPARE_COMMAND, read_fold_list
from medmamba_monai.data.phantom import write_phantom
from medmamba_monai.data.prepare.options import PrepareOptions
from medmamba_monai.data.prepare.prepare import prepare_dataset
from medmamba_monai.data.prepare.read_audit import describe_shortcuts, read_audit, read_audit_beside
from medmamba_monai.data.samples import Sample
from medmamba_monai.data.shortcuts.findings import ShortcutAudit
from medmamba_monai.data.statistics import ReadForStatistics

__all__ = [
    "PREPARE_COMMAND",
    "BatchLoader",
    "DownloadError",
    "FoldList",
    "Folds",
    "PrepareOptions",
    "ReadForStatistics",
    "Sample",
    "ShortcutAudit",
    "TransformedDataset",
    "cached_dataset",
    "check_cache",
    "compute_md5",
    "default_dataset_dir",
    "default_fold_list",
    "describe_shortcuts",
    "download",
    "join_groups",
    "list_images",
    "load_card",
    "make_folds",
    "prepare_dataset",
    "read_audit",
    "read_audit_beside",
    "read_fold_list",
    "transformed_dataset",
    "write_phantom",
]

"""A bundle from Python: it runs the same configs as ``python -m monai.bundle run``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from medmamba_monai.bundle.commands import (
    COMMANDS,
    CROSS_VALIDATE,
    EVALUATE,
    PREPARE,
    PRETRAIN,
    TRAIN,
)
from medmamba_monai.bundle.describe import describe_overrides
from medmamba_monai.bundle.fold_results import EvaluatedFold, TrainedFold
from medmamba_monai.bundle.image_items import Image, make_items
from medmamba_monai.bundle.open_bundle import HELD, Held, OpenBundle
from medmamba_monai.bundle.predict import PredictionCollector
from medmamba_monai.bundle.pretrain import pretrain_folds
from medmamba_monai.bundle.workflow import check_name, contain_workflow, run_workflow
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import FoldList
from medmamba_monai.evaluation import CrossValidationResult, read_predictions


class Bundle(OpenBundle):
    """A bundle whose configs are run from Python.

    Args:
        bundle: a folder that holds a bundle, or the name of a dataset whose card the package carries.
        folder: where the bundle of a dataset's name stands; by default ``bundles/<name>`` in the current folder. It is
            generated there at the first use, if it is not there yet.
        options: options that hold for each call that knows them, such as ``dataset_dir`` or ``image_size``; what a call
            itself is given goes before them. `list_options` lists them. ``overrides`` are for a call alone.

    Attributes:
        options: these options.
        prepared: where `prepare` was told that the data are; holds for all that follows but `infer`.

    Raises:
        UserError: no call has such an option, and names the nearest; or it is not one for all calls.

    Example::

        bundle = Bundle("pneumoniamnist", image_size=64)
        bundle.prepare(dataset_dir="data")
        bundle.train(fold=0, epochs=5)
        bundle.predict("images")
    """

    def prepare(self, **options: Any) -> FoldList:
        """Find or download the data, look at every image and make the folds.

        Its ``dataset_dir`` and ``data_list`` hold for the later calls, too, except for `infer`, which classifies other
        images.

        Args:
            options: see ``list_options("prepare")``.

        Returns:
            The folds.

        Raises:
            UserError: the data are missing, damaged or not what the card says, or an option does not fit.
        """
        folds: FoldList = self._run(PREPARE, options)
        self.prepared |= {name: options[name] for name in ("dataset_dir", "data_list") if name in options}
        return folds

    def train(self, fold: int | None = None, overrides: Mapping[str, Any] | None = None, **options: Any) -> TrainedFold:
        """Train a fold; a training that was stopped goes on after its last epoch.

        Args:
            fold: number of the fold to validate on; by default the bundle's, or 0.
            overrides: what to change in ``train.json``, by id: plain values, and objects such as a loss, a transform
                or a handler, as in ``{"loss": FocalLoss(), "train#more_handlers": [MyHandler()]}``.
            options: see ``list_options("train")``.

        Raises:
            UserError: the data are not prepared, or an option does not fit.
        """
        fold = self.options.get("fold", 0) if fold is None else fold
        with contain_workflow():
            workflow = self._open(TRAIN, {"fold": fold, **options}, overrides)
            if overrides:
                workflow.parser["settings#overrides"] = describe_overrides(overrides)
            run_workflow(workflow)
            trainer, evaluator, given = (
                workflow.parser.get_parsed_content(name) for name in ("train#trainer", "validate#evaluator", "options")
            )
        return TrainedFold(
            fold=fold,
            epochs=trainer.state.epoch,
            best_epoch=evaluator.state.best_metric_epoch,
            best_metric=evaluator.state.best_metric,
            weights=RunFolder(given.ckpt_dir).weights,
            directory=Path(given.output_dir),
        )

    def pretrain(self, fold: int | None = None, overrides: Mapping[str, Any] | None = None, **options: Any) -> Path:
        """Pretrain the network on images without their labels, for a later ``pretrained`` of `train` and its like.

        Args:
            fold: whose training part it learns from; by default the bundle's, or one after the other of all folds.
                With ``images_dir``, a folder of images without labels, there is one pretraining for all folds.
            overrides: what to change in the configs, by id.
            options: see ``list_options("pretrain")``, such as ``method`` and ``epochs``.

        Returns:
            The folder that ``pretrained`` takes.

        Raises:
            UserError: the data are not prepared, there are too few images, or an option does not fit.
        """
        fold = self.options.get("fold") if fold is None else fold
        with contain_workflow():
            return pretrain_folds(partial(self._open, PRETRAIN), fold, options, overrides or {})

    def evaluate(
        self, fold: int | None = None, overrides: Mapping[str, Any] | None = None, **options: Any
    ) -> EvaluatedFold:
        """Evaluate the weights of a fold on what selected them and on what they never saw.

        Args:
            fold: number of the fold; by default the bundle's, or 0.
            overrides: what to change in the configs, by id.
            options: see ``list_options("evaluate")``; network and image size are those of the weights.

        Raises:
            UserError: there are no weights, or an option does not fit.
        """
        fold = self.options.get("fold", 0) if fold is None else fold
        with contain_workflow():
            workflow = self._open(EVALUATE, {"fold": fold, **options}, overrides)
            run_workflow(workflow)
            card, names, given = map(workflow.parser.get_parsed_content, ("card", "class_names", "options"))
        folder = RunFolder(given.output_dir)
        return EvaluatedFold(
            fold=fold,
            metrics=json.loads(folder.metrics.read_text(encoding="utf-8")),
            predictions=read_predictions(folder.predictions, card.task, names),
            directory=folder.path,
        )

    def cross_validate(self, overrides: Mapping[str, Any] | None = None, **options: Any) -> CrossValidationResult:
        """Train and evaluate all folds, each in a process of its own, and review them together.

        Args:
            overrides: plain values to change in the configs of each fold, by id; an object stands in a further file of
                ``config_files``.
            options: see ``list_options("cross_validate")``, such as ``run_name``, ``folds`` and ``jobs``.

        Returns:
            The result: ``metrics`` with their ``intervals``, ``combined_predictions`` and the predictions of the
            ``folds``, and the ``directory`` of all files.

        Raises:
            UserError: an option does not fit, or a fold did not finish.
        """
        try:
            result: CrossValidationResult = self._run(CROSS_VALIDATE, {**options, "overrides": overrides or {}})
        except SystemExit as stopped:  # its processes were told to stop
            raise KeyboardInterrupt from stopped
        return result

    def infer(self, fold: int | Held | None = HELD, run_name: str | None = None, **options: Any) -> Path:
        """Classify a folder of images into a CSV file.

        Args:
            fold: number of the fold whose weights to use; None for the mean of all folds; by default the bundle's
                ``ckpt_path`` or fold, or 0.
            run_name: the cross-validation whose weights to use; by default those that `train` left; never
                the bundle's own, which may name either.
            options: see ``list_options("infer")``, such as ``dataset_dir``; network and image size are those of the
                weights.

        Returns:
            The file; ``files.csv`` beside it says which image is which.

        Raises:
            UserError: there are no weights or no images, or an option does not fit.
        """
        with contain_workflow():
            workflow = self._open_weights(fold, run_name, options)
            run_workflow(workflow)
            return RunFolder(workflow.parser.get_parsed_content("options").output_dir).predictions

    def predict(
        self,
        images: str | Path | Iterable[Image],
        fold: int | Held | None = HELD,
        run_name: str | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """Classify images; nothing is written.

        Args:
            images: a folder; or files and arrays, which hold values as the files of the dataset do. An array has the
                axes (rows, columns) or (x, y, z), with 1 or 3 channels before or after them or without channels.
            fold: number of the fold whose weights to use; None for the mean of all folds; by default the bundle's
                ``ckpt_path`` or fold, or 0.
            run_name: the cross-validation whose weights to use; by default those that `train` left; never
                the bundle's own, which may name either.
            options: see ``list_options("infer")``; network and image size are those of the weights.

        Returns:
            A row for each image, by its file or number: the class in ``predicted``, then the probability of each class.
            Of several labels for one image, those above 0.5 are named, with semicolons between.

        Raises:
            UserError: there are no weights or no images, or an option does not fit.
        """
        place = {"dataset_dir": str(images)} if isinstance(images, (str, Path)) else {}
        with contain_workflow():
            workflow = self._open_weights(fold, run_name, {**options, **place})
            parser = workflow.parser
            if not isinstance(images, (str, Path)):
                if parser["skip_unreadable"]:
                    raise UserError("skip_unreadable True: is for a folder of images; leave it out for a list of them")
                parser["listed_images"] = tuple(make_items(images, parser.get_parsed_content("spatial_dims")))
            names, card = parser.get_parsed_content("class_names"), parser.get_parsed_content("card")
            parser["writer"] = collector = PredictionCollector(names, card.task)
            run_workflow(workflow)
        return collector.make_table()

    def network(self, fold: int | None = None, run_name: str | None = None, **options: Any) -> nn.Module:
        """Return the network of a fold with its weights, ready to infer.

        Args:
            fold: number of the fold; by default the bundle's, or 0.
            run_name: the cross-validation whose weights to use; by default those that `train` left; never
                the bundle's own, which may name either.
            options: see ``list_options("infer")``, such as ``device``.

        Raises:
            UserError: there are no weights, or an option does not fit.
        """
        with contain_workflow():
            parser = self._open_weights(HELD if fold is None else fold, run_name, options).parser
            parser.get_parsed_content("weights_loader")(None)
            network: nn.Module = parser.get_parsed_content("network")
        return network.eval()

    def list_options(self, command: str = "train") -> pd.DataFrame:
        """Return the options of a command with their values in this bundle.

        Args:
            command: ``prepare``, ``train``, ``evaluate``, ``cross_validate`` or ``infer``.

        Raises:
            UserError: there is no such command.
        """
        check_name(command, COMMANDS, "there is no command")
        rows = COMMANDS[command].describe()
        with contain_workflow():
            parser = self._open(COMMANDS[command], {}).parser
            values = [parser.get_parsed_content(name) for name in rows.index]
        rows.insert(0, "value", pd.Series(values, rows.index, dtype=object))
        return rows

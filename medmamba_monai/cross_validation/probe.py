"""Folds without training: a network's features stay as they are, and a simple classifier learns from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import say
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.fold_process import open_fold_run
from medmamba_monai.cross_validation.plan import Plan
from medmamba_monai.evaluation import Predictions
from medmamba_monai.networks.head_features import compute_with_features, find_head
from medmamba_monai.networks.transformers_encoder import load_encoder
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.run import TrackedRun, choose_end_status
from medmamba_monai.training import EvaluationReport, select_evaluation_items, unwrap
from medmamba_monai.training.probes import fit_probe

Encode = Callable[[Tensor], Tensor]


def probe_folds(plan: Plan, jobs: Sequence[FoldJob]) -> None:
    """Fit and evaluate a probe for each fold, and leave what a training and its evaluation leave but the weights.

    Args:
        plan: of the cross-validation.
        jobs: the folds, as their processes would get them.

    Raises:
        UserError: the weights do not fit the network, or an image cannot be read.
    """
    features = FrozenFeatures(plan.options.encoder)
    for job in jobs:
        run = open_fold_run(job.content)
        try:
            _probe_fold(plan, job, features, run)
        except BaseException as error:
            run.finish(choose_end_status(error), describe_failure(error))
            raise
        run.finish("FINISHED")


class FrozenFeatures:
    """Features of all images of a list; folds that have the same encoder share them.

    Args:
        encoder: name of an encoder of transformers; None for the network of the configs with its starting weights.
    """

    def __init__(self, encoder: str | None) -> None:
        self.encoder = encoder
        self._known: tuple[str, np.ndarray] | None = None

    def compute(self, parser: ConfigParser) -> np.ndarray:
        """Return the features (images, F) in the order of the images' rows.

        Args:
            parser: configs of a fold.
        """
        key = self.encoder or parser.get_parsed_content("starting_weights").file.digest
        if self._known is None or self._known[0] != key:
            self._known = key, self._compute(parser)
        return self._known[1]

    def _compute(self, parser: ConfigParser) -> np.ndarray:
        encode = self._make_encoder(parser)
        parts = parser.get_parsed_content("parts")
        rows = [item["row"] for part in ("train", "validation", "test") for item in parts[part]]
        loader = parser.get_parsed_content("validate#dataloader")
        with torch.inference_mode():
            found = np.concatenate([encode(batch["image"]).double().cpu().numpy() for batch in loader])
        if broken := int((~np.isfinite(found).all(axis=1)).sum()):
            raise UserError(
                f"{self._name_source(parser)}: the features of {broken} of {len(found)} images are not finite; its "
                "weights are damaged, or are no weights of an encoder that was trained"
            )
        ordered = np.empty_like(found)
        ordered[rows] = found
        return ordered

    def _name_source(self, parser: ConfigParser) -> str:
        if self.encoder is not None:
            return f"--encoder {self.encoder}"
        return f"--pretrained {parser.get_parsed_content('starting_weights').file.path}"

    def _make_encoder(self, parser: ConfigParser) -> Encode:
        options = parser.get_parsed_content("options")
        if self.encoder is not None:
            return load_encoder(self.encoder).to(options.device)
        network = unwrap(parser.get_parsed_content("network")).eval()
        network.load_state_dict(parser.get_parsed_content("starting_weights").fitted.state)
        head = find_head(network, parser.get_parsed_content("num_classes"))
        return lambda images: compute_with_features(network, head, images)[1]


def _probe_fold(plan: Plan, job: FoldJob, features: FrozenFeatures, run: TrackedRun) -> None:
    began = time.time()
    assert plan.options.probe is not None
    folder = RunFolder(job.directory)
    parser = _open_configs(plan, job.content["overrides"])
    options, card = parser.get_parsed_content("options"), parser.get_parsed_content("card")
    run.start()
    run.journal.log_params(plan.logged_parameters())
    tags = parser.get_parsed_content("train#tracking#tags")
    run.journal.set_tags({**describe_environment(options.device), **tags})
    found = features.compute(parser)
    parts = parser.get_parsed_content("parts")
    training, judged = parts["train"], select_evaluation_items(parts)
    probe = fit_probe(
        plan.options.probe,
        found[[item["row"] for item in training]],
        np.array([item["label"] for item in training]),
        card.num_classes,
        _list_groups(training),
        options.seed,
    )
    predictions = Predictions(
        probabilities=probe.predict(found[[item["row"] for item in judged]]),
        labels=np.array([item["label"] for item in judged]),
        task=card.task,
        groups=_list_groups(judged),
        ids=[item["id"] for item in judged],
        parts=[item["part"] for item in judged],
        class_names=card.display_names,
    )
    title = f"{card.title}, fold {job.fold}"
    metrics = EvaluationReport(folder.path, card.display_names, title, card.task, run).write(predictions)
    chosen = {"probe": plan.options.probe, "chosen": probe.chosen, "features": found.shape[1]}
    spent = {"fold": job.fold, "epochs": 0, "best_epoch": 0, "seconds": time.time() - began}
    write_json(folder.result, {**spent, **chosen, "metrics": metrics})
    say(f"fold {job.fold}: {plan.options.probe} on {found.shape[1]} features, chosen {list(probe.chosen)}")


def _open_configs(plan: Plan, overrides: Mapping[str, Any]) -> ConfigParser:
    """Read the configs of a fold, with all of its images in what is validated."""
    parser = ConfigParser()
    parser.read_config(list(plan.config_files))
    parser.read_meta(str(Path(plan.bundle_root) / "configs" / "metadata.json"))
    everything = {
        "validate#dataset#data": "$@parts['train'] + @parts['validation'] + @parts['test']",
        "validate#dataset#name": "features",
    }
    parser.update({**overrides, **everything})
    return parser


def _list_groups(items: Sequence[Mapping[str, Any]]) -> list[str] | None:
    return [item["group"] for item in items] if all("group" in item for item in items) else None

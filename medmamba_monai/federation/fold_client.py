"""A fold of a site as a client: the bundle's own training by `monai.fl.client.MonaiAlgo`, weights as arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.federation.begun_rounds import BegunRounds
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.progress import Weights
from medmamba_monai.federation.site import Site
from medmamba_monai.federation.site_results import describe_folds, write_fold_result
from medmamba_monai.networks.tensor_files import read_torch_file
from medmamba_monai.training.handlers.resumable_checkpoint import ResumableCheckpoint, find_checkpoints
from medmamba_monai.training.weights import write_weights


class FoldClient:
    """One fold at one site: trains and judges the weights that it is sent.

    Args:
        site: the site.
        plan: of the federation.
        fold: number of the fold.
        begins: round that is trained first, from 1; what an earlier process trained of it and after it is undone, so
            that a federation that goes on gives what one gives that was not stopped. None to undo nothing.

    Raises:
        UserError: the bundle's configs cannot be run on the site's data.
    """

    def __init__(self, site: Site, plan: Plan, fold: int, begins: int | None = None) -> None:
        self.site, self.plan, self.fold = site, plan, fold
        self.folder = site.folder(plan).fold(fold)
        self._rounds = BegunRounds(self.folder)
        if begins is not None:
            self._rounds.undo(begins)
        self._values = {"bundle_root": str(site.root), **site.values(plan, fold)}
        self._algo: Any = MonaiAlgo(  # all that it makes when it is initialized is None in its types
            str(site.root),
            local_epochs=plan.options.epochs,
            send_weight_diff=False,
            train_kwargs=dict(self._values),
            config_evaluate_filename="configs/train.json",
            eval_kwargs=dict(self._values),
        )
        self._algo.initialize({ExtraItems.CLIENT_NAME: site.name})
        self.checkpoint.keep = max(self.checkpoint.keep, plan.options.epochs + 1)  # that of the round's begin remains
        if plan.options.proximal > 0:
            self._pull(plan.options.proximal)
        names = list_batch_norms(self.network) if plan.options.local_batch_norm else set()
        self._kept = find_kept(self.folder, self.weights(), names)

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        network: nn.Module = self._algo.trainer.network
        return network

    @property
    def own(self) -> set[str]:
        """Names of the weights that never leave the site."""
        return set(self._kept)

    @property
    def checkpoint(self) -> ResumableCheckpoint:
        """What writes the checkpoints of the training."""
        found: ResumableCheckpoint = self._algo.train_workflow.parser.get_parsed_content("train#checkpoint")
        return found

    def weights(self) -> Weights:
        """Return the weights as they are now, by name."""
        return {name: tensor.numpy().copy() for name, tensor in self._algo.get_weights().weights.items()}

    def train(self, weights: Weights, number: int) -> tuple[Weights, dict[str, float]]:
        """Train weights for the epochs of a round.

        Args:
            weights: by name; those that the site keeps for itself are left out of account.
            number: of the round.

        Returns:
            What training added to the weights that are not the site's own; metrics.
        """
        self._rounds.note(number)
        begun = {**weights, **self._kept}
        self._algo.train(ExchangeObject(weights=begun))
        trained = self.weights()
        self._kept = {name: trained[name] for name in self._kept}
        update = {name: trained[name] - weights[name] for name in weights if name not in self._kept}
        return update, {"train_loss": float(self._algo.trainer.state.metrics["train_loss"])}

    def validate(self, weights: Weights) -> dict[str, float]:
        """Judge weights on the validation part."""
        found = self._algo.evaluate(ExchangeObject(weights={**weights, **self._kept})).metrics
        return {f"validation_{name.removeprefix('val_')}": float(value) for name, value in found.items()}

    def evaluate(self, weights: Weights, number: int) -> dict[str, float]:
        """Keep weights as those of the fold, and judge them on the test part; predictions stay in the site's folder.

        Args:
            weights: by name.
            number: of the round that they are of.

        Raises:
            UserError: the folder cannot be written.
        """
        final = {name: torch.as_tensor(value) for name, value in {**weights, **self._kept}.items()}
        checkpoint = self.checkpoint
        state = {name: final[name].to(tensor.dtype) for name, tensor in self.network.state_dict().items()}
        write_weights(state, checkpoint.best_path, {**checkpoint.description, "federation": self.plan.options.values()})
        judge = MonaiAlgo(str(self.site.root), config_train_filename=None, eval_kwargs=dict(self._values))
        judge.initialize({ExtraItems.CLIENT_NAME: self.site.name})
        judge.evaluate(ExchangeObject(weights=state))
        config = self._algo.train_workflow.parser.get()
        write_fold_result(self.folder, self.fold, self._rounds.count_epochs(), self._rounds.find_end(number), config)
        describe_folds(self.site, self.plan)
        found = json.loads(self.folder.metrics.read_text(encoding="utf-8"))["test"]
        return {f"test_{name}": float(value) for name, value in found.items() if isinstance(value, (int, float))}

    def close(self) -> None:
        """End what runs."""
        self._algo.finalize()

    def _pull(self, mu: float) -> None:
        from medmamba_monai.federation.proximal import ProximalLoss

        trainer = self._algo.trainer
        trainer.loss_function = ProximalLoss(trainer.loss_function, trainer.network, mu)
        trainer.loss_function.attach(trainer)


def list_batch_norms(network: nn.Module) -> set[str]:
    """Return the names of all weights and statistics of a network's batch norms.

    Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization (2021), keep these at a site.
    """
    found = {name: part for name, part in network.named_modules() if isinstance(part, _BatchNorm)}
    return {f"{name}.{key}" for name, part in found.items() for key in part.state_dict()}


def find_kept(folder: RunFolder, weights: Mapping[str, np.ndarray], names: set[str]) -> Weights:
    """Return the weights that a site keeps: of its newest checkpoint where it has trained before, else as given.

    Args:
        folder: of the fold.
        weights: with which a network begins.
        names: of those that are kept.
    """
    files = find_checkpoints(folder.checkpoints) if names else []
    trained: dict[str, Any] = read_torch_file(files[-1])["stateful"]["network"] if files else {}
    return {name: trained[name].numpy() if name in trained else weights[name] for name in sorted(names)}

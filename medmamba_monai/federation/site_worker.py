"""What a site does for a server: it answers tasks, with weights, metrics and facts of its bundle, nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.federation.agreement import describe_site
from medmamba_monai.federation.fold_client import FoldClient
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.packing import pack_weights, unpack_weights
from medmamba_monai.federation.progress import Weights
from medmamba_monai.federation.site import Site

CHECK, START, TRAIN, VALIDATE, EVALUATE = "check", "start", "train", "validate", "evaluate"
TASKS = (CHECK, START, TRAIN, VALIDATE, EVALUATE)
"""What a server may ask, in the order in which it asks."""


@dataclass(frozen=True)
class Answer:
    """What leaves a site.

    Attributes:
        facts: of its bundle, see `describe_site`.
        metrics: by name.
        weights: to start with, or what training added to the common ones.
    """

    facts: Mapping[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    weights: Weights | None = None


class SiteWorker:
    """A site that answers; the client of the fold at work is kept from one round to the next.

    Args:
        site: the site.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._client: FoldClient | None = None
        self._facts: dict[str, Any] | None = None

    def answer(self, task: str, weights: Weights | None, plan: Plan, fold: int, number: int) -> Answer:
        """Do a task.

        Args:
            task: one of `TASKS`.
            weights: the common ones, for a task that needs them.
            plan: of the federation.
            fold: number of the fold.
            number: of the round; that of the best one for the test.

        Raises:
            UserError: the site's folder is of another federation, or its bundle or its data do not fit.
        """
        if self._facts is None:
            self._facts = describe_site(self.site, plan)
            self._join(plan)
        if task == CHECK:
            return Answer(self._facts)
        client = self._open(plan, fold, {START: 1, TRAIN: number}.get(task))
        if task == START:
            return Answer(self._facts, weights=_pack(client, client.weights()))
        if weights is None:
            raise ValueError(f"{task} needs weights")
        if plan.options.encrypts:
            weights = unpack_weights(weights, client.weights(), client.own)
        if task == TRAIN:
            update, metrics = client.train(weights, number)
            return Answer(self._facts, metrics, _pack(client, update))
        return Answer(self._facts, client.validate(weights) if task == VALIDATE else client.evaluate(weights, number))

    def close(self) -> None:
        """End what runs."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _open(self, plan: Plan, fold: int, begins: int | None) -> FoldClient:
        if self._client is None or self._client.fold != fold:
            self.close()
            self._client = FoldClient(self.site, plan, fold, begins)
        return self._client

    def _join(self, plan: Plan) -> None:
        """Note in the site's folder which federation it is of; a site that comes back finds its own.

        Raises:
            UserError: it is of another one.
        """
        folder = self.site.folder(plan)
        joined = json.loads(folder.joined.read_text(encoding="utf-8")) if folder.joined.is_file() else {}
        if joined.get("identity", plan.identity) != plan.identity:
            raise UserError(
                f"{folder.path}: holds another federation of the name {plan.options.run_name}; give this one another "
                "--run_name"
            )
        write_json(folder.joined, {"identity": plan.identity})


def _pack(client: FoldClient, weights: Weights) -> Weights:
    return pack_weights(weights, client.own) if client.plan.options.encrypts else weights

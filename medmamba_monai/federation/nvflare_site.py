"""A site as an executor of NVFlare."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import Any

from nvflare.apis.dxo import MetaKey
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.fuel.f3.cellnet.fqcn import FQCN

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.agreement import KEY
from medmamba_monai.federation.encryption import describe_key
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.site import SITES_VARIABLE, read_site
from medmamba_monai.federation.site_worker import TRAIN, Answer, SiteWorker
from medmamba_monai.federation.vital_signs import TOPIC, Pulse


class SiteExecutor(Executor):
    """Does the tasks of a federation with the bundle that the site's own file names.

    What goes wrong is said in the log of the site alone, since a message may name folders and files.
    """

    def __init__(self) -> None:
        super().__init__()
        self._worker: SiteWorker | None = None
        self._pulse: Pulse | None = None

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Do a task, and return what may leave the site."""
        model = FLModelUtils.from_shareable(shareable)
        try:
            plan = Plan.from_message(model.meta["plan"])
            fold, number = model.meta["fold"], model.meta["round"]
            key = {KEY: describe_key()} if plan.options.encrypts else {}
            answer = self._find_worker(fl_ctx).answer(task_name, model.params or None, plan, fold, number)
            answer = replace(answer, facts={**answer.facts, **key})
        except Exception as error:  # noqa: BLE001 - the site must answer, and what failed is its own matter
            self.log_exception(fl_ctx, f"{task_name}: {error}")
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        return FLModelUtils.to_shareable(make_model(task_name, answer, fold))

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Send signs of life from the start of the job, and end what runs when it ends."""
        if event_type == EventType.START_RUN:
            self._pulse = Pulse(partial(send_sign, fl_ctx.get_engine()))
        elif event_type == EventType.END_RUN:
            if self._worker is not None:
                self._worker.close()
            if self._pulse is not None:
                self._pulse.end()

    def _find_worker(self, fl_ctx: FLContext) -> SiteWorker:
        if self._worker is None:
            folder = os.environ.get(SITES_VARIABLE)
            if not folder:
                raise UserError(
                    f"{SITES_VARIABLE} is not set: name the folder of the site's file before NVFlare starts"
                )
            self._worker = SiteWorker(read_site(folder, fl_ctx.get_identity_name()))
        return self._worker


def send_sign(engine: Any) -> None:
    """Send the server a sign of life, for which nothing is expected in return."""
    with engine.new_context() as fl_ctx:
        engine.send_aux_request([FQCN.ROOT_SERVER], TOPIC, Shareable(), timeout=0.0, fl_ctx=fl_ctx, optional=True)


def make_model(task: str, answer: Answer, fold: int) -> FLModel:
    """Return an answer as NVFlare sends it; updates are differences, as its filters for privacy want them.

    Args:
        task: that was done.
        answer: to it.
        fold: number of the fold, whose training images NVFlare's filter weights an update with that it encrypts.
    """
    kind = ParamsType.DIFF if task == TRAIN else ParamsType.FULL
    meta: dict[str, Any] = {"facts": dict(answer.facts), "metrics": answer.metrics}
    if task == TRAIN:
        meta[MetaKey.NUM_STEPS_CURRENT_ROUND] = answer.facts["images"]["train"][fold]
    return FLModel(params=answer.weights or {}, params_type=kind, meta=meta)

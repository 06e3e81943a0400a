"""A site as an executor of NVFlare."""

from __future__ import annotations

import os

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.site import SITES_VARIABLE, read_site
from medmamba_monai.federation.site_worker import TRAIN, Answer, SiteWorker


class SiteExecutor(Executor):
    """Does the tasks of a federation with the bundle that the site's own file names.

    What goes wrong is said in the log of the site alone, since a message may name folders and files.
    """

    def __init__(self) -> None:
        super().__init__()
        self._worker: SiteWorker | None = None

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Do a task, and return what may leave the site."""
        model = FLModelUtils.from_shareable(shareable)
        try:
            plan = Plan.from_message(model.meta["plan"])
            answer = self._find_worker(fl_ctx).answer(task_name, model.params or None, plan, model.meta["fold"])
        except Exception as error:  # noqa: BLE001 - the site must answer, and what failed is its own matter
            self.log_exception(fl_ctx, f"{task_name}: {error}")
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        return FLModelUtils.to_shareable(make_model(task_name, answer))

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """End what runs when the job ends."""
        if event_type == EventType.END_RUN and self._worker is not None:
            self._worker.close()

    def _find_worker(self, fl_ctx: FLContext) -> SiteWorker:
        if self._worker is None:
            folder = os.environ.get(SITES_VARIABLE)
            if not folder:
                raise UserError(
                    f"{SITES_VARIABLE} is not set: name the folder of the site's file before NVFlare starts"
                )
            self._worker = SiteWorker(read_site(folder, fl_ctx.get_identity_name()))
        return self._worker


def make_model(task: str, answer: Answer) -> FLModel:
    """Return an answer as NVFlare sends it; updates are differences, as its filters for privacy want them."""
    kind = ParamsType.DIFF if task == TRAIN else ParamsType.FULL
    meta = {"facts": dict(answer.facts), "metrics": answer.metrics}
    return FLModel(params=answer.weights or {}, params_type=kind, meta=meta)

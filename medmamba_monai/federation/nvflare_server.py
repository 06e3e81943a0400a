"""The server of a federation as a controller of NVFlare."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task, TaskCompletionStatus
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.names import make_file_name
from medmamba_monai.federation.averaging import Averaging
from medmamba_monai.federation.coordinator import Coordinator
from medmamba_monai.federation.encryption import EncryptedAveraging, describe_sealed, seal
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.progress import Weights
from medmamba_monai.federation.record import RESULTS, FederationRecord
from medmamba_monai.federation.site_processes import kill_site_processes
from medmamba_monai.federation.site_worker import CHECK, Answer
from medmamba_monai.federation.vital_signs import TOPIC, Pulse, VitalSigns
from medmamba_monai.tracking import default_tracking_uri

RESULTS_VARIABLE = "MEDMAMBA_FEDERATION_DIR"
"""Environment variable of a server: the folder of a folder of results of each federation, where they outlive a job."""

_LOOK_SECONDS = 0.2
_END_SECONDS = 1.0
_START_SECONDS = 600
"""Which a site has at least until it first answers: it may still be starting."""


class FederationController(Controller):
    """Runs a federated cross-validation; one that was stopped goes on where its results are found.

    NVFlare 2.9 keeps nothing of a job that is stopped, and misses a site that dies in its simulator not at all, on
    machines of their own after ten minutes: both are done here. At its end its simulator waits for every site, forever
    for one that stands still: from then on, sites that are gone are killed.

    Args:
        plan: of the federation, as plain values.
        sites: names of all sites.
        results: folder of the results; empty for `RESULTS_VARIABLE`, or the folder of the job where that is not set.
    """

    def __init__(self, plan: dict[str, Any], sites: Sequence[str], results: str = "") -> None:
        super().__init__()
        self.plan, self.sites, self.results = plan, list(sites), results
        self._signs = VitalSigns(plan["options"]["lost_after"])
        self._context: FLContext | None = None
        self._abort: Signal | None = None
        self.watch: Pulse | None = None  # kills sites that are gone, once it has ended

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Begin to listen for signs of life."""
        fl_ctx.get_engine().register_aux_message_handler(TOPIC, self._hear)

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Do nothing: what was begun ends with `control_flow`."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run it to its end.

        Raises:
            UserError: sites do not agree, too few answered, or the results are those of another federation.
        """
        self._context, self._abort = fl_ctx, abort_signal
        folder, plan = self._find_folder(fl_ctx), Plan.from_message(self.plan)
        try:
            with lock_folder(folder, "federation"):
                self._run(FederationRecord(folder, plan, default_tracking_uri(folder)), fl_ctx)
        finally:
            self._signs.expect(self.sites)
            self.watch = Pulse(self._kill_gone, _END_SECONDS)

    def _run(self, record: FederationRecord, fl_ctx: FLContext) -> None:
        try:
            averaging = EncryptedAveraging.of_kit(fl_ctx) if record.plan.options.encrypts else Averaging()
            Coordinator(record.plan, self.sites, self._ask, record, self._list_gone, averaging).run()
        except UserError as error:
            record.fail(str(error))
            raise

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Leave out an answer that came too late."""
        self.log_warning(fl_ctx, f"{client.name}: its answer to {task_name} came too late, and is left out")

    def _find_folder(self, fl_ctx: FLContext) -> Path:
        if self.results:
            return Path(self.results)
        if folder := os.environ.get(RESULTS_VARIABLE):
            return Path(folder) / make_file_name(self.plan["options"]["run_name"])
        return Path(fl_ctx.get_engine().get_workspace().get_run_dir(fl_ctx.get_job_id())) / RESULTS

    def _hear(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        self._signs.hear(fl_ctx.get_peer_context().get_identity_name())
        return make_reply(ReturnCode.OK)

    def _list_gone(self) -> list[str]:
        return self._signs.list_gone(self.sites)

    def _kill_gone(self) -> None:
        kill_site_processes(self._list_gone())

    def _ask(
        self, task: str, weights: Weights | None, fold: int, number: int, sites: Sequence[str]
    ) -> dict[str, Answer]:
        """Ask sites, and wait until each has answered, failed, gone, or taken too long.

        Raises:
            UserError: NVFlare stopped the job meanwhile.
        """
        answers: dict[str, Answer] = {}
        ended: set[str] = set()

        def receive(client_task: ClientTask, fl_ctx: FLContext) -> None:
            name, result = client_task.client.name, client_task.result
            if result.get_return_code() == ReturnCode.OK:
                answers[name] = read_answer(FLModelUtils.from_shareable(result))
            ended.add(name)
            client_task.result = None  # weights of many sites would add up

        params, sealed = describe_sealed(weights or {})
        meta = {"plan": self.plan, "fold": fold, "round": number, **sealed}
        data = FLModelUtils.to_shareable(FLModel(params=params, current_round=number, meta=meta))
        timeout = self.plan["options"]["timeout"]
        if task == CHECK:
            timeout = max(timeout, _START_SECONDS)
        sent = Task(task, data, timeout=timeout, result_received_cb=receive)
        self.broadcast(sent, self._context, list(sites), min_responses=0)
        while sent.completion_status is None:
            if self._abort is not None and self._abort.triggered:
                self.cancel_task(sent, TaskCompletionStatus.ABORTED)
                raise UserError(
                    f"fold {fold}, round {number}, {task}: the job was stopped, by who administers it, or by NVFlare "
                    "since the process of a site died; look into the logs of server and sites"
                )
            if set(sites) - ended <= set(self._list_gone()):
                self.cancel_task(sent, TaskCompletionStatus.CLIENT_DEAD)
                break
            time.sleep(_LOOK_SECONDS)
        return dict(answers)


def read_answer(model: FLModel) -> Answer:
    """Return the answer that a site sent."""
    metrics = {str(name): float(value) for name, value in model.meta["metrics"].items()}
    return Answer(model.meta["facts"], metrics, seal(model.params) if model.params else None)

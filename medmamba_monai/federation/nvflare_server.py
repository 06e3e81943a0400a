"""The server of a federation as a controller of NVFlare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.model_controller import ModelController

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.coordinator import Coordinator
from medmamba_monai.federation.fold_client import Weights
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.record import RESULTS, FederationRecord
from medmamba_monai.federation.site_worker import Answer
from medmamba_monai.tracking import default_tracking_uri


class FederationController(ModelController):
    """Runs a federated cross-validation, and leaves its results in the folder of the run.

    Args:
        plan: of the federation, as plain values.
        sites: names of all sites.
    """

    def __init__(self, plan: dict[str, Any], sites: Sequence[str]) -> None:
        # A site that fails is one that does not answer; the coordinator says how many must.
        super().__init__(persistor_id="", ignore_result_error=True)
        self.plan, self.sites = plan, list(sites)

    def run(self) -> None:
        """Run it to its end.

        Raises:
            UserError: sites do not agree, or too few answered.
        """
        folder, plan = Path(self.get_run_dir()) / RESULTS, Plan.from_message(self.plan)
        record = FederationRecord(folder, plan, default_tracking_uri(folder))
        try:
            Coordinator(plan, self.sites, self._ask, record).run()
        except UserError as error:
            record.fail(str(error))
            raise

    def _ask(
        self, task: str, weights: Weights | None, fold: int, number: int, sites: Sequence[str] | None
    ) -> dict[str, Answer]:
        message = {"plan": self.plan, "fold": fold}
        model = FLModel(params=weights or {}, current_round=number, meta=message)
        results = self.send_model_and_wait(
            task, model, targets=list(sites or self.sites), timeout=self.plan["options"]["timeout"]
        )
        return {result.meta["client_name"]: read_answer(result) for result in results}


def read_answer(model: FLModel) -> Answer:
    """Return the answer that a site sent."""
    metrics = {str(name): float(value) for name, value in model.meta["metrics"].items()}
    return Answer(model.meta["facts"], metrics, model.params or None)

"""NVFlare's job of a federation, and what its filters for privacy do to an update."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation import write_job
from medmamba_monai.federation.job import make_filter
from medmamba_monai.federation.nvflare_server import read_answer
from medmamba_monai.federation.nvflare_site import make_model
from medmamba_monai.federation.options import Privacy
from medmamba_monai.federation.site_worker import START, TRAIN, Answer


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job") / "job"
    return write_job(folder, ["clinic_a", "clinic_b"], rounds=3, run_name="first", privacy="percentile", image_size=32)


def read_config(job: Path, app: str, name: str) -> dict:
    found: dict = json.loads((job / app / "config" / f"config_fed_{name}.json").read_text())
    return found


def test_a_job_says_what_all_sites_share_and_carries_no_code(job: Path):
    (workflow,) = read_config(job, "app_server", "server")["workflows"]
    assert workflow["path"] == "medmamba_monai.federation.nvflare_server.FederationController"
    assert workflow["args"]["sites"] == ["clinic_a", "clinic_b"]
    assert workflow["args"]["plan"]["options"]["rounds"] == 3
    assert workflow["args"]["plan"]["training"] == {"image_size": 32}
    assert [path.name for path in job.rglob("*.py")] == []


def test_the_filter_stands_at_each_site_and_on_updates_alone(job: Path):
    for site in ("clinic_a", "clinic_b"):
        (entry,) = read_config(job, f"app_{site}", "client")["task_result_filters"]
        assert entry["tasks"] == ["train"]
        assert [found["path"].rpartition(".")[2] for found in entry["filters"]] == ["PercentilePrivacy"]


def test_a_job_is_not_written_over_another(job: Path):
    with pytest.raises(UserError, match="is not empty; name a new folder for the job"):
        write_job(job.parent, ["a", "b"])


def filter_update(privacy: Privacy, update: np.ndarray) -> np.ndarray:
    privacy_filter = make_filter(privacy)
    assert privacy_filter is not None
    filtered = privacy_filter.process_dxo(DXO(DataKind.WEIGHT_DIFF, data={"w": update}), Shareable(), FLContext())
    found: np.ndarray = filtered.data["w"]
    return found


def test_the_percentile_filter_keeps_the_smallest_changes_and_cuts_the_largest():
    update = np.array([0.0001, 0.002, -0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.5, -0.5, 0.001], np.float32)
    found = filter_update("percentile", update.copy())
    assert found[0] == 0
    assert found[8:10].tolist() == pytest.approx([0.01, -0.01])
    assert found[1:8].tolist() == pytest.approx(update[1:8].tolist())


def test_the_sparse_vector_filter_sends_noise_of_a_tenth_of_the_weights_and_says_what_that_takes(caplog):
    np.random.seed(0)
    with caplog.at_level(logging.INFO):
        found = filter_update("svt", np.full(1000, 0.5, np.float32))
    assert "SVT privacy accountant: call epsilon " in caplog.text
    assert 0 < np.count_nonzero(found) <= 100
    assert len(set(found[found != 0].tolist())) > 1


def test_without_privacy_there_is_no_filter():
    assert make_filter("none") is None


@pytest.mark.parametrize("task", [START, TRAIN])
def test_an_answer_is_the_same_after_its_way_to_the_server(task):
    sent = Answer({"title": "T", "images": {"train": [7, 9]}}, {"train_loss": 0.5}, {"w": np.ones(2)})
    received = read_answer(make_model(task, sent, 1))
    assert (received.facts, received.metrics) == (sent.facts, sent.metrics)
    assert received.weights is not None
    assert received.weights["w"].tolist() == [1, 1]

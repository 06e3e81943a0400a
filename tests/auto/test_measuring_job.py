"""Networks measured as a job: by submitit's executor of this machine, and in place of the node's process light ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medmamba_monai.auto import measure, measuring_job
from medmamba_monai.auto.measure import Measured
from medmamba_monai.auto.measuring_job import FOLDER, main, measure_there
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.launchers import watch
from medmamba_monai.cross_validation.launchers.watch import read_job_name
from tests.auto.fingerprints import make_fingerprint
from tests.helpers.cluster_runs import wait_until
from tests.helpers.local_jobs import LocalJobs
from tests.helpers.small_bundle import ROOT

BUNDLE = ROOT / "bundles" / "pneumoniamnist"
NODE = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1]).parent
(folder / "began").touch()
while not (folder / "may_end").exists():
    time.sleep(0.02)
sys.exit(int((folder / "may_end").read_text() or 0))
"""


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalJobs:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    return LocalJobs(tmp_path)


@pytest.fixture
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job whose process measures nothing, and ends when and as it is told."""
    package = tmp_path / "python" / "medmamba_monai" / "auto"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "measuring_job.py").write_text(NODE)
    monkeypatch.chdir(tmp_path / "python")
    return tmp_path / FOLDER


def measure_in(folder: Path, scheduler: LocalJobs, budget: float = 600) -> Measured:
    return measure_there(scheduler, folder, BUNDLE, make_fingerprint(), budget, None, {"amp": False}, 3)


def test_a_job_measures_what_a_plan_is_made_of(tmp_path: Path, scheduler: LocalJobs) -> None:
    """The time is so short that the first network is measured alone."""
    seen, size, batch = measure_in(tmp_path, scheduler, budget=60)
    assert (seen.machine.cluster, seen.machine.at_once, seen.machine.device) == ("Slurm", 3, "cpu")
    assert seen.speeds["medmamba_small"].step > 0
    assert (size.value, batch.value) == (64, 64)
    assert "28 pixels" in size.reason
    task = json.loads(RunFolder(tmp_path / FOLDER).job.read_text())["task"]
    assert task["training"] == {"amp": False, "device": "cpu"}


def test_what_the_node_says_against_it_is_said_here(
    tmp_path: Path,
    scheduler: LocalJobs,
    light: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    light.mkdir()
    (light / "may_end").write_text("2")
    with pytest.raises(UserError, match=r"could not be measured on a node of Slurm \(exit code 2\); logs: .*slurm"):
        measure_in(tmp_path, scheduler)
    monkeypatch.setattr(measure, "MEASURING_SHARE", 1e-6)
    job = RunFolder(light).job
    content = json.loads(job.read_text())
    content["task"]["training"]["device"] = "quantum"
    del content["parent_pid"]
    write_json(job, content)
    assert main(str(job)) == 2
    assert "--device 'quantum' is not a device" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"^--device 'quantum' is not a device"):
        measuring_job._read_answer(light / "measured.json", 2, scheduler)


def test_no_longer_than_the_budget_is_waited_for_a_node(tmp_path: Path, scheduler: LocalJobs, light: Path) -> None:
    with pytest.raises(UserError, match=r"--budget 1\.0 seconds: all of it went by while Slurm had no node to measure"):
        measure_in(tmp_path, scheduler, budget=1)
    assert scheduler.list_jobs() == {}


def test_what_an_earlier_start_left_in_the_queue_is_ended(tmp_path: Path, scheduler: LocalJobs, light: Path) -> None:
    earlier = measuring_job._MeasuringJob(light, {"program": measuring_job.__name__})
    light.mkdir()
    write_json(RunFolder(light).job, earlier.content)
    (name,) = scheduler.submit([earlier])
    write_json(RunFolder(light).cluster_job, {"job": name})
    wait_until((light / "began").exists)
    with pytest.raises(UserError, match="--budget"):
        measure_in(tmp_path, scheduler, budget=0.1)
    assert read_job_name(RunFolder(light)) != name
    assert scheduler.jobs[name].done()

"""Folds as actors of a Ray cluster of two nodes on this machine, one of which is taken away in mid-fold.

Where the folds themselves do not matter, a light program stands for their process.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.launchers import watch
from medmamba_monai.cross_validation.launchers.ray import Ray, RayOptions
from medmamba_monai.cross_validation.launchers.watch import WatchedJobs, read_exit_code, read_job_name
from tests.helpers.cluster_runs import (
    check_same_weights,
    has_trained,
    list_statuses,
    read_printed,
    wait_for,
    wait_until,
)
from tests.helpers.local_jobs import make_job, read_job, replace_fold_process
from tests.helpers.minutes import takes_minutes
from tests.helpers.ray_cluster import of_ray, run_ray, take_away
from tests.helpers.small_bundle import ROOT, SmallBundle, start

FOLD_0 = re.compile(r"fold 0: job (\S+) is running on \S+ \(node (\w+)\)")


@pytest.fixture(scope="module")
def light_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with run_ray(replace_fold_process(tmp_path_factory.mktemp("python"))) as cluster:
        yield cluster
        sys.modules["ray"].shutdown()


def run_and_read(ray: Ray, jobs: list[FoldJob], capsys: pytest.CaptureFixture[str]) -> Iterator[str | dict[int, int]]:
    """Run folds in a thread: what was printed so far, again and again, and at the end the exit codes."""
    codes: dict[int, int] = {}
    thread = threading.Thread(
        target=lambda: WatchedJobs(ray).run(jobs, lambda job, code: codes.update({job.fold: code}))
    )
    thread.start()
    printed = ""
    while thread.is_alive():
        printed += capsys.readouterr().out
        yield printed
        thread.join(0.1)
    yield codes


@of_ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_folds_are_started_again_where_a_node_is_left(
    light_cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.2)
    ray = Ray(RunFolder(tmp_path), RayOptions(address=light_cluster.address, cpus=1))
    jobs = [make_job(tmp_path, 0), make_job(tmp_path, 1, code=7)]
    taken = codes = None
    for said in run_and_read(ray, jobs, capsys):
        if isinstance(said, dict):
            codes = said
        elif taken is None and (found := FOLD_0.search(said)) and (jobs[0].directory / "began").exists():
            taken = found[2]
            take_away(light_cluster, taken)
        elif "is running again" in said:
            for job in jobs:
                (job.directory / "may_end").touch()
    assert codes == {0: 0, 1: 7}
    overrides = read_job(jobs[0])["overrides"]
    assert overrides == {"resume": True}
    wait_until(lambda: ray.list_jobs() == {})


@of_ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_jobs_are_cancelled_and_a_node_that_sees_no_folder_says_so(light_cluster: Any, tmp_path: Path) -> None:
    ray = Ray(RunFolder(tmp_path), RayOptions(address=light_cluster.address, cpus=1))
    job, lost = make_job(tmp_path, 0), make_job(tmp_path, 1)
    RunFolder(job.directory).job.write_text(json.dumps(job.content))
    name, nowhere = ray.submit([job, lost])
    wait_until(lambda: ray.list_jobs().get(name, "").startswith("running on "))
    ray.cancel([name, "of another time"])
    wait_until(lambda: not {name, nowhere} & ray.list_jobs().keys())
    assert f"does not see {RunFolder(lost.directory).job}" in ray.describe_loss(nowhere)


WAITING_COMMAND = """
import sys
from pathlib import Path
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.launchers.ray import Ray, RayOptions
from medmamba_monai.cross_validation.launchers.watch import WatchedJobs

folder = RunFolder(Path(sys.argv[1]))
job = FoldJob(0, folder.fold(0).path, {"code": 0, "overrides": {"resume": False}})
WatchedJobs(Ray(folder, RayOptions(address=sys.argv[2], cpus=1))).run([job], lambda job, code: None)
"""


@takes_minutes
@of_ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_the_first_machine_is_gone_the_same_command_begins_again_on_another_cluster(tmp_path: Path) -> None:
    """Ray ends who waits after a minute."""
    (tmp_path / "run").mkdir()
    job, light = make_job(tmp_path / "run", 0), replace_fold_process(tmp_path / "python")

    def wait_here(cluster: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-c", WAITING_COMMAND, str(tmp_path / "run"), cluster.address]
        with (tmp_path / "output.txt").open("a") as output:
            return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)

    with run_ray(light) as cluster:
        first = wait_here(cluster)
        wait_until((job.directory / "began").exists)
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        assert first.wait(120) == 1
        assert "Failed to connect to GCS within 60 seconds" in read_printed(tmp_path)
    lost = read_job_name(RunFolder(job.directory))
    (job.directory / "may_end").touch()
    with run_ray(light) as cluster:
        assert wait_here(cluster).wait(120) == 0, read_printed(tmp_path)
    again = read_job_name(RunFolder(job.directory))
    assert again != lost
    assert read_exit_code(RunFolder(job.directory), str(again)) == 0


@pytest.mark.long
@of_ray
@pytest.mark.timeout(900)
def test_weights_are_those_of_an_undisturbed_run(
    small_bundle: SmallBundle, cross_validated: Path, tmp_path: Path
) -> None:
    with run_ray(str(ROOT)) as cluster:
        options = {"launcher": "ray", "ray_address": cluster.address, "ray_cpus": 1, "tracking_uri": ""}
        command = small_bundle.command("cross_validation", ["cross_validation"], tmp_path, **options)
        first = start(command, tmp_path)
        wait_for(lambda: FOLD_0.search(read_printed(tmp_path)) and has_trained(tmp_path, 0), tmp_path, first)
        name, node = FOLD_0.findall(read_printed(tmp_path))[0]
        take_away(cluster, node)
        wait_for(lambda: f"fold 0: job {name} is running again" in read_printed(tmp_path), tmp_path, first)
        first.send_signal(signal.SIGKILL)
        first.wait()

        second = start(command, tmp_path)
        assert second.wait() == 0, read_printed(tmp_path)
    assert f"fold 0: its job {name} is in the queue already" in read_printed(tmp_path)
    # who is gone with its node says nothing, unless it had the time to
    assert [status for status in list_statuses(tmp_path, 0) if status != "KILLED"] == ["RUNNING", "RUNNING", "FINISHED"]
    assert list_statuses(tmp_path, 1) == ["RUNNING", "FINISHED"]
    check_same_weights(tmp_path, cross_validated)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--launcher ray: needs Ray, .* pip install 'medmamba-monai\[ray\]'"):
        Ray(RunFolder(tmp_path), RayOptions()).list_jobs()

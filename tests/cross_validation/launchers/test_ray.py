"""Folds as actors of a Ray cluster of two nodes on this machine, one of which is taken away in mid-fold.

Where the folds themselves do not matter, a light program stands for their process.
"""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.launchers import watch
from medmamba_monai.cross_validation.launchers.ray import EXTRA, Ray, RayOptions
from medmamba_monai.cross_validation.launchers.watch import WatchedJobs
from tests.helpers.cluster_runs import (
    check_same_weights,
    has_trained,
    list_statuses,
    read_printed,
    wait_for,
    wait_until,
)
from tests.helpers.local_jobs import make_job, read_job, replace_fold_process
from tests.helpers.small_bundle import ROOT, SmallBundle, start

HAS_RAY = importlib.util.find_spec("ray") is not None
of_ray = pytest.mark.skipif(not HAS_RAY, reason=f"Ray is missing, which tests do not need: pip install '{EXTRA}'")


FOLD_0 = re.compile(r"fold 0: job (\S+) is running on \S+ \(node (\w+)\)")


@contextmanager
def run_ray(folder: str) -> Iterator[Any]:
    """Run a head that takes no fold, and two nodes for one fold each; what they run finds packages in the folder."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        made.fold_nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        yield made
        made.shutdown()


def take_away(cluster: Any, node: str) -> None:
    """End the node of a fold as if it had lost its power, and add another one."""
    cluster.remove_node(next(one for one in cluster.fold_nodes if one.node_id.startswith(node)), allow_graceful=False)
    cluster.fold_nodes.append(cluster.add_node(num_cpus=1))


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


@of_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_weights_are_those_of_an_undisturbed_run(
    small_bundle: SmallBundle, cross_validated: Path, tmp_path: Path
) -> None:
    with run_ray(str(ROOT)) as cluster:
        options = {"launcher": "ray", "ray_address": cluster.address, "ray_cpus": 1, "tracking_uri": ""}
        command = small_bundle.command("cross_validation", ["cross_validation"], tmp_path, **options)
        first = start(command, tmp_path)
        wait_for(lambda: FOLD_0.search(read_printed(tmp_path)) and has_trained(tmp_path, 0), tmp_path)
        name, node = FOLD_0.findall(read_printed(tmp_path))[0]
        take_away(cluster, node)
        wait_for(lambda: f"fold 0: job {name} is running again" in read_printed(tmp_path), tmp_path)
        first.send_signal(signal.SIGKILL)
        first.wait()

        second = start(command, tmp_path)
        assert second.wait() == 0, read_printed(tmp_path)
    assert f"fold 0: its job {name} is in the queue already" in read_printed(tmp_path)
    assert list_statuses(tmp_path, 0) == ["RUNNING", "RUNNING", "FINISHED"]  # who is gone with its node says nothing
    assert list_statuses(tmp_path, 1) == ["RUNNING", "FINISHED"]
    check_same_weights(tmp_path, cross_validated)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--launcher ray: needs Ray, .* pip install 'medmamba-monai\[ray\]'"):
        Ray(RunFolder(tmp_path), RayOptions()).list_jobs()

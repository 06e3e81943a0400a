"""A search on a cluster: what is refused at once, and a whole one on a real Slurm."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medmamba_monai.cli.main import main
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.launchers.watch import read_exit_code, read_job_name
from medmamba_monai.tracking.journal_file import read_lines
from tests.auto.test_run import write_plan
from tests.helpers.cluster_runs import read_printed, wait_for
from tests.helpers.minutes import takes_minutes
from tests.helpers.prepared_folders import draw_classes
from tests.helpers.ray_cluster import of_ray, run_ray
from tests.helpers.slurm import of_a_cluster, run_slurm
from tests.helpers.small_bundle import ROOT, SmallBundle, run_command, start


@takes_minutes
@of_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_trains_on_slurm(small_bundle: SmallBundle, tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    output = tmp_path / "search"
    output.mkdir()
    write_plan(output, small_bundle)
    command = [sys.executable, "-W", "ignore", "-m", "medmamba_monai", "auto", "--output", str(output)]
    with run_slurm(tmp_path / "slurm") as variables:
        told = [*command, "--launcher", "slurm", "--slurm-cpus", "1"]
        code, printed = run_command(told, tmp_path, True, **variables)
    assert code == 0, printed
    assert (output / "report.html").is_file()
    winner = json.loads((output / "choice.json").read_text())["winner"]
    loser = ({"quick", "idle"} - {winner}).pop()
    runs = output / "bundles" / "phantom" / "output"
    folds = [RunFolder(runs / name).fold(fold) for name, fold in ((winner, 0), (winner, 1), (loser, 0))]
    jobs = [str(read_job_name(fold)) for fold in folds]
    assert [read_exit_code(fold, job) for fold, job in zip(folds, jobs, strict=True)] == [0, 0, 0]
    assert printed.count("jobs of Slurm: ") == 3  # both candidates, the better one to its end, its other fold
    steps = json.loads((output / "race.json").read_text())["steps"]
    assert [(step["phase"], step["fold"]) for step in steps] == [("race", 0)] * 3 + [("finals", 1)]


def test_options_of_a_launcher_are_those_of_a_cross_validation(
    tmp_path: Path, small_bundle: SmallBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(tmp_path, small_bundle)
    assert main(["auto", "--output", str(tmp_path), "--launcher", "pbs"]) == 2
    assert "--launcher 'pbs': give local or slurm or ray" in capsys.readouterr().err
    assert main(["auto", "--output", str(tmp_path), "--launcher", "slurm", "--slurm-gpus", "1"]) == 2
    assert "--slurm_gpus 1: which precision is auto depends on the GPU" in capsys.readouterr().err


def test_what_would_be_refused_later_is_refused_before_anything_is_measured(
    tmp_path: Path, small_bundle: SmallBundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--bundle", str(small_bundle.root), "--dataset-dir", str(small_bundle.dataset_dir)]
    command = ["auto", *given, "--output", str(tmp_path / "search"), "--plan-only"]
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = {
        ("--launcher", "slurm"): "--launcher slurm: this machine has no squeue; run it on a login node",
        ("--launcher", "slurm", "--slurm-gpus", "1"): "--slurm_gpus 1: which precision is auto depends on the GPU",
        ("--launcher", "slurm", "--slurm-gpus", "1", "--amp", "float16"): "this machine has no squeue",
        ("--jobs", "4"): "--jobs 4: on this machine a search trains one network at a time; leave it out, or give",
        ("--slurm-gpus", "1"): "--slurm-gpus 1: on this machine a search trains one network at a time",
    }
    for more, error in refused.items():
        assert main([*command, *more]) == 2
        said = capsys.readouterr()
        assert error in said.err
        assert "Measuring" not in said.out


@contextmanager
def run_cluster(launcher: str, folder: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Run a cluster while the block runs; gives the options of its launcher, and variables."""
    if launcher == "ray":
        with run_ray(str(ROOT)) as cluster:
            yield ["--ray-address", cluster.address, "--ray-cpus", "1"], {}
    else:
        folder.mkdir()
        with run_slurm(folder) as variables:
            yield ["--slurm-cpus", "1"], variables


@takes_minutes
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("launcher", [pytest.param("slurm", marks=of_a_cluster), pytest.param("ray", marks=of_ray)])
def test_a_search_from_images_to_its_report_on_a_cluster(tmp_path: Path, launcher: str) -> None:
    """Measured, planned, stopped in the race, started again; so short is the time that one network is measured."""
    images, output = draw_classes(tmp_path / "images"), tmp_path / "search"
    with run_cluster(launcher, tmp_path / "cluster") as (more, variables):
        told = ["--output", str(output), "--budget", "4m", "--launcher", launcher, *more, "--jobs", "2"]
        command = [sys.executable, "-W", "ignore", "-m", "medmamba_monai", "auto", *told]
        first = start([*command, "--images", str(images)], tmp_path, True, **variables)
        wait_for(lambda: list(output.rglob("fold_0/cluster_job.json")), tmp_path, first)
        first.send_signal(signal.SIGKILL)
        first.wait()
        planned = read_printed(tmp_path)
        code, printed = run_command(command, tmp_path, True, **variables)
    assert code == 0, printed
    title = launcher.title()
    assert f"Measuring how fast networks train on a node of {title}" in planned
    assert "measuring networks: job " in planned
    assert f"A node of {title}: " in planned
    assert f"As --jobs says: 2 jobs of {title} at a time" in planned
    assert "is used as it stands" in printed
    assert (output / "report.html").is_file()
    assert (output / "package").is_dir()
    assert "in the queue already" in printed
    tags = [line["values"] for line in read_lines(RunFolder(output).journal) if line["op"] == "tags"]
    assert tags[0]["device"] == f"jobs of {title}, no GPU each"

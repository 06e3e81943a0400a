"""Several networks with several seeds, cross-validated by one command and compared."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.bundle.repeat import repeat_cross_validation
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.launchers.watch import read_exit_code, read_job_name
from tests.helpers.minutes import takes_minutes
from tests.helpers.ray_cluster import of_ray, run_ray
from tests.helpers.slurm import of_a_cluster, run_slurm
from tests.helpers.small_bundle import ROOT, SmallBundle, run_command
from tests.helpers.tracked_runs import TrackedRuns

NETWORKS = ("densenet121", "resnet18")
RUNS = [f"first-{network}-seed3" for network in NETWORKS]


def make_command(small_bundle: SmallBundle, folder: Path, **more: Any) -> list[str]:
    """Make the command that cross-validates both networks for an epoch."""
    shutil.copy(small_bundle.store, folder / "mlruns.db")
    options = {
        "dataset-dir": small_bundle.dataset_dir,
        "data-list": small_bundle.data_list,
        "output-dir": folder / "all",
        "tracking-uri": f"sqlite:///{folder}/mlruns.db",
        **{"image-size": 32, "batch-size": 4, "epochs": 1, "bootstrap-resamples": 100, "run-name": "first"},
        **more,
    }
    said = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    lists = ["--network-name", *NETWORKS, "--seed", "3"]
    return [sys.executable, "-W", "ignore", "-m", "medmamba_monai", "repeat", str(small_bundle.root), *said, *lists]


def check_compared(folder: Path) -> None:
    """Check that both cross-validations have reports, and that they were compared."""
    for name in RUNS:
        run = RunFolder(folder / "all" / name)
        assert run.report.is_file()
        assert json.loads(run.settings.read_text())["seed"] == 3
    (compared,) = (folder / "output" / "comparisons").iterdir()
    models = json.loads(RunFolder(compared).comparison.read_text())["models"]
    assert tuple(models) == NETWORKS


def list_jobs(folder: Path) -> list[str]:
    """Names of the jobs of all folds, each of which has said that it ended well."""
    folds = [RunFolder(folder / "all" / name).fold(fold) for name in RUNS for fold in (0, 1)]
    names = [read_job_name(fold) or "" for fold in folds]
    assert [read_exit_code(fold, name) for fold, name in zip(folds, names, strict=True)] == [0] * 4
    runs = TrackedRuns(folder / "mlruns.db")
    assert len(runs.parents) == 3  # one is the comparison
    assert len(runs.children) == 4
    assert set(runs.statuses().values()) == {"FINISHED"}
    return names


@takes_minutes
@pytest.mark.slow
def test_networks_are_cross_validated_and_compared(small_bundle: SmallBundle, tmp_path: Path) -> None:
    code, printed = run_command(make_command(small_bundle, tmp_path), tmp_path)
    assert code == 0, printed
    check_compared(tmp_path)


@takes_minutes
@of_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_folds_are_one_array_of_slurm(small_bundle: SmallBundle, tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    command = make_command(small_bundle, tmp_path, launcher="slurm", **{"slurm-cpus": 1})
    with run_slurm(tmp_path / "slurm") as variables:
        code, printed = run_command(command, tmp_path, **variables)
    assert code == 0, printed
    check_compared(tmp_path)
    arrays = {name.split("_")[0] for name in list_jobs(tmp_path)}
    assert len(arrays) == 1
    assert f"first-resnet18-seed3 fold 1: job {arrays.pop()}_3 is running" in printed


@takes_minutes
@of_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_folds_of_both_networks_share_the_nodes_of_ray(small_bundle: SmallBundle, tmp_path: Path) -> None:
    with run_ray(str(ROOT)) as cluster:
        options = {"ray-address": cluster.address, "ray-cpus": 1}
        code, printed = run_command(make_command(small_bundle, tmp_path, launcher="ray", **options), tmp_path)
    assert code == 0, printed
    check_compared(tmp_path)
    names = list_jobs(tmp_path)
    assert len(set(names)) == 4
    nodes = {
        found[1] for name in names for found in re.finditer(rf"job {name} is running on \S+ \(node (\w+)\)", printed)
    }
    assert len(nodes) == 2


def test_what_is_given_twice_is_refused(small_bundle: SmallBundle) -> None:
    with pytest.raises(UserError, match="--seed 1 1: give at least one, and each once"):
        repeat_cross_validation(small_bundle.root, ["medmamba"], [1, 1])

"""What goes wrong on a cluster, done to a real Slurm; a light program stands for the folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medmamba_monai.core.run_folder import RunFolder
from tests.helpers.cluster_runs import wait_until
from tests.helpers.light_folds import run_light_folds
from tests.helpers.minutes import takes_minutes
from tests.helpers.slurm import SmallSlurm, name_node, of_a_cluster, run_small_slurm

pytestmark = [of_a_cluster, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallSlurm]:
    with run_small_slurm(tmp_path_factory.mktemp("slurm"), settings="SlurmdTimeout=20\n") as running:
        yield running


def test_a_signal_before_the_time_limit_and_a_dead_node_let_folds_begin_again(
    slurm: SmallSlurm, tmp_path: Path
) -> None:
    """Of a time limit what comes before it, the signal that submitit asks for."""
    node = f"NodeName={name_node()}"
    with run_light_folds(slurm, tmp_path, (0, 7)) as folds:
        folds.wait_begun()
        slurm.tell("scancel", "--signal=USR2", folds.name(0))
        folds.begin_again(0)
        assert [folds.goes_on(fold) for fold in (0, 1)] == [True, False]

        slurm.tell("scontrol", "update", node, "State=DOWN", "Reason=test")
        for fold in (0, 1):
            folds.wait_queued_again(fold)
        wait_until(lambda: not slurm.find_steps())  # a node is taken out of use where the old job is still there
        slurm.tell("scontrol", "update", node, "State=RESUME", check=False)  # it may have come back by itself
        for fold in (0, 1):
            folds.begin_again(fold)
            folds.let_end(fold)
        assert folds.wait() == {0: 0, 1: 7}
        assert [folds.goes_on(fold) for fold in (0, 1)] == [True, True]


def test_a_killed_daemon_of_a_node_that_is_started_again_costs_nothing(slurm: SmallSlurm, tmp_path: Path) -> None:
    with run_light_folds(slurm, tmp_path, (0, 7)) as folds:
        folds.wait_begun()
        slurm.kill("slurmd")
        folds.let_end(0)
        wait_until(lambda: RunFolder(folds.jobs[0].directory).exit_code.is_file())
        slurm.start("slurmd")
        folds.let_end(1)
        assert folds.wait() == {0: 0, 1: 7}
        assert [folds.goes_on(fold) for fold in (0, 1)] == [False, False]


@pytest.mark.parametrize("ends_meanwhile", [False, pytest.param(True, marks=takes_minutes)])
def test_while_slurm_does_not_answer_it_is_said_and_folds_go_on(
    slurm: SmallSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str], ends_meanwhile: bool
) -> None:
    """Of a fold that ends meanwhile Slurm hears within a minute or two."""
    printed = ""

    def says(text: str) -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return text in printed

    with run_light_folds(slurm, tmp_path, (0, 7)) as folds:
        folds.wait_begun()
        slurm.end("slurmctld")
        wait_until(lambda: says("Slurm does not answer and is asked again"))
        if ends_meanwhile:
            folds.let_end(0)
            wait_until(lambda: RunFolder(folds.jobs[0].directory).exit_code.is_file())
            assert folds.codes == {}
        assert "Unable to contact slurm controller" in folds.scheduler.cancel([folds.name(1)])
        slurm.start("slurmctld")
        wait_until(lambda: says("Slurm answers again"))
        folds.let_end(0, 1)
        assert folds.wait() == {0: 0, 1: 7}
        assert [folds.goes_on(fold) for fold in (0, 1)] == [False, False]


@takes_minutes
def test_a_fold_begins_again_when_slurm_itself_tells_it_of_its_time_limit(slurm: SmallSlurm, tmp_path: Path) -> None:
    with run_light_folds(slurm, tmp_path, minutes=1) as folds:
        folds.wait_begun()
        folds.wait_queued_again(0, 150)
        folds.begin_again(0)
        folds.let_end(0)
        assert folds.wait() == {0: 0}
        assert folds.goes_on(0)


@takes_minutes
def test_folds_of_a_node_that_lost_its_power_begin_again(slurm: SmallSlurm, tmp_path: Path) -> None:
    with run_light_folds(slurm, tmp_path, (0, 7)) as folds:
        folds.wait_begun()
        slurm.kill("slurmd", with_folds=True)
        for fold in (0, 1):
            folds.wait_queued_again(fold)
        slurm.start("slurmd")
        slurm.wait_for_node()
        for fold in (0, 1):
            folds.begin_again(fold)
            folds.let_end(fold)
        assert folds.wait() == {0: 0, 1: 7}
        assert [folds.goes_on(fold) for fold in (0, 1)] == [True, True]

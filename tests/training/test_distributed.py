from __future__ import annotations

import csv
import json
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import monai.bundle
import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from sklearn.metrics import log_loss, roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.journal_file import read_lines
from medmamba_monai.training import find_local_device, has_begun, start_distributed
from tests.helpers.minutes import takes_minutes
from tests.helpers.small_bundle import (
    Running,
    SmallBundle,
    end_group,
    free_port,
    run_distributed,
    start,
    start_ranks,
    wait_until,
)
from tests.helpers.small_training import SmallTraining, stop_after
from tests.helpers.two_hosts import Host, two_hosts
from tests.helpers.warm_commands import run_processes

UNEVEN = {"validate#dataset#data": "$@parts['validation'][:19]"}


@pytest.fixture(scope="module")
def trained(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One epoch by two processes that validate 10 and 9 images, with precise statistics; its folder and its journal."""
    folder = tmp_path_factory.mktemp("distributed")
    options = {
        "epochs": 1,
        "precise_batch_norm": True,
        "tracking_uri": None,
        "ckpt_dir": str(folder / "models"),
        **UNEVEN,
    }
    command = small_bundle.command("training", ["train", "multi_gpu_train"], folder, **options)
    codes, printed = run_distributed(command, folder, number=2, MLFLOW_TRACKING_URI="")
    assert codes == [0, 0], printed
    return SimpleNamespace(folder=folder, printed=printed, journal=read_lines(folder / "output" / "tracking.jsonl"))


@pytest.mark.slow
def test_only_the_first_process_prints_and_logs(trained):
    assert trained.printed.count("epoch 1/1") == 1
    assert [line["op"] for line in trained.journal].count("start") == 1
    assert [line["status"] for line in trained.journal if line["op"] == "status"] == ["RUNNING", "FINISHED"]


@pytest.mark.slow
def test_weights_are_saved_without_the_wrapper(trained):
    with safe_open(trained.folder / "models" / "model.safetensors", framework="pt") as file:
        assert not [name for name in file.keys() if name.startswith("module.")]  # noqa: SIM118
        assert json.loads(file.metadata()["medmamba_monai"])["epoch"] == 1


@pytest.mark.slow
def test_validation_is_that_of_all_images_with_the_weights_that_are_saved(trained, small_bundle, own_process):
    """It would not be, were the parts of the processes lost or their BatchNorm statistics different."""
    options = small_bundle.options(trained.folder, ckpt_dir=str(trained.folder / "models"), tracking_uri="")
    configs = [small_bundle.config("train"), small_bundle.config("evaluate")]
    monai.bundle.run("evaluating", config_file=configs, **options)
    with (trained.folder / "output" / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "validation"][:19]
    labels, scores = [int(row["label"]) for row in rows], [float(row["probability_1"]) for row in rows]
    logged = next(line["values"] for line in trained.journal if line["op"] == "metrics" and line["step"] == 1)
    assert logged["validation/loss"] == pytest.approx(log_loss(labels, scores), abs=1e-6)
    assert logged["validation/auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)


def list_trained_epochs(folder):
    journal = folder / "output" / "tracking.jsonl"
    lines = read_lines(journal) if journal.is_file() else []
    return [line["step"] for line in lines if line["op"] == "metrics" and line["step"]]


def make_commands(small_bundle, tmp_path):
    """Two folders, and for each the command that trains three epochs afresh into it."""
    folders = [tmp_path / "alone", tmp_path / "disturbed"]
    commands = []
    for folder in folders:
        folder.mkdir()
        options = {"epochs": 3, "tracking_uri": "", "resume": False, "ckpt_dir": str(folder / "models")}
        commands.append(small_bundle.command("training", ["train", "multi_gpu_train"], folder, **options))
    return *folders, *commands


def check_as_undisturbed(disturbed, alone):
    """Check that a training went on where it was, and to the weights of another one that nothing disturbed."""
    journal = read_lines(disturbed / "output" / "tracking.jsonl")
    assert [line["op"] for line in journal].count("start") == 1
    assert [line["status"] for line in journal if line["op"] == "status"][-2:] == ["RUNNING", "FINISHED"]
    assert sorted(set(list_trained_epochs(disturbed))) == [1, 2, 3]
    weights, expected = (load_file(folder / "models" / "model.safetensors") for folder in (disturbed, alone))
    assert all((weights[name] == expected[name]).all() for name in expected)


@pytest.mark.long
def test_a_killed_process_costs_no_more_than_an_epoch(small_bundle, tmp_path):
    """One of two is killed in mid-training, and torchrun starts both again."""
    alone, disturbed, command_alone, command = make_commands(small_bundle, tmp_path)
    codes, printed = run_distributed(command_alone, alone, number=2)
    assert codes == [0, 0], printed
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--max-restarts=1"]
    python, *arguments = command
    fresh_store = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    running = start([python, *arguments[:2], *torchrun, *arguments[2:]], disturbed, **fresh_store)
    wait_until(lambda: bool(list_trained_epochs(disturbed)), running)
    ranks = sorted(psutil.Process(running.pid).children(), key=lambda process: process.pid)
    ranks[1].kill()
    assert running.wait() == 0, (disturbed / "output.txt").read_text()
    check_as_undisturbed(disturbed, alone)


@takes_minutes
@pytest.mark.timeout(900)
def test_a_process_killed_on_one_of_two_machines_costs_no_more_than_an_epoch(small_bundle, tmp_path):
    """Two network namespaces stand for the machines; each has a torchrun with one process."""
    alone, disturbed, command_alone, command = make_commands(small_bundle, tmp_path)
    with two_hosts() as hosts:
        first, second = (start_on(host, hosts[0], command, disturbed) for host in hosts)
        try:
            wait_until(lambda: bool(list_trained_epochs(disturbed)), first)
            [rank] = psutil.Process(second.pid).children()
            rank.kill()
            codes = [running.wait(timeout=300) for running in (first, second)]
        finally:
            for running in (first, second):
                end_group(running)
    assert codes == [0, 0], [(disturbed / host.interface / "output.txt").read_text() for host in hosts]
    codes, printed = run_distributed(command_alone, alone, number=2)
    assert codes == [0, 0], printed
    check_as_undisturbed(disturbed, alone)


def start_on(host: Host, leader: Host, command: list[str], folder: Path) -> Running:
    """Start the ``torchrun`` of a host as docs/how-to/run-a-bundle.md does, in a folder of what it prints."""
    place = folder / host.interface
    place.mkdir()
    torchrun = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", "--max-restarts=1"]
    torchrun += ["--rdzv-backend=c10d", f"--rdzv-endpoint={leader.address}:29500"]
    torchrun += [f"--rdzv-conf=is_host={int(host == leader)}", f"--local-addr={host.address}"]
    variables = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "GLOO_SOCKET_IFNAME": host.interface}
    python, *arguments = command
    return start(host.command([python, *arguments[:2], *torchrun, *arguments[2:]]), place, **variables)


@pytest.mark.long
def test_who_waits_for_a_process_that_stands_still_gives_up(small_bundle, tmp_path):
    options = {"epochs": 50, "tracking_uri": "", "timeout_minutes": 0.05}
    command = small_bundle.command("training", ["train", "multi_gpu_train"], tmp_path, **options)
    waiting, still = start_ranks(command, tmp_path, number=2)
    wait_until(lambda: bool(list_trained_epochs(tmp_path)), waiting)
    still.send_signal(signal.SIGSTOP)
    try:
        assert waiting.wait(timeout=60) != 0
        assert re.search("timed? ?out", (tmp_path / "output.txt").read_text(), re.IGNORECASE)
    finally:
        still.send_signal(signal.SIGKILL)
        still.wait()


def test_restarts_that_would_look_for_the_dead_are_refused(monkeypatch):
    for name, value in (
        ("LOCAL_RANK", "0"),
        ("TORCHELASTIC_MAX_RESTARTS", "3"),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"--max-restarts=3: .* set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        start_distributed(timeout_minutes=1)


@pytest.mark.parametrize(("resumed", "restarted"), [([0, 0], [0, 0]), ([0, 0], [0, 1]), ([1, 0], [0, 0])])
def test_all_processes_go_on_where_one_knows_of_a_restart(tmp_path, resumed, restarted):
    """On two machines, torchrun counts a restart on one of them alone."""
    run_processes(_write_whether_begun, free_port(), resumed, restarted, tmp_path, number=2)
    found = [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)]
    assert found == [str(any(resumed + restarted))] * 2


def _write_whether_begun(rank: int, port: int, resumed: list[int], restarted: list[int], folder: Path) -> None:
    _join(rank, port, TORCHELASTIC_RESTART_COUNT=str(restarted[rank]))
    (folder / f"{rank}.txt").write_text(str(has_begun(bool(resumed[rank]))))
    torch.distributed.destroy_process_group()


def _join(rank: int, port: int, **more: str) -> None:
    """Join the group of two processes as one that torchrun started."""
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ.update(**together, RANK=str(rank), LOCAL_RANK=str(rank), **more)
    start_distributed(timeout_minutes=1)


@pytest.mark.slow
def test_machines_that_see_other_checkpoints_are_refused(tmp_path):
    """The folder of the second process is another one, as on a machine that does not share the first one's."""
    stop_after(SmallTraining(tmp_path / "0"), 2)
    run_processes(_write_refusal, free_port(), tmp_path, number=2)
    for rank, epochs in ((0, ("2", "0")), (1, ("0", "2"))):
        refusal = (tmp_path / f"{rank}.txt").read_text()
        assert refusal.startswith(str(tmp_path / str(rank) / "checkpoints"))
        assert re.findall("after epoch (.)", refusal) == list(epochs)
        assert "--output_dir must be a folder that all machines see" in refusal


def _write_refusal(rank: int, port: int, folder: Path) -> None:
    _join(rank, port)
    try:
        SmallTraining(folder / str(rank)).run()
    except UserError as error:
        (folder / f"{rank}.txt").write_text(str(error))
    torch.distributed.destroy_process_group()


def test_without_torchrun_the_error_gives_the_command(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="torchrun --standalone --nproc_per_node=N"):
        start_distributed(timeout_minutes=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for the device where there is no GPU; here is one")
def test_without_gpus_each_process_computes_on_the_cpu():
    assert find_local_device() == torch.device("cpu")

"""How many folds run at a time, by what was asked for, the cores, and what a fold was found to take of a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.slots import GpuMemory, Slots, check_jobs

GIB = 1 << 30
GPU = torch.device("cuda")


@pytest.mark.parametrize("jobs", [0, "0", "-1", -1, True, 1.5, "1.5", "many", None])
def test_what_is_no_number_of_jobs_is_refused(jobs):
    with pytest.raises(UserError, match=f"--jobs {jobs}: at least one fold must run at a time; give auto or a whole"):
        check_jobs(jobs)


def test_a_number_of_jobs_may_come_from_a_command_line():
    assert [check_jobs(jobs) for jobs in ("4", 4, "auto")] == [4, 4, "auto"]


def test_a_cpu_serves_one_fold_or_as_many_as_asked_for():
    slots = Slots("auto", 5, torch.device("cpu"), cores=8)
    assert (slots.number, slots.most, slots.update()) == (1, 1, 1)
    assert slots.describe() == "folds: 1 at a time on the 8 cores of the CPU"
    assert Slots(3, 5, torch.device("cpu")).number == 3


def make_slots(folder: Path, jobs: int | str = "auto", folds: int = 5, gpus: int = 1, cores: int = 16) -> Slots:
    notes = [folder / str(fold) for fold in range(folds)]
    return Slots(jobs, folds, GPU, notes, gpus, cores)


def test_on_a_gpu_others_wait_until_the_first_says_what_it_takes(tmp_path, capsys):
    slots = make_slots(tmp_path)
    assert (slots.update(), slots.most) == (1, 5)
    assert slots.describe().startswith("folds: 1 at first, then as many as GPU memory and 16 cores take")
    GpuMemory(taken=4 * GIB, free=130 * GIB).write(tmp_path / "0")
    assert slots.update() == 5
    assert capsys.readouterr().out == (
        "folds: 5 at a time from now on: a fold takes 6.0 GiB of GPU memory, of which 130.0 GiB are free; 16 cores, 2 "
        "a fold (--jobs to choose)\n"
    )
    GpuMemory(taken=4 * GIB, free=1 * GIB).write(tmp_path / "1")
    assert slots.update() == 5
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("taken", "free", "gpus", "cores", "expected"),
    [
        (20, 27, 1, 16, 2),  # 26 GiB for each more
        (20, 25, 1, 16, 1),
        (4, 130, 1, 4, 2),
        (4, 130, 1, 1, 1),
        (20, 27, 2, 16, 4),
        (20, 5, 2, 16, 2),
        (4, 130, 8, 64, 5),
    ],
)
def test_memory_and_cores_limit_the_folds_at_a_time(tmp_path, taken, free, gpus, cores, expected):
    slots = make_slots(tmp_path, gpus=gpus, cores=cores)
    GpuMemory(taken * GIB, free * GIB).write(tmp_path / "0")
    assert slots.update() == expected


def test_a_number_that_was_asked_for_stays(tmp_path):
    slots = make_slots(tmp_path, jobs=2)
    GpuMemory(1 * GIB, 130 * GIB).write(tmp_path / "0")
    assert (slots.update(), slots.most) == (2, 2)
    assert slots.describe() == "folds: 2 at a time on 1 GPU"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_memory_of_a_gpu_is_measured():
    tensor = torch.zeros(1 << 28, device="cuda")
    found = GpuMemory.measure(tensor.device)
    assert found.taken >= tensor.nbytes
    assert 0 < found.free < torch.cuda.get_device_properties(0).total_memory - tensor.nbytes

from __future__ import annotations

from typing import Any

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.execution import choose_execution
from tests.training.test_options import options


def test_a_newcomer_reads_what_was_chosen_and_why(capsys):
    found = choose_execution(options(scan_backend="torch"))
    assert (found.device.type, found.dtype, found.compiles, found.graphs) == ("cpu", None, False, False)
    found.announce(within=True)
    assert not capsys.readouterr().out
    found.announce()
    device, precision, scan, speed = capsys.readouterr().out.splitlines()
    assert device.startswith("device: cpu, ")
    assert precision == "precision: float32, which auto means on a cpu"
    assert scan == "scan: torch, as asked for"
    assert speed == "CUDA graphs: off (needs a GPU, the device is cpu); torch.compile: off"


def test_bfloat16_on_a_cpu_is_taken_where_it_is_asked_for():
    found = choose_execution(options(amp="bfloat16"))
    assert found.dtype is torch.bfloat16
    assert not found.needs_scaler
    assert found.lines[1].startswith("precision: bfloat16, with weights and states of the scan in float32")


def test_a_network_without_scan_has_no_line_for_it():
    lines = choose_execution(options(network_name="resnet18", depths=None)).lines
    assert [line.split(":")[0] for line in lines] == ["device", "precision", "CUDA graphs"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cuda_graphs": True}, "--cuda_graphs True needs a GPU, the device is cpu; use --cuda_graphs auto"),
        ({"cuda_graphs": "often"}, "--cuda_graphs 'often': give auto, True or False"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        choose_execution(options(**changes))


def test_without_a_compiler_compiling_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "g++")
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler, and there is no g\+\+"):
        choose_execution(options(compile=True))


def test_only_the_first_of_several_processes_prints(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    choose_execution(options()).announce()
    assert not capsys.readouterr().out

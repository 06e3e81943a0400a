"""Where the time of one image goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import latency


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("medmamba_monai::directional_scan_forward", "scan"),
        ("aten::mkldnn_convolution", "convolutions"),
        ("aten::addmm", "linear layers"),
        ("aten::native_layer_norm", "norms"),
        ("aten::copy_", "activations, sums and copies"),
    ],
)
def test_an_operator_counts_as_the_first_kind_that_fits(operator: str, kind: str) -> None:
    assert latency.find_kind(operator) == kind


def test_the_shares_of_a_forward_pass_are_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert latency.main(["--image-size", "32", "--rounds", "1", "--json", str(tmp_path / "latency.json")]) == 0
    result = json.loads((tmp_path / "latency.json").read_text())
    assert sum(result["shares"].values()) == pytest.approx(1)
    assert min(result["shares"].values()) > 0
    assert "batch 1, 32 pixels" in capsys.readouterr().out

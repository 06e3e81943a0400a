"""Several networks with several seeds, cross-validated by one command and compared."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from medmamba_monai.bundle.repeat import repeat_cross_validation
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from tests.helpers.minutes import takes_minutes
from tests.helpers.small_bundle import SmallBundle, run_command


@takes_minutes
@pytest.mark.slow
def test_networks_are_cross_validated_and_compared(small_bundle: SmallBundle, tmp_path: Path) -> None:
    shutil.copy(small_bundle.store, tmp_path / "mlruns.db")
    options = {
        **{
            "dataset-dir": small_bundle.dataset_dir,
            "data-list": small_bundle.data_list,
            "output-dir": tmp_path / "all",
        },
        **{"image-size": 32, "batch-size": 4, "epochs": 1, "bootstrap-resamples": 100, "run-name": "first"},
        "output-dir": tmp_path / "all",
        "tracking-uri": f"sqlite:///{tmp_path}/mlruns.db",
    }
    said = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    lists = ["--network-name", "densenet121", "resnet18", "--seed", "3"]
    command = [sys.executable, "-W", "ignore", "-m", "medmamba_monai", "repeat", str(small_bundle.root), *said, *lists]
    code, printed = run_command(command, tmp_path)
    assert code == 0, printed
    for name in ("first-densenet121-seed3", "first-resnet18-seed3"):
        folder = RunFolder(tmp_path / "all" / name)
        assert folder.report.is_file()
        assert json.loads(folder.settings.read_text())["seed"] == 3
    (compared,) = (tmp_path / "output" / "comparisons").iterdir()
    models = json.loads(RunFolder(compared).comparison.read_text())["models"]
    assert list(models) == ["densenet121", "resnet18"]


def test_what_is_given_twice_is_refused(small_bundle: SmallBundle) -> None:
    with pytest.raises(UserError, match="--seed 1 1: give at least one, and each once"):
        repeat_cross_validation(small_bundle.root, ["medmamba"], [1, 1])

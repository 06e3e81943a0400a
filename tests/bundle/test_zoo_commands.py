"""The model zoo's form of every command, without a run id, in the folder of a bundle that was copied elsewhere."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from medmamba_monai.core.errors import find_user_error, format_error
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.data import write_phantom
from tests.helpers.small_bundle import ROOT, SMALL, SmallBundle, run_command
from tests.helpers.tracked_runs import TrackedRuns
from tests.helpers.warm_commands import launch_fold_server

pytestmark = pytest.mark.slow
TRAINING = [text for name, value in {**SMALL, "epochs": 1}.items() for text in (f"--{name}", str(value))]
INFERENCE = [*TRAINING[:6], "--dataset_dir", "data/phantom/test"]
COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "prepare": (["data"], ["--num_folds", "2", "--allow_count_mismatch", "True"]),
    "train": (["train"], TRAINING),
    "evaluate": (["train", "evaluate"], TRAINING),
    "infer": (["inference"], INFERENCE),
    "cross-validate": (["cross_validation"], [*TRAINING, "--report_images", "False"]),
    "evaluate all": (
        ["train", "evaluate", "ensemble_evaluate"],
        [*TRAINING, "--folds_dir", "output/cross_validation"],
    ),
    "infer with all": (
        ["inference", "ensemble_inference"],
        [*INFERENCE, "--folds_dir", "output/cross_validation", "--num_folds", "2", "--output_dir", "eval_all"],
    ),
}


def run_monai(folder: Path, *arguments: str) -> tuple[str, str]:
    """Run ``python -m monai.bundle run`` with arguments in a folder, within this process.

    Returns:
        What it printed, and the line that a user error ends it with; empty where it ran to its end.
    """
    root, printed, error = logging.getLogger(), io.StringIO(), ""
    handlers, level, threads = list(root.handlers), root.level, torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(folder)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(sys, "argv", ["monai.bundle", "run", *arguments])
        patch.setattr(sys, "excepthook", sys.excepthook)
        patch.setattr(FoldServer, "_launch", launch_fold_server)
        torch.set_num_threads(1)
        try:
            runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
        except Exception as caught:
            if (known := find_user_error(caught)) is None:
                raise
            error = format_error(known)
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
            torch.set_num_threads(threads)
    return printed.getvalue(), error


def files(*names: str) -> list[str]:
    return ["--config_file", str([f"configs/{name}.json" for name in names])]


@pytest.fixture(scope="module")
def bundle(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A bundle copied to another place, with every command run in its folder, without a run id."""
    root = tmp_path_factory.mktemp("elsewhere") / "bundle"
    shutil.copytree(ROOT / "bundles" / "phantom", root, ignore=shutil.ignore_patterns("output", "models", "eval"))
    shutil.copy(small_bundle.store, root / "mlruns.db")
    write_phantom(root / "data" / "phantom", num_train=40, num_test=20, image_size=32)
    printed = {}
    for name, (configs, options) in COMMANDS.items():
        printed[name], error = run_monai(root, *files(*configs), *options)
        assert error == ""
    return SimpleNamespace(root=root, printed=printed)


def count_rows(path: Path) -> int:
    with path.open() as stream:
        return len(list(csv.DictReader(stream)))


def test_data_json_prepares(bundle):
    assert len(json.loads((bundle.root / "folds.json").read_text())["training"]) == 40
    assert (bundle.root / "prepare_report.json").is_file()


def test_train_json_trains(bundle):
    assert "fold 0, epoch 1/1" in bundle.printed["train"]
    assert (bundle.root / "models" / "fold_0" / "model.safetensors").is_file()


def test_evaluate_json_evaluates(bundle):
    metrics = json.loads((bundle.root / "output" / "training" / "fold_0" / "metrics.json").read_text())
    assert metrics.keys() == {"validation", "test"}


def test_inference_json_classifies(bundle):
    assert count_rows(bundle.root / "eval" / "predictions.csv") == 20


def test_cross_validation_json_cross_validates(bundle):
    summary = json.loads((bundle.root / "output" / "cross_validation" / "summary.json").read_text())
    assert summary["folds_finished"] == 2


def test_the_ensemble_overlays_go_on_top(bundle):
    metrics = json.loads((bundle.root / "output" / "training" / "ensemble" / "metrics.json").read_text())
    assert metrics.keys() == {"test"}
    assert count_rows(bundle.root / "eval_all" / "predictions.csv") == 20


def test_everything_is_in_one_store(bundle):
    runs = TrackedRuns(bundle.root / "mlruns.db")
    assert {"training, fold 0", "training, ensemble", "cross_validation"} == {run.info.run_name for run in runs.parents}
    assert sorted(run.info.run_name for run in runs.children) == ["fold 0", "fold 1"]


@pytest.mark.long
def test_several_processes_train(bundle):
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", *files("train", "multi_gpu_train"), *TRAINING]
    more = ["--run_name", "two", "--ckpt_dir", "models/two", "--tracking_uri", ""]
    code, printed = run_command([*command, *more], bundle.root)
    assert code == 0, printed
    assert "fold 0, epoch 1/1" in printed
    assert (bundle.root / "models" / "two" / "model.safetensors").is_file()


def test_monais_own_tracking_is_declined_in_one_line(bundle):
    """``--tracking mlflow`` of the zoo: one set of runs, and nothing that names a folder of this machine."""
    store = bundle.root / "tracked.db"
    shutil.copy(bundle.root / "mlruns.db", store)
    more = ["--tracking_uri", f"sqlite:///{store}", "--run_name", "tracked", "--tracking", "mlflow"]
    before = {run.info.run_id for run in TrackedRuns(store).parents}
    for configs in (["train"], ["train", "evaluate"]):
        printed, error = run_monai(bundle.root, *files(*configs), *TRAINING, *more)
        assert error == ""
        assert printed.count("this bundle logs to MLflow by itself") == 1
    runs = [run for run in TrackedRuns(store).parents if run.info.run_id not in before]
    assert [(run.info.run_name, run.info.status) for run in runs] == [("tracked, fold 0", "FINISHED")]
    assert "test/auc" in runs[0].data.metrics
    assert not {"dataset_dir", "bundle_root", "output_dir"} & runs[0].data.params.keys()
    assert [path for path in bundle.root.rglob("config_*.json") if path.parent.name != "configs"] == []


@pytest.mark.parametrize(
    ("name", "row"),
    [("train", "--epochs"), ("inference", "--tta"), ("data", "--num_folds"), ("cross_validation", "--jobs")],
)
def test_help_lists_the_options_with_their_values(bundle, name, row):
    printed, error = run_monai(bundle.root, "help", *files(name), row, "7" if name != "inference" else "True")
    assert error == ""
    listed = [line.split()[1] for line in printed.splitlines() if line.startswith(f"{row} ")]
    assert listed == ["7" if name != "inference" else "True"]


def test_lower_case_false_is_false(bundle):
    before = (bundle.root / "folds.json").read_bytes()
    options = ["--num_folds", "3", "--allow_count_mismatch", "true", "--overwrite", "false"]
    _, error = run_monai(bundle.root, *files("data"), *options)
    assert error.endswith("pass --overwrite True")
    assert (bundle.root / "folds.json").read_bytes() == before


@pytest.mark.parametrize("folder", ["2024", "a,b"])
def test_a_folder_may_be_called_as_fire_calls_numbers_and_lists(bundle, folder):
    shutil.copytree(bundle.root / "data" / "phantom", bundle.root / folder)
    options = ["--num_folds", "2", "--allow_count_mismatch", "True", "--data_list", f"{folder} folds.json"]
    _, error = run_monai(bundle.root, *files("data"), "--dataset_dir", folder, *options)
    assert error == ""
    assert (bundle.root / f"{folder} folds.json").is_file()


def test_the_choice_of_a_network_says_the_new_word(bundle):
    _, error = run_monai(bundle.root, "training", *files("train"), "--network", "resnet50")
    assert error.startswith("error: --network resnet50: ")
    assert error.endswith("--network_name resnet50")

"""The model zoo's form of every command, without a run id, in the folder of a bundle that was copied elsewhere."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from medmamba_monai.data import write_phantom
from tests.helpers.small_bundle import ROOT, SMALL, run_command
from tests.helpers.tracked_runs import TrackedRuns

pytestmark = pytest.mark.slow
MONAI = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
TRAINING = [text for name, value in {**SMALL, "epochs": 1}.items() for text in (f"--{name}", str(value))]
INFERENCE = [*TRAINING[:6], "--dataset_dir", "data/phantom/test"]
COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "prepare": (["data"], ["--num_folds", "2", "--allow_count_mismatch", "True"]),
    "train": (["train"], TRAINING),
    "evaluate": (["train", "evaluate"], TRAINING),
    "infer": (["inference"], INFERENCE),
    "cross-validate": (["cross_validation"], TRAINING),
    "evaluate all": (
        ["train", "evaluate", "ensemble_evaluate"],
        [*TRAINING, "--folds_dir", "output/cross_validation"],
    ),
    "infer with all": (
        ["inference", "ensemble_inference"],
        [*INFERENCE, "--folds_dir", "output/cross_validation", "--num_folds", "2", "--output_dir", "eval_all"],
    ),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A bundle copied to another place, with every command run in its folder, without a run id."""
    root = tmp_path_factory.mktemp("elsewhere") / "bundle"
    shutil.copytree(ROOT / "bundles" / "phantom", root, ignore=shutil.ignore_patterns("output", "models", "eval"))
    write_phantom(root / "data" / "phantom", num_train=40, num_test=20, image_size=32)
    printed = {}
    for name, (configs, options) in COMMANDS.items():
        files = [f"configs/{config}.json" for config in configs]
        code, printed[name] = run_command([*MONAI, "--config_file", str(files), *options], root)
        assert code == 0, printed[name]
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


def test_several_processes_train(bundle):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *MONAI[3:]]
    files = "['configs/train.json','configs/multi_gpu_train.json']"
    more = ["--run_name", "two", "--ckpt_dir", "models/two", "--device", "cpu"]
    code, printed = run_command([*command, "--config_file", files, *TRAINING, *more], bundle.root)
    assert code == 0, printed
    assert "fold 0, epoch 1/1" in printed
    assert (bundle.root / "models" / "two" / "model.safetensors").is_file()


def test_monais_own_tracking_is_declined_in_one_line(bundle):
    """``--tracking mlflow`` of the zoo: one set of runs, and nothing that names a folder of this machine."""
    shutil.copy(bundle.root / "mlruns.db", bundle.root / "tracked.db")
    store = ["--tracking_uri", f"sqlite:///{bundle.root}/tracked.db", "--run_name", "tracked"]
    before = {run.info.run_id for run in TrackedRuns(bundle.root / "tracked.db").parents}
    for configs in (["train"], ["train", "evaluate"]):
        files = str([f"configs/{name}.json" for name in configs])
        command = [*MONAI, "--config_file", files, *TRAINING, *store, "--tracking", "mlflow"]
        code, printed = run_command(command, bundle.root)
        assert code == 0, printed
        assert printed.count("this bundle logs to MLflow by itself") == 1
    runs = [run for run in TrackedRuns(bundle.root / "tracked.db").parents if run.info.run_id not in before]
    assert [(run.info.run_name, run.info.status) for run in runs] == [("tracked, fold 0", "FINISHED")]
    assert "test/auc" in runs[0].data.metrics
    assert "dataset_dir" not in runs[0].data.params
    assert list(bundle.root.rglob("config_*.json")) == []


def test_help_lists_the_options_with_their_values(bundle):
    for name, row in (("train", "--epochs"), ("inference", "--tta"), ("data", "--num_folds")):
        command = [*MONAI, "help", "--config_file", f"configs/{name}.json"]
        code, printed = run_command(command, bundle.root)
        assert code == 0, printed
        assert [line for line in printed.splitlines() if line.startswith(f"{row} ")]


def test_lower_case_false_is_false(bundle):
    command = [*MONAI, "--config_file", "configs/data.json", "--num_folds", "3", "--allow_count_mismatch", "true"]
    before = (bundle.root / "folds.json").read_bytes()
    code, printed = run_command([*command, "--overwrite", "false"], bundle.root)
    assert code == 1
    assert "pass --overwrite True" in printed
    assert (bundle.root / "folds.json").read_bytes() == before


@pytest.mark.parametrize("folder", ["2024", "a,b"])
def test_a_folder_may_be_called_as_fire_calls_numbers_and_lists(bundle, folder):
    command = [*MONAI, "--config_file", "configs/data.json", "--dataset_dir", folder, "--data_list", "other.json"]
    code, printed = run_command([*command, "--download", "False"], bundle.root)
    assert code == 1
    error = printed.splitlines()[-1]
    assert error.startswith("error: ")
    assert folder in error


def test_the_choice_of_a_network_says_the_new_word(bundle):
    command = [*MONAI, "training", "--config_file", "configs/train.json", "--network", "resnet50"]
    code, printed = run_command(command, bundle.root)
    assert code == 1
    assert printed.splitlines()[-1].startswith("error: --network resnet50: ")
    assert printed.splitlines()[-1].endswith("--network_name resnet50")

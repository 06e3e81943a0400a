"""A copied bundle from the command line, and what it answers to what the user can fix."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import monai.bundle
import pytest
import torch

from tests.helpers.small_bundle import SmallBundle, run_command

ARCHITECTURE = {"image_size": 32, "depths": [1, 1], "channels": [8, 16]}


@pytest.fixture(scope="module")
def commanded(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Training, evaluation and inference with a copy of the bundle, started in another folder."""
    folder = tmp_path_factory.mktemp("commanded")
    bundle = SmallBundle(folder / "copy", small_bundle.dataset_dir, small_bundle.data_list, small_bundle.store)
    shutil.copytree(small_bundle.root, bundle.root)
    shutil.copy(bundle.store, bundle.root / "mlruns.db")
    defaults = {"output_dir": None, "tracking_uri": None, "run_name": None}
    images = {"dataset_dir": str(bundle.dataset_dir / "test"), "data_list": None, "batch_size": None}
    training = bundle.command("training", ["train"], folder, epochs=1, **defaults)
    evaluating = bundle.command("evaluating", ["train", "evaluate"], folder, epochs=1, **defaults)
    inference = bundle.command(
        "inference", ["inference"], folder, epochs=None, learning_rate=None, **defaults, **images
    )
    printed = {}
    for name, command in (("training", training), ("evaluating", evaluating), ("inference", inference)):
        code, printed[name] = run_command(command, folder)
        assert code == 0, printed[name]
    return SimpleNamespace(bundle=bundle, folder=folder, printed=printed)


@pytest.mark.slow
def test_training_leaves_weights_and_a_checkpoint_in_the_bundle(commanded):
    root = commanded.bundle.root
    assert (root / "models" / "fold_0" / "model.pt").is_file()
    assert (root / "models" / "fold_0" / "model.safetensors").is_file()
    assert (root / "output" / "training" / "fold_0" / "checkpoints" / "checkpoint_epoch=0001.pt").is_file()
    assert "fold 0, epoch 1/1" in commanded.printed["training"]


@pytest.mark.slow
def test_nothing_is_written_into_the_current_folder(commanded):
    assert sorted(path.name for path in commanded.folder.iterdir()) == ["copy", "output.txt"]


@pytest.mark.slow
def test_evaluation_predicts_both_parts(commanded):
    output = commanded.bundle.root / "output" / "training" / "fold_0"
    with (output / "predictions.csv").open() as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    assert (parts.count("validation"), parts.count("test")) == (20, 20)
    assert json.loads((output / "metrics.json").read_text()).keys() == {"validation", "test"}


@pytest.mark.slow
def test_inference_agrees_with_the_evaluation_of_the_same_images(commanded):
    root = commanded.bundle.root
    with (root / "eval" / "predictions.csv").open() as file:
        inferred = {row["id"]: float(row["probability Nodule (blob)"]) for row in csv.DictReader(file)}
    with (root / "output" / "training" / "fold_0" / "predictions.csv").open() as file:
        evaluated = [float(row["probability_1"]) for row in csv.DictReader(file) if row["part"] == "test"]
    assert len(inferred) == 20
    assert sorted(inferred.values()) == pytest.approx(sorted(evaluated), abs=2e-6)


@pytest.mark.slow
def test_an_error_that_the_user_can_fix_ends_the_command_with_one_line(small_bundle, tmp_path):
    code, printed = run_command(
        small_bundle.command("training", ["train"], tmp_path, data_list="no/folds.json"), tmp_path
    )
    assert code == 1
    assert printed.splitlines()[-1].startswith(
        "error: no/folds.json: there is no fold list; run prepare first: python -m"
    )
    assert "Traceback" not in printed


class Refusal:
    """Runs a bundle in this process and gives what Python would print when the error ends the process."""

    def __init__(self, bundle: SmallBundle, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.bundle, self.folder, self.capfd = bundle, folder, capfd

    def __call__(self, run_id: str, configs: list[str], **changes: Any) -> str:
        options = self.bundle.options(self.folder, **{"tracking_uri": "", **changes})
        with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI and Ignite wrap errors in kinds of their own
            monai.bundle.run(run_id, config_file=[self.bundle.config(name) for name in configs], **options)
        sys.excepthook(caught.type, caught.value, caught.tb)
        printed = self.capfd.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return printed.err[printed.err.index("error: ") :]


@pytest.fixture
def refusal(small_bundle, tmp_path, capfd, own_process) -> Refusal:
    return Refusal(small_bundle, tmp_path, capfd)


COMMANDS = {
    "training": ["train"],
    "evaluating": ["train", "evaluate"],
    "cross_validation": ["cross_validation"],
}
every_command = pytest.mark.parametrize("run_id", COMMANDS)


@every_command
def test_before_prepare(refusal, run_id, tmp_path):
    message = refusal(run_id, COMMANDS[run_id], data_list=str(tmp_path / "folds.json"))
    assert "folds.json: there is no fold list; run prepare first: python -m monai.bundle run prepare" in message


@pytest.mark.parametrize("run_id", ["training", "evaluating"])
def test_a_fold_out_of_range(refusal, run_id):
    assert "has the folds 0 to 1, found 7" in refusal(run_id, COMMANDS[run_id], fold=7)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"folds": [0, 7]}, "--folds 7 does not exist: the list has folds 0 to 1"),
        ({"folds": 2}, "--folds 2 does not exist"),
        ({"jobs": 0}, "--jobs 0: at least one fold must run at a time"),
        ({"config_files": ["configs/trian.json"]}, "no config"),
    ],
)
def test_options_of_a_cross_validation(refusal, changes, expected):
    assert expected in refusal("cross_validation", ["cross_validation"], **changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is none; here is one")
@every_command
def test_a_gpu_where_there_is_none(refusal, run_id):
    message = refusal(run_id, COMMANDS[run_id], device="cuda")
    assert "--device cuda was asked for" in message
    assert "use --device cpu" in message


def test_an_unknown_scan_backend(refusal):
    assert "choose one of auto, reference, torch, numba" in refusal("training", ["train"], scan_backend="fast")


def test_a_scan_backend_that_cannot_run_here(refusal):
    message = refusal("training", ["train"], scan_backend="mamba_ssm")
    assert "scan backend 'mamba_ssm'" in message
    assert "Choose another" in message


@every_command
def test_folds_that_were_edited(refusal, small_bundle, tmp_path, run_id):
    folds = json.loads(small_bundle.data_list.read_text())
    folds["training"][0]["label"] = 1 - folds["training"][0]["label"]
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    message = refusal(run_id, COMMANDS[run_id], data_list=str(tmp_path / "folds.json"))
    assert "folds.json: was edited" in message


@pytest.mark.parametrize("run_id", ["training", "cross_validation"])
def test_an_image_that_is_gone(refusal, small_bundle, tmp_path, run_id):
    shutil.copytree(small_bundle.dataset_dir, tmp_path / "data")
    next((tmp_path / "data" / "train" / "nodule").iterdir()).unlink()
    message = refusal(run_id, COMMANDS[run_id], dataset_dir=str(tmp_path / "data"))
    assert "train/nodule/" in message
    assert "does not exist" in message


def test_images_of_another_version(refusal, small_bundle, tmp_path):
    shutil.copytree(small_bundle.dataset_dir, tmp_path / "data")
    first, second, *_ = sorted((tmp_path / "data" / "train" / "nodule").iterdir())
    shutil.copy(first, second)
    message = refusal("training", ["train"], dataset_dir=str(tmp_path / "data"))
    assert "was made for" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fold": 1}, "was trained with fold 0, but 1 is configured: pass --fold 0"),
        ({"image_size": 48}, "was trained with image_size 32, but 48 is configured: pass --image_size 32"),
        ({"depths": [1, 2]}, "was trained with depths [1, 1], but [1, 2] is configured"),
    ],
)
@pytest.mark.slow
def test_weights_of_something_else(refusal, cross_validated, changes, expected):
    weights = str(cross_validated / "output" / "fold_0" / "model.pt")
    assert expected in refusal("evaluating", ["train", "evaluate"], ckpt_path=weights, **changes)


def test_evaluation_before_training(refusal, tmp_path):
    message = refusal("evaluating", ["train", "evaluate"], ckpt_dir=str(tmp_path))
    assert f"no weights at {tmp_path}/model.pt: train first, or name the file with --ckpt_path" in message


def test_a_tracking_address_that_is_none(refusal):
    assert "use sqlite:///mlruns.db or http://host:port" in refusal("training", ["train"], tracking_uri="mlruns")


@pytest.mark.parametrize("run_id", ["training", "cross_validation"])
def test_an_output_folder_that_cannot_be_made(refusal, tmp_path, run_id):
    (tmp_path / "file").write_text("")
    message = refusal(run_id, COMMANDS[run_id], output_dir=str(tmp_path / "file" / "output"))
    assert "cannot write" in message
    assert "file/output" in message


@pytest.mark.parametrize("run_id", ["training", "cross_validation"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 0}, "--epochs 0: give a whole number from 1"),
        ({"batch_size": 2.5}, "--batch_size 2.5: give a whole number from 1"),
        ({"learning_rate": "fast"}, "--learning_rate 'fast': give a number from 0"),
        ({"cache": 2}, "--cache 2: give auto, gpu, memory, disk, none or a number from 0 to 1"),
        ({"device": "gpu"}, "--device 'gpu' is not a device"),
        ({"device": "cpu", "amp": True}, "--amp True needs a GPU, the device is cpu"),
    ],
)
def test_options_that_make_no_sense(refusal, run_id, changes, expected):
    assert expected in refusal(run_id, COMMANDS[run_id], **changes)


def test_images_too_small_for_the_network(refusal):
    message = refusal("training", ["train"], image_size=4, depths=[1, 1, 1, 1], channels=[8, 8, 8, 8])
    assert "takes images of 32 pixels or more, not image_size=4" in message


def infer(refusal: Refusal, folder: Path, weights: Path, **changes: Any) -> str:
    unknown = {"data_list": None, "batch_size": None, "epochs": None, "learning_rate": None, "run_name": None}
    options = {"dataset_dir": str(folder), "ckpt_path": str(weights), **unknown, **changes}
    return refusal("inference", ["inference"], **options)


@pytest.mark.slow
def test_inference_on_a_damaged_image_names_it(refusal, cross_validated, small_bundle, tmp_path):
    image = next((small_bundle.dataset_dir / "test" / "normal").iterdir())
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "half.png").write_bytes(image.read_bytes()[:200])
    message = infer(refusal, tmp_path / "images", cross_validated / "output" / "fold_0" / "model.pt")
    assert "images/half.png: is damaged" in message


@pytest.mark.slow
def test_inference_leaves_damaged_images_out_when_asked(cross_validated, small_bundle, tmp_path, own_process):
    image = next((small_bundle.dataset_dir / "test" / "normal").iterdir())
    (tmp_path / "images").mkdir()
    shutil.copy(image, tmp_path / "images" / "whole.png")
    (tmp_path / "images" / "half.png").write_bytes(image.read_bytes()[:200])
    monai.bundle.run(
        "inference",
        config_file=small_bundle.config("inference"),
        bundle_root=str(small_bundle.root),
        dataset_dir=str(tmp_path / "images"),
        ckpt_path=str(cross_validated / "output" / "fold_0" / "model.pt"),
        output_dir=str(tmp_path / "eval"),
        skip_unreadable=True,
        **ARCHITECTURE,
    )
    assert (tmp_path / "eval" / "files.csv").read_text() == "id,file\nimage-00001,whole.png\n"


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
def test_inference_in_workers_says_the_same(refusal, cross_validated, tmp_path, num_workers):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "empty.png").touch()
    weights = cross_validated / "output" / "fold_0" / "model.pt"
    message = infer(refusal, tmp_path / "images", weights, num_workers=num_workers)
    assert message.strip() == f"error: {tmp_path}/images/empty.png: is empty; download it again"


def test_inference_without_images(refusal, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no image; readable are .png" in infer(refusal, tmp_path / "empty", tmp_path / "model.pt")
    assert "there is no such folder" in infer(refusal, tmp_path / "nowhere", tmp_path / "model.pt")

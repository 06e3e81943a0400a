"""A user's own images, from a folder to a finished cross-validation, and nothing of the patients in what it leaves."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import monai.bundle
import pytest

from medmamba_monai.cards import load_card
from medmamba_monai.cli.main import main
from tests.helpers.small_bundle import run_command
from tests.helpers.small_images import draw, write_dicom
from tests.helpers.warm_commands import without_package

PATIENT = "Mustermann"
RUN = "import sys, medmamba_monai.cli.main as cli; print(cli.__file__); sys.exit(cli.main())"
SMALL = ["--image_size", "32", "--depths", "[1,1]", "--channels", "[8,16]", "--epochs", "1", "--batch_size", "4"]
SMALL += ["--scan_backend", "torch"]  # the kernels of Numba would be compiled anew for this copy of the package
NAMES_FILES = {"folds.json", "files.csv", "job.json", "description.json", "output.txt"}
"""What stays on the user's machine and must name files: the folds, the key to the ids, orders to processes."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, installed_wheel: Path) -> SimpleNamespace:
    """DICOM files through ``new-bundle`` and the commands that it prints, from a wheel, in an empty folder."""
    root = tmp_path_factory.mktemp("own_images")
    images = root / f"scans of {PATIENT}"
    for label, name in enumerate(("benign", "malignant")):
        for patient in range(4):
            for scan in range(2):
                path = images / name / f"{PATIENT}_{patient}_{scan}.dcm"
                seed = 100 * label + 10 * patient + scan
                write_dicom(path, seed, patient=f"{PATIENT}{patient}", name=f"{PATIENT}^Erika")
    home = tmp_path_factory.mktemp("home")
    wheel = {"PYTHONPATH": str(installed_wheel)}
    python = [sys.executable, "-W", "ignore"]
    command = [*python, "-c", RUN, "new-bundle", "my_ct", "--images", str(images)]
    with without_package():
        code, said = run_command(command, home, **wheel)
        assert code == 0, said
        commands = [line.strip() for line in said.splitlines() if line.startswith("  python -m monai.bundle run")]
        commands = [commands[0].replace("--num_folds 4", "--num_folds 2"), " ".join([commands[1], *SMALL])]
        for line in commands:
            code, output = run_command([*python, *shlex.split(line)[1:]], home, **wheel)
            assert code == 0, output
    return SimpleNamespace(home=home, images=images, said=said, wheel=installed_wheel)


@pytest.mark.long
def test_a_card_and_a_bundle_are_written_where_one_stands(finished):
    assert finished.said.startswith(str(finished.wheel))
    card = load_card(finished.home / "data_lists" / "my_ct" / "card.json")
    assert (card.class_names, card.modality, card.spatial_dims) == (("benign", "malignant"), "CT", 2)
    assert (finished.home / "bundles" / "my_ct" / "configs" / "train.json").is_file()
    assert (finished.home / "data_lists" / "card.schema.json").is_file()


@pytest.mark.long
def test_what_was_decided_is_said(finished):
    assert "groups: images of one PatientID are kept in one fold" in finished.said
    assert "labels: one folder per class ('benign', 'malignant')" in finished.said
    assert "no window in the files: their full range, -1024 to 3071, becomes 0 to 255" in finished.said


@pytest.mark.long
def test_patients_stay_in_one_fold(finished):
    folds = json.loads((finished.home / "data_lists" / "my_ct" / "folds.json").read_text())
    pairs = {(item["group"], item["fold"]) for item in folds["training"]}
    assert len(pairs) == len({group for group, _ in pairs}) == 4


@pytest.mark.long
def test_the_cross_validation_is_finished(finished):
    output = finished.home / "bundles" / "my_ct" / "output" / "cross_validation"
    assert json.loads((output / "summary.json").read_text())["folds_finished"] == 2
    with (output / "pooled_predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 16


@pytest.mark.long
def test_no_patient_is_named_in_what_it_leaves(finished):
    written = [path for path in finished.home.rglob("*") if path.is_file() and path.name not in NAMES_FILES]
    assert {"mlruns.db", "model.pt", "model.safetensors", "predictions.csv", "log.txt"} <= {
        path.name for path in written
    }
    assert any(path.name.startswith("checkpoint_epoch") for path in written)
    assert any("mlartifacts" in path.parts for path in written)
    assert [str(path) for path in written if PATIENT.encode() in path.read_bytes()] == []


@pytest.mark.long
def test_no_patient_is_named_by_inference(finished, tmp_path, own_process):
    bundle = finished.home / "bundles" / "my_ct"
    monai.bundle.run(
        "inference",
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        dataset_dir=str(finished.images),
        ckpt_path=str(bundle / "output" / "cross_validation" / "fold_0" / "model.pt"),
        output_dir=str(tmp_path),
        image_size=32,
        depths=[1, 1],
        channels=[8, 16],
    )
    assert PATIENT not in (tmp_path / "predictions.csv").read_text()
    assert (tmp_path / "files.csv").read_text().count(PATIENT) == 16


def own(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.chdir(folder)
    return main(["new-bundle", *options])


@pytest.mark.parametrize(
    ("name", "said"),
    [("My Images", "a name has lower-case letters, digits and _"), ("../up", "a name has lower-case letters")],
)
def test_a_name_that_is_none(tmp_path, monkeypatch, capsys, name, said):
    assert own(tmp_path, monkeypatch, name, "--images", str(tmp_path)) == 2
    assert said in capsys.readouterr().err


def test_a_card_is_replaced_only_when_asked(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        for index in range(5):
            draw(tmp_path / "images" / name / f"{index}.png", index + 10 * (name == "b"))
    assert own(tmp_path, monkeypatch, "mine", "--images", "images", "--title", "First") == 0
    assert own(tmp_path, monkeypatch, "mine", "--images", "images") == 2
    assert "card.json: is there already" in capsys.readouterr().err
    assert own(tmp_path, monkeypatch, "mine", "--images", "images", "--overwrite", "--image-size", "64") == 0
    card = load_card(tmp_path / "data_lists" / "mine" / "card.json")
    assert (card.title, card.image_size) == ("mine", 64)


def test_a_patient_tag_that_names_no_patients_is_said(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        for index in range(5):
            write_dicom(tmp_path / "images" / name / f"{index}.dcm", index, patient=f"ANON-{name}")
    assert own(tmp_path, monkeypatch, "mine", "--images", "images") == 2
    assert "if it does not name patients, pass --group-tag none" in capsys.readouterr().err
    assert own(tmp_path, monkeypatch, "mine", "--images", "images", "--group-tag", "none") == 0


def test_a_path_that_monai_would_change_is_refused(tmp_path, monkeypatch, capsys):
    assert own(tmp_path, monkeypatch, "mine", "--images", "my#1") == 2
    assert "a path with # cannot be used" in capsys.readouterr().err


def test_too_few_images_leave_nothing_behind(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        draw(tmp_path / "images" / name / "0.png", int(name == "b"))
    assert own(tmp_path, monkeypatch, "mine", "--images", "images") == 2
    assert "add images" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["images"]


def test_too_few_images_for_five_folds_are_said(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        for index in range(4):
            draw(tmp_path / "images" / name / f"{index}.png", index + 10 * (name == "b"))
    assert own(tmp_path, monkeypatch, "mine", "--images", "images") == 0
    assert "--num_folds 4" in capsys.readouterr().out

"""A package of the shared cross-validation: the same numbers, and one clear error for each thing that can be wrong."""

from __future__ import annotations

import ast
import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import read_fold_list
from medmamba_monai.evaluation import compute_metrics, read_result
from medmamba_monai.networks.blocks import SS2D
from medmamba_monai.package import Package, open_run, write_package
from medmamba_monai.package.manifest import MANIFEST, compute_digest
from medmamba_monai.package.select_folds import select_folds
from medmamba_monai.package.write import MODEL_CARD, _check_overrides, _explain_selection
from tests.test_imports import ROOT, import_graph, module_of


@pytest.fixture(scope="module")
def run(cross_validated: Path) -> Path:
    return cross_validated / "output"


@pytest.fixture(scope="module")
def folder(packed: Path) -> Path:
    return packed


@pytest.fixture(scope="module")
def fold_list(small_bundle):
    return read_fold_list(small_bundle.data_list, small_bundle.dataset_dir)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copied"))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("fold", [0, 1])
def test_predictions_are_those_of_the_fold_bit_for_bit_in_the_same_batches(run, folder, fold_list, fold):
    expected = read_result(run).folds[fold]
    parts = fold_list.parts(fold)
    items = [*parts["validation"], *parts["test"]]
    assert [item["id"] for item in items] == list(expected.ids)
    found = Package.open(folder).predict([item["image"] for item in items])
    np.testing.assert_array_equal(found.folds[fold], expected.probabilities)


def test_the_mean_of_the_folds_is_the_ensemble_of_the_cross_validation(run, folder, fold_list):
    result = read_result(run)
    found = Package.open(folder).predict([item["image"] for item in fold_list.parts(0)["test"]], batch_size=7)
    np.testing.assert_allclose(found.probabilities, result.combined_predictions.probabilities, rtol=0, atol=1e-6)
    calibrated = result.calibration.after
    after = result.combined_predictions.change_checked(probabilities=found.calibrated)
    assert compute_metrics(after, list(calibrated)) == pytest.approx(dict(calibrated), abs=1e-5)
    np.testing.assert_allclose(found.doubt, 1 - found.calibrated[np.arange(20), found.predicted])


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_sets_are_those_that_the_review_judged(run, folder, fold_list, level):
    result = read_result(run)
    found = Package.open(folder).predict([item["image"] for item in fold_list.parts(0)["test"]])
    for summary, method, by_class in zip(
        [one for one in result.prediction_sets or () if one.level == level],
        ("LAC", "APS", "LAC"),
        (False, False, True),
        strict=True,
    ):
        sets = found.predict_sets(level, method, by_class)
        held = sets[np.arange(20), result.combined_predictions.labels]
        assert (held.mean(), sets.sum(axis=1).mean()) == pytest.approx(
            (summary.values["coverage"], summary.values["size"])
        )


def test_a_run_opens_as_its_package_does(run, folder, fold_list):
    images = [item["image"] for item in fold_list.parts(0)["test"]]
    opened = open_run(run)
    assert opened.manifest.members == Package.open(folder).manifest.members
    np.testing.assert_array_equal(
        opened.predict(images).probabilities, Package.open(folder).predict(images).probabilities
    )
    assert [member.fold for member in open_run(run, folds=1).manifest.members] == [1]


def test_a_run_opens_with_the_scan_that_it_was_trained_with(run, tmp_path):
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    settings = json.loads((copied / "settings.json").read_text())
    (copied / "settings.json").write_text(json.dumps({**settings, "scan_backend": "torch"}))
    modules = [module for network in open_run(copied).networks.values() for module in network.modules()]
    assert {module.scan_backend for module in modules if isinstance(module, SS2D)} == {"torch"}


def test_the_best_fold_is_that_of_the_highest_validation_auc(run, tmp_path):
    result = read_result(run)
    aucs = {fold: compute_metrics(part, ["auc"])["auc"] for fold, part in result.validated.items()}
    package = write_package(run, tmp_path / "best", "best")
    (member,) = package.manifest.members
    assert aucs[member.fold] == max(aucs.values())
    assert package.manifest.figures["metrics"]["auc"]["value"] == result.fold_metrics[member.fold]["auc"]
    assert f"fold {member.fold} of 2" in (tmp_path / "best" / "README.md").read_text(encoding="utf-8")


def test_the_files_hold_figures_and_no_path_or_image_of_this_machine(run, folder, small_bundle):
    written = {
        name: (folder / name).read_text(encoding="utf-8") for name in ("README.md", MANIFEST, "card.json", MODEL_CARD)
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*written, "fold_0.safetensors", "fold_1.safetensors", "unlike.safetensors"]
    )
    ids = read_result(run).folds[0].ids
    for text in written.values():
        assert str(small_bundle.root.parent) not in text
        assert not any(name in text for name in ids)
    auc = read_result(run).metrics["auc"]
    header = written["README.md"].split("---\n")[1]
    fields = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in header.splitlines()}
    metrics = fields["model-index"][0]["results"][0]["metrics"]
    assert next(one["value"] for one in metrics if one["type"] == "auc") == auc
    assert "Generated: a result on it says nothing" in written["README.md"]


def change_manifest(folder: Path, **changes: object) -> None:
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps({**content, **changes}), encoding="utf-8")


def test_another_format_version_is_named(copied):
    change_manifest(copied, format_version=2, unknown=1)
    with pytest.raises(UserError, match=r"package\.json: is a package of format 2, and .* reads format 1"):
        Package.open(copied)


@pytest.mark.parametrize("name", ["fold_1.safetensors", "card.json", "unlike.safetensors"])
def test_a_damaged_file_is_named(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[-2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: is damaged or was changed"):
        Package.open(copied)


def test_a_missing_file_is_named(copied):
    (copied / "fold_0.safetensors").unlink()
    with pytest.raises(UserError, match=r"fold_0\.safetensors: cannot be read"):
        Package.open(copied)


def test_weights_that_do_not_fit_are_named(copied):
    network = json.loads((copied / MANIFEST).read_text(encoding="utf-8"))["network"]
    change_manifest(copied, network={**network, "channels": [8, 32]})
    with pytest.raises(UserError, match=r"fold_0\.safetensors does not fit the network 'medmamba'"):
        Package.open(copied)


def test_a_path_out_of_the_package_is_refused(copied, tmp_path):
    shutil.copy(copied / "card.json", tmp_path / "card.json")
    change_manifest(copied, card={"path": "../card.json", "sha256": compute_digest(tmp_path / "card.json")})
    with pytest.raises(UserError, match=r"card\.path"):
        Package.open(copied)


def test_a_run_that_has_not_finished_is_named(tmp_path):
    with pytest.raises(UserError, match=r"review\.json: cannot be read .* when it has finished"):
        write_package(tmp_path, tmp_path / "package")


def test_a_folder_that_holds_something_is_left_alone(run, folder):
    with pytest.raises(UserError, match="is not empty"):
        write_package(run, folder)


def test_commands_pack_and_predict_and_keep_what_can_be_read(run, folder, small_bundle, tmp_path, capsys):
    images = tmp_path / "images"
    shutil.copytree(next((small_bundle.dataset_dir / "test").iterdir()), images)
    names = sorted(path.name for path in images.iterdir())
    (images / names[1]).write_bytes(b"\x89PNG\r\n\x1a\nno image")
    output = tmp_path / "predictions"
    assert main(["infer", str(folder), str(images), "--output", str(output), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: 1 of {len(names)} images cannot be read")
    assert names[1] in error
    rows = list(csv.DictReader((output / "predictions.csv").open(encoding="utf-8")))
    keys = {row["id"]: row["file"] for row in csv.DictReader((output / "files.csv").open(encoding="utf-8"))}
    assert [keys[row["id"]] for row in rows] == [name for name in names if name != names[1]]
    expected = Package.open(folder).predict([images / keys[row["id"]] for row in rows])
    assert [row["predicted"] for row in rows] == expected.predicted_names
    assert [row["set 0.9"] for row in rows] == expected.name_sets(0.9)
    assert not any(name in (output / "predictions.csv").read_text(encoding="utf-8") for name in names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["images", "--output", "o", "--fold", "1"], "--fold: is an option of bundles, and "),
        (["images", "--output", "o", "--all-folds"], "--all-folds: is an option of bundles, and "),
        (["images", "--output", "o", "--no-tta"], "--tta: is an option of bundles, and "),
        (["images", "--dataset-dir", "others", "--output", "o"], "--dataset-dir others: IMAGES names images already"),
        (["images", "--output", "o", "--batch-size", "0"], "--batch_size '0': give a whole number from 1"),
        (["images", "--output", "o", "--level", "0.8"], "--dataset_dir images: there is no such folder"),
        (["images"], "--output: is missing; write medmamba-monai infer "),
        (["--output", "o"], "IMAGES: is missing; write medmamba-monai infer "),
    ],
)
def test_what_does_not_fit_a_package_is_one_line(folder, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(["infer", str(folder), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")
    assert not list(tmp_path.iterdir())


def test_an_option_of_packages_is_none_of_a_bundle(small_bundle, capsys):
    assert main(["infer", str(small_bundle.root), "images", "--level", "0.8"]) == 2
    assert "--level: is an option of packages, and " in capsys.readouterr().err


def test_a_package_is_written_by_the_command(run, tmp_path, capsys):
    assert main(["package", str(run), "--output", str(tmp_path / "p"), "--folds", "neither"]) == 2
    assert "--folds" in capsys.readouterr().err
    assert main(["package", str(run), "--output", str(tmp_path / "p")]) == 0
    assert "all 2 folds" in capsys.readouterr().out


def test_folds_that_have_finished_are_packed_where_others_are_missing(run):
    whole = read_result(run)
    part = replace(whole, folds={1: whole.folds[1]}, reasons={0: "given up"})
    with pytest.raises(UserError, match=r"the folds \[0\] have not finished: .* takes --folds finished or best"):
        select_folds(part, "all")
    assert select_folds(part, "finished") is part
    assert _explain_selection(part, "finished") == "fold 1 of 2, the only one that has finished"
    assert _explain_selection(whole, "finished") == _explain_selection(whole, "all")


def list_imports_on_loading(path: Path) -> set[str]:
    """The first names of what a file imports when it is imported itself."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[0] for name in [*named, *(str(n.module) for n in nodes if isinstance(n, ast.ImportFrom))]}


def test_opening_and_predicting_import_nothing_that_trains_or_tracks():
    graph = import_graph(ROOT)
    reached, waiting = set(), ["medmamba_monai.package", "medmamba_monai.package.open"]
    while waiting:
        reached.add(name := waiting.pop())
        parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count("."))}
        waiting += (graph[name] | parents & graph.keys()) - reached
    assert {"medmamba_monai.data", "medmamba_monai.networks.registry"} <= reached
    assert not any(name.split(".")[1] in ("training", "tracking", "cross_validation", "bundle") for name in reached)
    files = {module_of(path): path for path in ROOT.rglob("*.py")}
    found = {name: list_imports_on_loading(files[name]) & {"mlflow", "matplotlib", "ignite"} for name in reached}
    assert not any(found.values()), found


@pytest.mark.parametrize(("name", "value"), [("tta", True), ("scales", [1, 1.5])])
def test_a_run_that_looked_several_times_is_refused(name, value):
    _check_overrides(RunFolder("run"), {"overrides": {"tta": False, "scales": [1]}})
    with pytest.raises(UserError, match=f"several views of each image .*; evaluate it without {name}"):
        _check_overrides(RunFolder("run"), {"overrides": {name: value}})


@pytest.mark.parametrize("wrong", [["--device", "gpu"], ["--dataset-dir", "nowhere"]])
def test_a_package_that_could_not_be_written_leaves_nothing_behind(run, tmp_path, wrong, capsys):
    assert main(["package", str(run), "--output", str(tmp_path / "new"), *wrong]) == 2
    assert wrong[1] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_neither_package_nor_bundle_is_told_both(tmp_path, capsys):
    assert main(["infer", str(tmp_path), str(tmp_path), "--output", str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err
    assert "configs/metadata.json" in said
    assert "Nor is it a package, a folder with package.json" in said
    with pytest.raises(UserError, match=r"holds no package\.json; give a folder that medmamba-monai package wrote"):
        Package.open(tmp_path)

"""The commands that run a bundle's configs: what is typed reaches them, and what is wrong is one clear error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from medmamba_monai.bundle.commands import COMMANDS, CROSS_VALIDATE, SEARCH, TRAIN, Command
from medmamba_monai.cli.bundle_options import read_value
from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import expected
from tests.helpers.small_bundle import SmallBundle

pytestmark = pytest.mark.usefixtures("own_process")
SMALL = [
    "--image_size",
    "32",
    "--depths",
    "1",
    "1",
    "--channels",
    "[8,16]",
    "--batch-size",
    "4",
    "--learning-rate",
    "0.01",
]


@pytest.fixture(scope="module")
def folder(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copied bundle."""
    folder = tmp_path_factory.mktemp("commands")
    shutil.copytree(small_bundle.root, folder / "bundle")
    return folder


def places(small_bundle: SmallBundle) -> list[str]:
    return ["--dataset-dir", str(small_bundle.dataset_dir), "--data_list", str(small_bundle.data_list)]


def test_from_the_folds_to_probabilities(small_bundle, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    prepared = ["--dataset-dir", str(small_bundle.dataset_dir), "--num-folds", "2", "--allow-count-mismatch"]
    assert main(["prepare", "bundle", *prepared]) == 0
    assert (folder / "bundle" / "folds.json").is_file()
    training = [*places(small_bundle), *SMALL, "--tracking-uri", ""]
    assert main(["train", "bundle", "--epochs", "1", *training]) == 0
    assert "weights " in capsys.readouterr().out
    assert main(["evaluate", "bundle", *places(small_bundle), "--tracking-uri", ""]) == 0
    metrics = json.loads((folder / "bundle" / "output" / "training" / "fold_0" / "metrics.json").read_text())
    assert set(metrics) == {"validation", "test"}
    assert main(["infer", "bundle", str(small_bundle.dataset_dir / "test")]) == 0
    assert len((folder / "bundle" / "eval" / "predictions.csv").read_text().splitlines()) == 21


@pytest.mark.slow
def test_a_cross_validation(small_bundle, folder, monkeypatch):
    monkeypatch.chdir(folder)
    options = [*places(small_bundle), *SMALL, "--tracking-uri", "", "--epochs", "1"]
    chosen = ["--run-name", "one", "--folds", "1", "--bootstrap-resamples", "100", "--no-report-images"]
    assert main(["cross-validate", "bundle", *options, *chosen]) == 0
    summary = json.loads((folder / "bundle" / "output" / "one" / "summary.json").read_text())
    assert summary["folds_finished"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "bundle", "--epochs", "many"], "error: --epochs 'many': give a whole number from 1"),
        (["train", "bundel"], "error: bundel: is no folder with configs/metadata.json"),
        (["train", "bundle", "--network-name", "resnet99"], "error: --network_name resnet99: does not exist"),
        (["infer", "bundle", "--dataset-dir", "none"], "error: --dataset_dir none: there is no such folder"),
        (["cross-validate", "bundle", "--overrides", "x"], "error: --overrides x: is no JSON"),
        (["cross-validate", "bundle", "--jobs", "0"], "error: --jobs 0: at least one fold must run at a time"),
    ],
)
def test_what_a_user_can_fix_is_one_line(folder, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(folder)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_weights_that_are_not_there_are_one_line(small_bundle, folder, capsys):
    images = str(small_bundle.dataset_dir / "test")
    assert main(["infer", str(folder / "bundle"), "--fold", "9", "--dataset-dir", images]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: no weights at {folder}/bundle/models/fold_9/model.pt: train first")


@pytest.mark.parametrize("folds", [[], ["--all-folds"]])
def test_a_probe_is_said_to_leave_no_weights(folder, capsys, folds):
    run = folder / "bundle" / "output" / "probed"
    (run / "fold_0").mkdir(parents=True, exist_ok=True)
    (run / "settings.json").write_text('{"probe": "knn"}')
    assert main(["infer", str(folder / "bundle"), "--run-name", "probed", *folds]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {run}: its models are probes (--probe knn) of frozen features, which leave no")


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("depths", ["1", "2"], ["1", "2"]),
        ("depths", ["[1,2]"], ["1", "2"]),
        ("depths", ["[1, 2]"], ["1", "2"]),
        ("depths", ["[1,", "2]"], ["1", "2"]),
        ("depths", ["3"], ["3"]),
        ("epochs", "3", "3"),
    ],
)
def test_lists_are_read_as_a_shell_or_python_writes_them(name, typed, value):
    assert read_value(name, TRAIN.rows[name], typed) == value


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        (["configs/my change.json"], ["configs/my change.json"]),
        (["a,b.json", "c.json"], ["a,b.json", "c.json"]),
        (['["my change.json", "[1].json"]'], ["my change.json", "[1].json"]),
        (["[]"], []),
    ],
)
def test_a_blank_or_a_comma_in_a_name_makes_no_second_value(typed, value):
    assert read_value("config_files", CROSS_VALIDATE.rows["config_files"], typed) == value


@pytest.mark.parametrize("typed", [["[1"], ["[a]"], ["[1]", "2"], ["[1, {}"]])
def test_what_begins_like_json_and_is_none_is_named(typed):
    with pytest.raises(UserError, match=r"--depths \[1?.* is no JSON list"):
        read_value("depths", TRAIN.rows["depths"], typed)


def test_a_dictionary_is_json():
    row = CROSS_VALIDATE.rows["overrides"]
    assert read_value("overrides", row, '{"train#trainer#amp": true}') == {"train#trainer#amp": True}
    for typed in ("train#trainer#amp", "[1]", "3", "{" * 9000):
        with pytest.raises(UserError, match="is no JSON dict"):
            read_value("overrides", row, typed)


@pytest.mark.parametrize("command", [*COMMANDS.values(), SEARCH], ids=lambda command: command.name)
def test_a_number_may_be_given_wherever_one_is_expected(command: Command) -> None:
    """A command line knows texts alone."""
    numbers = [name for name, row in command.rows.items() if "a whole number" in expected(row)]
    assert "jobs" in numbers or "jobs" not in command.rows
    assert {name: command.check({name: "2"})[name] for name in numbers} == dict.fromkeys(numbers, 2)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_lists_every_option_of_the_table(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    missing = [name for name in COMMANDS[command].rows if f"--{name.replace('_', '-')}" not in shown]
    assert missing == []

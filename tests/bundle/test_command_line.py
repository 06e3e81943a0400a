from __future__ import annotations

import re

import pytest

from medmamba_monai.bundle.command_line import (
    check_command_line,
    make_continuing_command,
    make_evaluation_command,
    print_next_step,
    print_pretrained,
)
from medmamba_monai.core.errors import UserError
from medmamba_monai.training import PauseTraining
from tests.helpers.small_bundle import ROOT

CONFIGS = ROOT / "bundles" / "phantom" / "configs"


def run(*options: str, config: str = str(CONFIGS / "train.json")) -> None:
    check_command_line(["run", "training", "--config_file", config, *options])


def test_values_of_the_config_and_options_of_monai_are_known():
    run("--epochs", "5", "--train#trainer#max_epochs", "7", "--bundle_root=.", "--meta_file", "x", "--train::amp", "1")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--epoch", r"--epoch: is no value of the config; did you mean --epochs\?"),
        ("--learning_rat=3", r"did you mean --learning_rate\?"),
        ("--xyzzy", "known are amp, "),
    ],
)
def test_an_unknown_option_is_an_error(option, said):
    with pytest.raises(UserError, match=said):
        run(option, "5")


def test_nothing_far_is_suggested_and_an_option_of_another_command_is_told():
    with pytest.raises(UserError, match="--epochs: is no value of the config; known are"):
        run("--epochs", "5", config=str(CONFIGS / "inference.json"))
    said = "prepare takes --num_folds, how many folds to make; --folds says which of them to run"
    with pytest.raises(UserError, match=f"--num_folds: is no value of the config; {said}"):
        run("--num_folds", "5", config=str(CONFIGS / "cross_validation.json"))


@pytest.mark.parametrize("value", ["a#b", "x@::y", "50%::x"])
def test_a_value_that_monai_would_change_is_refused(value):
    with pytest.raises(UserError, match=f"--experiment_name {value}: must not hold"):
        run("--experiment_name", value)


@pytest.mark.parametrize("value", ["@run_name", "$'a#b'", "%run_name", "100 %", "{'train#trainer#max_epochs': 3}"])
def test_what_is_meant_for_monai_is_left_to_it(value):
    run("--experiment_name", value)


def test_spellings_that_fire_takes_are_known():
    run("--noresume", "--bundle-root", ".", "--_meta_#version", "1", "-epochs", "5", "--", "--verbose")
    config = str(CONFIGS / "train.json")
    for spelled in ([f"--config_file={config}"], ["--config-file", config]):
        with pytest.raises(UserError, match="did you mean --epochs"):
            check_command_line(["run", "training", *spelled, "--epoch", "5"])


@pytest.mark.parametrize("text", ["2024.10", "1e5", "0x10", "1_000", "(a)", "a, b", "None", "[a, b]", "True, 1"])
def test_a_text_that_fire_would_change_is_refused(text):
    with pytest.raises(UserError, match=rf"--dataset_dir {re.escape(text)}: MONAI's command line reads it as"):
        run("--dataset_dir", text)


@pytest.mark.parametrize(
    "text", ["2024", "a,b", "my data", "C:\\data", "/data/x.y-z_1", "'2024.10'", "-1", "", " a", "True"]
)
def test_a_text_that_arrives_as_it_is_written_is_taken(text):
    run("--dataset_dir", text)


@pytest.mark.parametrize("options", [["--dataset_dir"], ["--dataset_dir", "--epochs", "5"], ["--dataset_dir", "-x"]])
def test_a_text_option_without_a_value_is_no_folder_named_true(options):
    with pytest.raises(UserError, match="--dataset_dir: needs a value"):
        run(*options)


def test_a_path_with_a_hash_is_refused():
    with pytest.raises(UserError, match=r"--dataset_dir /data/my#1: a path with # cannot be used"):
        run("--dataset_dir", "/data/my#1")


def test_keys_of_all_files_count():
    files = str([str(CONFIGS / "train.json"), str(CONFIGS / "evaluate.json")])
    run("--ckpt_path", "x", config=files)
    with pytest.raises(UserError, match="--ckpt_path"):
        run("--ckpt_path", "x")


def test_other_programs_are_left_alone():
    check_command_line()
    check_command_line(["run", "training", "--args_file", "args.json", "--anything", "1"])


@pytest.mark.parametrize("name", ["train", "inference", "cross_validation"])
def test_the_choice_of_a_network_has_a_new_word(name):
    with pytest.raises(UserError, match=r"--network resnet50: .* --network_name resnet50"):
        run("--network", "resnet50", config=str(CONFIGS / f"{name}.json"))
    run("--network_name", "resnet50", config=str(CONFIGS / f"{name}.json"))


def test_a_part_of_the_network_can_be_overridden():
    run("--network#anything", "1")


MONAI = ["/site/monai/bundle/__main__.py", "run"]
EVALUATING = "python -m monai.bundle run evaluating --config_file"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            [*MONAI, "training", "--config_file", "configs/train.json", "--fold", "1"],
            f"""{EVALUATING} '["configs/train.json","configs/evaluate.json"]' --fold 1""",
        ),
        (
            [*MONAI, "--config_file=['configs/train.json','my loss.json']", "--dataset_dir", "a b"],
            "python -m monai.bundle run evaluating '--config_file="
            """["configs/train.json","my loss.json","configs/evaluate.json"]' --dataset_dir 'a b\'""",
        ),
        (["/bin/medmamba-monai", "train", "phantom", "--epochs", "2"], "medmamba-monai evaluate phantom --epochs 2"),
        (["notebook.py"], "Bundle.evaluate, with the options that were given to train"),
    ],
)
def test_the_command_that_follows_a_training_can_be_typed(arguments, expected):
    assert make_evaluation_command(arguments) == expected


def test_a_training_names_its_weights_and_what_is_next(tmp_path, capsys):
    (tmp_path / "model.pt").touch()
    command = [*MONAI, "training", "--config_file", "configs/train.json"]
    print_next_step(str(tmp_path / "model.pt"), within=True, arguments=command)
    assert capsys.readouterr().out == ""
    print_next_step(str(tmp_path / "model.pt"), within=False, arguments=command)
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"weights of the best epoch: {tmp_path / 'model.pt'}"
    assert second.startswith(f"next, their metrics: {EVALUATING} ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/bin/medmamba-monai", "train", "phantom", "--pause-after", "1"], "medmamba-monai train phantom"),
        (
            ["medmamba-monai", "train", "--no-resume", "--pause_after=1", "--epochs", "3"],
            "medmamba-monai train --epochs 3",
        ),
        (["medmamba-monai", "train", "--no-resume", "phantom"], "medmamba-monai train phantom"),
        (["medmamba-monai", "pretrain", "--pause-after", "1", "a b"], "medmamba-monai pretrain 'a b'"),
        (
            [*MONAI, "training", "--resume", "False", "--amp", "False", "--pause_after", "1"],
            "python -m monai.bundle run training --amp False",
        ),
        (["notebook.py"], "the same call without pause_after"),
    ],
)
def test_the_command_that_goes_on_after_a_pause_can_be_typed(arguments, expected):
    assert make_continuing_command(arguments) == expected


def test_processes_that_train_together_go_on_together(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert make_continuing_command([*MONAI, "training"]) == "the same command without --pause_after"


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_a_training_that_paused_says_how_to_go_on(tmp_path, capsys, command):
    (tmp_path / "model.pt").touch()
    weights, given = str(tmp_path / "model.pt"), ["medmamba-monai", command, "phantom", "--pause-after", "1"]
    pause = PauseTraining(1)
    pause.paused = True
    if command == "train":
        print_next_step(weights, within=False, pause=pause, arguments=given)
    else:
        print_pretrained(str(tmp_path), weights, pause=pause, arguments=given)
    assert capsys.readouterr().out.splitlines() == [
        f"paused; weights of the best epoch so far: {weights}",
        f"next, the epochs that are left: medmamba-monai {command} phantom",
    ]

from __future__ import annotations

import pytest
from small_bundle import ROOT

from medmamba_monai.command_line import check_command_line
from medmamba_monai.errors import UserError

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


def test_keys_of_all_files_count():
    files = str([str(CONFIGS / "train.json"), str(CONFIGS / "evaluate.json")])
    run("--ckpt_path", "x", config=files)
    with pytest.raises(UserError, match="--ckpt_path"):
        run("--ckpt_path", "x")


def test_other_programs_are_left_alone():
    check_command_line()
    check_command_line(["run", "training", "--args_file", "args.json", "--anything", "1"])

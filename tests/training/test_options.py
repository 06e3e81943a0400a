from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Flag
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.data.prepare.options import PrepareOptions
from medmamba_monai.tracking.private_values import PRIVATE
from medmamba_monai.training import (
    EvaluationOptions,
    InferenceOptions,
    TrainingOptions,
    collect_parameters,
    collect_settings,
)

GIVEN: dict[str, Any] = {
    "dataset_dir": "data",
    "data_list": "folds.json",
    "device": "cpu",
    "fold": 0,
    "seed": 0,
    "image_size": 32,
    "epochs": 5,
    "batch_size": 4,
    "learning_rate": 0.001,
    "weight_decay": 0.0001,
    "patience": 20,
    "pause_after": None,
    "network_name": "medmamba",
    "depths": (1, 1),
    "channels": None,
    "drop_path_rate": None,
    "precise_batch_norm": False,
    "grad_checkpointing": False,
    "scan_backend": "auto",
    "amp": False,
    "compile": False,
    "cuda_graphs": "auto",
    "num_workers": 0,
    "cache": "auto",
    "val_interval": 1,
    "resume": True,
    "progress_bar": False,
    "tensorboard": False,
    "tracking_uri": "",
    "experiment_name": "Phantom",
    "run_name": "training",
    "output_dir": "output",
    "ckpt_dir": "models",
}


def options(**changes: Any) -> TrainingOptions:
    return TrainingOptions(**{**GIVEN, **changes})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", True),
        ("epochs", 2.5),
        ("patience", -1),
        ("learning_rate", -1e-3),
        ("learning_rate", math.nan),
        ("learning_rate", "fast"),
        ("drop_path_rate", 1.5),
        ("resume", "maybe"),
        ("depths", "1"),
    ],
)
def test_values_that_do_not_fit_are_refused(name, value):
    with pytest.raises(UserError) as caught:
        options(**{name: value})
    assert str(caught.value).startswith(f"--{name} {value!r}: give a") or "give True or False" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("resume", "false", False),
        ("resume", "True", True),
        ("epochs", "7", 7),
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", 1, 1.0),
        ("dataset_dir", 2024, "2024"),
        ("dataset_dir", ("a", "b"), "a,b"),
        ("dataset_dir", Path("a"), "a"),
        ("run_name", 5, "5"),
        ("cache", "0.5", 0.5),
        ("cache", 1, 1.0),
        ("depths", (2, 2), [2, 2]),
    ],
)
def test_values_become_what_their_row_declares(name, given, taken):
    found = getattr(options(**{name: given}), name)
    assert (found, type(found)) == (taken, type(taken))


def test_a_network_that_is_none_is_answered_with_all():
    with pytest.raises(UserError, match="--network_name resnet99: does not exist; choose one of medmamba, "):
        options(network_name="resnet99")


def test_sizes_of_a_network_that_has_its_own_are_refused_before_it_is_made():
    with pytest.raises(UserError, match=r"'resnet18' has sizes of its own, but depths=\[1, 1\] was given"):
        options(network_name="resnet18", depths=[1, 1], channels=None)


def test_options_that_are_missing_or_unknown_are_named():
    with pytest.raises(UserError, match="--epoch: is no option; choose from "):
        options(epoch=1)
    with pytest.raises(UserError, match="--epochs: is missing; give a whole number from 1"):
        TrainingOptions(**{name: value for name, value in GIVEN.items() if name != "epochs"})


def test_flags_decide_what_must_be_the_same_and_what_is_logged():
    made = options()
    fixed = {"seed", "fold", "image_size", "batch_size", "learning_rate", "weight_decay", "network_name", "depths"}
    fixed |= {"channels", "drop_path_rate", "precise_batch_norm"}
    assert set(collect_settings(made, recipe=True)) == fixed | {"amp", "recipe"}
    logged = collect_parameters(made)
    how = {"amp", "compile", "epochs", "patience", "scan_backend", "grad_checkpointing"}
    assert set(logged) == fixed | how
    assert logged["depths"] == [1, 1]


@pytest.mark.parametrize(
    "table", [TrainingOptions, EvaluationOptions, InferenceOptions, CrossValidationOptions, PrepareOptions]
)
def test_what_is_private_is_hidden_from_the_logged_config(table):
    private = set(table.names(Flag.PRIVATE))
    assert private
    assert private <= set(PRIVATE)


def test_help_shows_every_option_with_value_and_what_it_takes():
    lines = options().format_help().splitlines()
    assert [line.split()[0] for line in lines] == [f"--{name}" for name in TrainingOptions.model_fields]
    epochs = next(line for line in lines if line.startswith("--epochs"))
    assert epochs.split(maxsplit=2)[1:] == ["5", "passes over the training part (a whole number from 1)"]


def test_what_was_given_in_python_is_logged_without_its_paths():
    logged = collect_parameters(options(), overrides='{"loss": {"weights": "/home/Mueller/w.pt", "gamma": 2}}')
    assert "Mueller" not in logged["overrides"]
    assert '"gamma": 2' in logged["overrides"]


@pytest.mark.parametrize(
    ("tta", "scales", "views", "folder"),
    [
        (False, [1], "", ""),
        (True, (1.0,), "test-time augmentation", "tta"),
        (False, [1, 1.5], "scales 1, 1.5", "scales_1_1.5"),
        (True, [2], "test-time augmentation, scales 2", "tta_scales_2"),
    ],
)
def test_views_are_named_in_titles_and_folders(tta, scales, views, folder):
    made = EvaluationOptions(ckpt_path=None, tta=tta, scales=scales)
    assert (made.views, made.views_folder) == (views, folder)


@pytest.mark.parametrize("scales", [[], [0.5], [65], "2", [True], [math.nan], 2])
def test_scales_that_are_none_are_refused(scales):
    with pytest.raises(UserError, match=r"--scales .*: give a list of numbers from 1 to 64"):
        EvaluationOptions(ckpt_path=None, tta=False, scales=scales)

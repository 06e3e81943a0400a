from __future__ import annotations

import pytest

from medmamba_monai.tracking.private_values import HIDDEN, hide_credentials, hide_private_values, hide_quoted_paths


def test_folders_and_servers_are_hidden():
    config = {"dataset_dir": "/home/someone/data", "tracking_uri": "http://host", "epochs": 3, "ckpt_dir": "$@x + '/y'"}
    shown = hide_private_values({**config, "bundle_root": "."})
    assert shown == {**config, "bundle_root": ".", "dataset_dir": HIDDEN, "tracking_uri": HIDDEN}


@pytest.mark.parametrize(
    "value",
    [
        "/data/Mueller",
        "~/Mueller",
        "../Mueller",
        "./Mueller",
        "C:\\Mueller",
        "\\\\nas\\Mueller",
        "$'/data/Mueller'",
        "$'/home/Mueller/' + str(@fold)",
        "$'/home/Mueller@clinic/data'",
        "$os.path.join('/home/Mueller', @name)",
        "file:///Mueller",
    ],
)
def test_a_path_is_hidden_wherever_it_stands(value):
    shown = hide_private_values({"train": {"steps": [{"cache_dir": value}]}, "train#x#cache_dir": value})
    assert "Mueller" not in str(shown)


def test_a_value_that_holds_a_private_one_is_hidden():
    config = {"dataset_dir": "Mueller", "note": "images of Mueller", "sum": "$1 / 2", "url": "https://example.org/x"}
    shown = hide_private_values(config)
    assert shown == {"dataset_dir": HIDDEN, "note": HIDDEN, "sum": "$1 / 2", "url": "https://example.org/x"}


def test_expressions_that_refer_to_other_values_stay():
    config = {
        "log": "$@output_dir + '/tensorboard'",
        "either": "$@run_dir + '/fold_' + str(@fold) + ('/tta' if @tta else '')",
        "same": "@train#dataset",
        "macro": "%train#reading@",
        "none": None,
    }
    assert hide_private_values(config) == config


def test_an_address_is_shown_without_its_password():
    assert hide_credentials("postgresql://me:secret@host/db") == "postgresql://host/db"
    assert hide_credentials("sqlite:////a/b@c.db") == "sqlite:////a/b@c.db"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": "/data/Max Mueller/x", "b": [0.5, "mean"]}', f'{{"a": "{HIDDEN}", "b": [0.5, "mean"]}}'),
        ('["~/Mueller", "C:\\\\Mueller", "file:///Mueller"]', f'["{HIDDEN}", "{HIDDEN}", "{HIDDEN}"]'),
        ('{"a": "/data/Muel', f'{{"a": "{HIDDEN}'),
        (
            '{"a": "torch.nn.CrossEntropyLoss", "b": "train/loss"}',
            '{"a": "torch.nn.CrossEntropyLoss", "b": "train/loss"}',
        ),
        ("e3b0c44298fc1c14", "e3b0c44298fc1c14"),
    ],
)
def test_a_quoted_path_is_hidden_also_where_the_text_is_cut_off(text, shown):
    assert hide_quoted_paths(text) == shown

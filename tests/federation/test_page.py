"""What the page shows of files, options and Python is what there is; its commands are run by the other tests here."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.fl.client import MonaiAlgo, MonaiAlgoStats
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject

from medmamba_monai.cards import load_card
from medmamba_monai.data import read_fold_list
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.site import read_site
from tests.helpers.small_bundle import ROOT, SMALL, SmallBundle

PAGE = (ROOT / "docs" / "how-to" / "federated.md").read_text(encoding="utf-8")


def read_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_file_of_a_site_is_read(small_bundle: SmallBundle, tmp_path: Path):
    (block,) = read_blocks("json")
    places = json.loads(block)
    for source, name in ((small_bundle.root, "bundle"), (small_bundle.dataset_dir, "dataset_dir")):
        shutil.copytree(source, tmp_path / places[name])
    shutil.copy(small_bundle.data_list, tmp_path / places["data_list"])
    (tmp_path / "clinic_a.json").write_text(block)
    site = read_site(tmp_path, "clinic_a")
    values = site.values(Plan.of({}, "one"), 0)
    assert load_card(site.root / "configs" / "card.json").title
    assert read_fold_list(values["data_list"], values["dataset_dir"]).num_folds >= 2


def test_the_options_of_the_table_are_taken():
    rows = re.findall(r"^\| (`--.+?) \|", PAGE.partition("| option |")[2].partition("\n\n")[0], re.MULTILINE)
    words = [word for row in rows for word in re.findall(r"`(--[^`]+)`", row)]
    assert len(words) >= 10
    for text in words:
        option, *values = text.split()
        name = option.removeprefix("--").replace("-", "_")
        examples: dict[str, Any] = {"local_batch_norm": True, "folds": [0, 1], "image_size": 32, "learning_rate": 0.1}
        given = examples.get(name, ast.literal_eval(values[0]) if values and values[0][0].isdigit() else None)
        if given is None:
            given = values[0] if values else 2
        assert name in Plan.of({name: given}, "one").to_message()["options"] | Plan.of({name: given}, "one").training


@pytest.fixture
def folder(small_bundle: SmallBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page's Python is typed: a bundle as it names it, with a small network, and its data."""
    bundle = tmp_path / "bundles" / "pneumoniamnist"
    shutil.copytree(small_bundle.root, bundle)
    shutil.copytree(small_bundle.dataset_dir, tmp_path / "DATA")
    shutil.copy(small_bundle.data_list, bundle / "folds.json")
    for name in ("train", "evaluate"):
        path = bundle / "configs" / f"{name}.json"
        config = json.loads(path.read_text())
        small = {key: value for key, value in {**SMALL, "progress_bar": False}.items() if key in config}
        path.write_text(json.dumps({**config, **small, "data_list": "$@bundle_root + '/folds.json'"}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return tmp_path


def type_python(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, "federated.md", "exec"), names)
    return names


def test_the_client_of_the_page_trains_and_evaluates(folder: Path):
    block, _ = read_blocks("python")
    client = type_python(block)["client"]
    assert isinstance(client, MonaiAlgo)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    client.initialize({ExtraItems.CLIENT_NAME: "hospital_a"})
    weights = {name: tensor.clone() for name, tensor in client.trainer.network.state_dict().items()}
    client.train(ExchangeObject(weights=weights))
    added = client.get_weights().weights  # a difference, unless it is told otherwise
    assert any(np.any(value.numpy()) for value in added.values())
    assert "val_auc" in client.evaluate(ExchangeObject(weights=weights)).metrics
    client.finalize()
    torch.set_num_threads(threads)


def test_the_statistics_of_the_page_count_images(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEDMAMBA_DATA_DIR", str(folder))
    (folder / "DATA").rename(folder / "phantom")
    _, block = read_blocks("python")
    client = type_python(block)["client"]
    assert isinstance(client, MonaiAlgoStats)
    client.initialize({ExtraItems.APP_ROOT: str(folder)})
    bins = {FlStatistics.HIST_BINS: [10], FlStatistics.HIST_RANGE: [[0, 256]]}
    assert client.get_data_stats(bins).statistics["train"][FlStatistics.DATA_COUNT] == 20

"""A bundle as a client of federated learning, by MONAI's own classes: two rounds, evaluations and statistics."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from monai.fl.client import MonaiAlgo, MonaiAlgoStats
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject
from sklearn.metrics import log_loss

from medmamba_monai.data import ReadForStatistics, read_fold_list
from medmamba_monai.evaluation import read_predictions
from tests.helpers.small_bundle import SmallBundle
from tests.helpers.tracked_runs import TrackedRuns

BIAS = "head.bias"


def make_client(bundle: SmallBundle, folder: Path) -> MonaiAlgo:
    """A client of one local epoch a round, which goes by the same name whenever it is started."""
    options = bundle.options(folder, ckpt_dir=str(folder / "models"), progress_bar=False, epochs=None)
    client = MonaiAlgo(str(bundle.root), send_weight_diff=False, train_kwargs=options, eval_kwargs=options)
    client.initialize({ExtraItems.CLIENT_NAME: "clinic"})
    return client


def get_weights(client: MonaiAlgo) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in client.get_weights().weights.items()}


@pytest.fixture(scope="module")
def rounds(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two rounds, between and after which the server sends other weights, which are evaluated, too."""
    folder, threads = tmp_path_factory.mktemp("federated"), torch.get_num_threads()
    shutil.copy(small_bundle.store, folder / "mlruns.db")
    torch.set_num_threads(1)
    client = make_client(small_bundle, folder)
    trained = []
    sent = get_weights(client)
    for shift in (0.0, 7.0):
        client.train(ExchangeObject(weights={**sent, BIAS: sent[BIAS] + shift}))
        trained.append(get_weights(client))
        sent = trained[-1]
    scored = []
    for bias in ([0.0, 0.0], [3.0, 0.0]):
        weights = {**sent, BIAS: torch.tensor(bias)}
        metrics = dict(client.evaluate(ExchangeObject(weights=weights)).metrics)
        predictions = read_predictions(folder / "output" / "predictions.csv", "binary", ["a", "b"])
        scored.append((bias, metrics, predictions))
    client.finalize()
    torch.set_num_threads(threads)
    return SimpleNamespace(folder=folder, client=client, trained=trained, scored=scored, sent=sent)


def test_the_second_round_trains_the_weights_that_were_sent(rounds):
    first, second = (weights[BIAS] for weights in rounds.trained)
    assert torch.allclose(second, first + 7, atol=0.5)
    assert not torch.equal(second, first + 7)
    assert rounds.client.trainer.state.epoch == 2


def test_an_evaluation_scores_the_weights_that_were_sent(rounds):
    """A bias moves every logit by the same number, which tells the probabilities of one evaluation from the other's."""
    (_, first, plain), (bias, second, moved) = rounds.scored
    odds = np.log(plain.probabilities[:, 0] / plain.probabilities[:, 1])
    expected = 1 / (1 + np.exp(-(odds + bias[0])))
    assert moved.probabilities[:, 0] == pytest.approx(expected, abs=1e-5)
    for metrics, predictions in ((first, plain), (second, moved)):
        assert metrics["val_loss"] == pytest.approx(log_loss(predictions.labels, predictions.probabilities), abs=1e-5)


def test_an_evaluation_counts_its_own_images_alone(rounds):
    assert [len(predictions.labels) for _, _, predictions in rounds.scored] == [40, 40]


def test_one_client_is_one_run(rounds):
    (run,) = TrackedRuns(rounds.folder / "mlruns.db").parents
    assert run.info.status == "FINISHED"
    journal = [json.loads(line) for line in (rounds.folder / "output" / "tracking.jsonl").read_text().splitlines()]
    assert [line["op"] for line in journal].count("start") == 1
    assert {line["step"] for line in journal if line["op"] == "metrics" and "train/loss" in line["values"]} == {1, 2}


def test_a_client_that_is_started_again_keeps_what_it_is_sent(rounds, small_bundle, caplog):
    client = make_client(small_bundle, rounds.folder)
    with caplog.at_level(logging.INFO, "medmamba_monai.training"):
        client.train(ExchangeObject(weights={**rounds.sent, BIAS: torch.tensor([50.0, 50.0])}))
    assert torch.allclose(get_weights(client)[BIAS], torch.tensor([50.0, 50.0]), atol=0.5)
    assert client.trainer.state.epoch == 3
    assert "going on after epoch 2 of 3" in caplog.text
    assert "with the weights that it was given" in caplog.text


def test_statistics_are_of_the_images_as_they_are_read(small_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDMAMBA_DATA_DIR", str(tmp_path))
    shutil.copytree(small_bundle.root, tmp_path / "bundle")
    shutil.copytree(small_bundle.dataset_dir, tmp_path / "phantom")
    shutil.copy(small_bundle.data_list, tmp_path / "bundle" / "folds.json")
    read = ReadForStatistics(small_bundle.root / "configs" / "card.json")
    client = MonaiAlgoStats("bundle", data_stats_transform_list=[read])
    client.initialize({ExtraItems.APP_ROOT: str(tmp_path)})
    bins = {FlStatistics.HIST_BINS: [10], FlStatistics.HIST_RANGE: [[0, 256]]}
    statistics = client.get_data_stats(bins).statistics
    found = statistics["train"]

    parts = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir).parts(0)
    pixels = np.stack([read(item)["image"].numpy() for item in parts["train"]])
    assert (found[FlStatistics.DATA_COUNT], found[FlStatistics.FAIL_COUNT]) == (20, 0)
    stats = found[FlStatistics.DATA_STATS]
    assert stats["image_stats"]["intensity"]["max"] == pixels.max()
    assert stats["image_stats"]["intensity"]["mean"] == pytest.approx(pixels.mean(), rel=1e-6)
    assert stats["label_stats"]["labels"] == [0, 1]
    others = np.stack([read(item)["image"].numpy() for item in parts["validation"]])
    counts, _ = np.histogram(others, bins=10, range=(0, 256))
    histogram = statistics["eval"][FlStatistics.DATA_STATS]["image_histogram"]["histogram"][0]
    assert histogram["counts"] == counts.tolist()
    (by_case,) = tmp_path.glob("train*by_case.yaml")
    assert str(tmp_path) not in by_case.read_text()
    names = {case["image_filepath"] for case in yaml.safe_load(by_case.read_text())["stats_by_cases"]}
    assert names == {Path(item["id"]).name for item in parts["train"]}

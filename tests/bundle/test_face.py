"""A bundle from Python: the same configs as from the command line, with the same weights at the end."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Events
from PIL import Image
from safetensors.torch import load_file

from medmamba_monai import Bundle, MedMamba
from medmamba_monai.bundle.commands import COMMANDS, CROSS_VALIDATE
from medmamba_monai.core.errors import UserError
from tests.helpers.small_bundle import ROOT, SMALL, SmallBundle, run_command

pytestmark = pytest.mark.usefixtures("own_process")


@pytest.fixture(scope="module")
def trained(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copied bundle of which two folds were trained from Python, two epochs and one."""
    folder = tmp_path_factory.mktemp("face")
    shutil.copytree(small_bundle.root, folder / "bundle")
    places = {"dataset_dir": small_bundle.dataset_dir, "data_list": small_bundle.data_list}
    bundle = Bundle(folder / "bundle", tracking_uri="", **places)
    for fold in (0, 1):
        bundle.train(fold=fold, **{**SMALL, "epochs": 2 - fold})
    return bundle


def weights_of(file: Path) -> dict[str, torch.Tensor]:
    return load_file(file.with_suffix(".safetensors"))


def test_weights_are_those_of_the_command_line_bit_by_bit(small_bundle, trained, tmp_path):
    command = small_bundle.command("training", ["train"], tmp_path, epochs=2, ckpt_dir=tmp_path, tracking_uri="")
    code, printed = run_command(command, tmp_path)
    assert code == 0, printed
    ours, theirs = weights_of(trained.root / "models" / "fold_0" / "model.pt"), weights_of(tmp_path / "model.pt")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_training_says_what_it_left_and_goes_on(small_bundle, tmp_path):
    bundle = Bundle(small_bundle.root, **small_bundle.options(tmp_path, bundle_root=None, tracking_uri=""))
    first = bundle.train(fold=1, epochs=1, ckpt_dir=tmp_path)
    assert (first.fold, first.epochs, first.best_epoch) == (1, 1, 1)
    assert first.weights == tmp_path / "model.pt"
    assert first.directory == tmp_path / "output"
    second = bundle.train(fold=1, epochs=2, ckpt_dir=tmp_path)
    assert second.epochs == 2
    assert 0 <= second.best_metric <= 1


def test_evaluation_builds_the_network_of_the_weights(trained, capsys):
    evaluated = trained.evaluate(fold=0)
    printed = capsys.readouterr().out
    assert f"test: accuracy (%) {100 * evaluated.metrics['test']['accuracy']:.2f}, " in printed
    assert (
        f"AUC {evaluated.metrics['test']['auc']:.4f}\npredictions, metrics and figures: {evaluated.directory}"
        in printed
    )
    saved = json.loads((evaluated.directory / "metrics.json").read_text())
    assert evaluated.metrics == saved
    assert len(evaluated.predictions) == 40
    assert evaluated.predictions.class_names == ("Normal (line)", "Nodule (blob)")


def test_a_folder_files_and_arrays_have_the_same_probabilities(trained, small_bundle):
    folder = small_bundle.dataset_dir / "test"
    table = trained.predict(folder)
    assert list(table.columns) == ["predicted", "Normal (line)", "Nodule (blob)"]
    assert table.index[0] == "nodule/00001.png"
    probabilities = table[["Normal (line)", "Nodule (blob)"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert list(table["predicted"]) == list(probabilities.idxmax(axis=1))
    files = [folder / name for name in table.index]
    arrays = [np.asarray(Image.open(file)) for file in files]
    tensors = [torch.tensor(array)[None] for array in arrays]
    for images in (files, arrays, tensors, np.stack(arrays)):
        given = trained.predict(images)
        np.testing.assert_array_equal(given.drop(columns="predicted"), probabilities)
    assert list(trained.predict(files).index) == [str(file) for file in files]


def test_predictions_are_those_of_inference(trained, small_bundle, tmp_path):
    folder = small_bundle.dataset_dir / "test"
    written = pd.read_csv(trained.infer(dataset_dir=folder, output_dir=tmp_path))
    table = trained.predict(folder)
    np.testing.assert_allclose(written["probability Nodule (blob)"], table["Nodule (blob)"], atol=1e-6)
    assert list(written["predicted"]) == list(table["predicted"])


def test_predicting_writes_nothing(trained, small_bundle):
    before = {path: path.stat().st_mtime_ns for path in trained.root.rglob("*")}
    trained.predict(small_bundle.dataset_dir / "test")
    assert {path: path.stat().st_mtime_ns for path in trained.root.rglob("*")} == before


def test_all_folds_together_are_their_mean(trained, small_bundle):
    folder = small_bundle.dataset_dir / "test"
    first, second, both = (trained.predict(folder, fold=fold).drop(columns="predicted") for fold in (0, 1, None))
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)


def test_the_network_has_its_weights(trained):
    network = trained.network(fold=1)
    assert isinstance(network, MedMamba)
    assert not network.training
    saved = weights_of(trained.root / "models" / "fold_1" / "model.pt")
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
def test_a_cross_validation_gives_its_result_and_its_weights(small_bundle, tmp_path):
    shutil.copytree(small_bundle.root, tmp_path / "bundle")
    options = small_bundle.options(tmp_path, bundle_root=None, output_dir=None, tracking_uri="", epochs=1)
    bundle = Bundle(tmp_path / "bundle", **options)
    result = bundle.cross_validate(run_name="first", jobs=2, bootstrap_resamples=100, report_images=False)
    review = json.loads((bundle.root / "output" / "first" / "review.json").read_text())["metrics"]["auc"]
    interval = result.intervals.metrics["auc"]
    assert (result.metrics["auc"], interval.low, interval.high) == (review["value"], review["low"], review["high"])
    assert set(result.folds) == {0, 1}
    assert len(result.combined_predictions) == 20
    assert result.directory == bundle.root / "output" / "first"
    table = bundle.predict(small_bundle.dataset_dir / "test", fold=None, run_name="first")
    assert len(table) == 20


def test_preparing_says_where_the_data_are_for_all_that_follows(small_bundle, tmp_path):
    bundle = Bundle("phantom", folder=tmp_path / "bundle", tracking_uri="")
    folds = bundle.prepare(dataset_dir=small_bundle.dataset_dir, num_folds=2, allow_count_mismatch=True)
    assert folds.num_folds == 2
    assert bundle.prepared["dataset_dir"] == small_bundle.dataset_dir
    assert bundle.list_options("train").loc["dataset_dir", "value"] == str(small_bundle.dataset_dir)


def test_an_inference_does_not_take_the_images_that_were_prepared(trained, small_bundle):
    bundle = Bundle(trained.root)
    bundle.prepared = {"dataset_dir": small_bundle.dataset_dir}
    assert bundle.list_options("train").loc["dataset_dir", "value"] == str(small_bundle.dataset_dir)
    assert bundle.list_options("infer").loc["dataset_dir", "value"] == str(trained.root / "images")


def test_what_the_bundle_was_given_says_which_weights_are_used(trained, small_bundle):
    folder = small_bundle.dataset_dir / "test"
    first, second = (trained.predict(folder, fold=fold) for fold in (0, 1))
    assert not first.equals(second)
    weights = trained.root / "models" / "fold_1" / "model.pt"
    for given in ({"fold": 1}, {"ckpt_path": weights}, {"ckpt_path": weights, "fold": 0}):
        bundle = Bundle(trained.root, **given)
        pd.testing.assert_frame_equal(bundle.predict(folder), second)
        pd.testing.assert_frame_equal(bundle.predict(folder, fold=0), first)
        saved = weights_of(weights)
        assert all(torch.equal(value, saved[name]) for name, value in bundle.network().state_dict().items())


def test_what_the_bundle_was_given_says_which_fold_is_trained_and_evaluated(trained, small_bundle):
    places = {"dataset_dir": small_bundle.dataset_dir, "data_list": small_bundle.data_list, "tracking_uri": ""}
    bundle = Bundle(trained.root, fold=1, **places)
    assert bundle.evaluate().fold == 1
    with pytest.raises(UserError, match="has the folds 0 to 1, found 7"):
        Bundle(trained.root, fold=7, **places).train()


@pytest.mark.parametrize("given", [{"overrides": {"loss": None}}, {"fold": None}])
def test_what_would_not_hold_for_each_call_is_refused(given):
    with pytest.raises(UserError, match=r"to each call, not to Bundle|give Bundle a number"):
        Bundle("phantom", **given)


def test_a_run_name_of_the_bundle_does_not_say_which_weights_are_meant(trained):
    with pytest.raises(UserError, match=r"run_name first: Bundle holds it.*; give run_name to the calls"):
        Bundle(trained.root, run_name="first").predict([])


@pytest.mark.parametrize("separator", ["#", "::"])
def test_plain_values_of_a_cross_validation_are_given_by_id(separator):
    given = {f"train{separator}trainer{separator}amp": False, "loss": {"weights": [1, 2.5, None, "#"]}}
    assert CROSS_VALIDATE.check({"overrides": given}) == {"overrides": given}


@pytest.mark.parametrize(
    "value", [{"_target_": "torch.nn.CrossEntropyLoss"}, "$1 + 1", [{"a": "@seed"}], torch.nn.CrossEntropyLoss()]
)
def test_what_a_cross_validation_cannot_pass_on_is_advised_into_a_config_file(value):
    with pytest.raises(UserError, match=r"overrides: loss is .* plain values: .* give config_files="):
        CROSS_VALIDATE.check({"overrides": {"loss": value}})


class Doubled(torch.nn.Module):
    """Twice the cross entropy, and how often it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return 2 * torch.nn.functional.cross_entropy(logits, labels)


class CountEpochs:
    """A handler that counts epochs."""

    def __init__(self) -> None:
        self.epochs = 0

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        self.epochs += 1


def test_objects_of_a_user_take_the_place_of_what_the_config_names(small_bundle, tmp_path):
    loss, handler, seen = Doubled(), CountEpochs(), []

    def keep(item: dict[str, Any]) -> dict[str, Any]:
        seen.append(item["image"].shape)
        return item

    bundle = Bundle(small_bundle.root, **small_bundle.options(tmp_path, bundle_root=None, tracking_uri="", epochs=1))
    overrides = {"loss": loss, "train#augmentation": keep, "train#more_handlers": [handler]}
    bundle.train(ckpt_dir=tmp_path, overrides=overrides)
    assert loss.calls == 5
    assert handler.epochs == 1
    assert set(seen) == {(3, 32, 32)}
    assert len(seen) == 20


def test_a_training_never_goes_on_with_another_change(small_bundle, tmp_path):
    bundle = Bundle(small_bundle.root, **small_bundle.options(tmp_path, bundle_root=None, tracking_uri="", epochs=1))
    bundle.train(ckpt_dir=tmp_path)
    with pytest.raises(UserError, match="overrides"):
        bundle.train(ckpt_dir=tmp_path, overrides={"loss": Doubled()})


def test_the_process_stays_as_it_was(trained, small_bundle):
    root = logging.getLogger()
    before = (sys.excepthook, list(sys.path), list(root.handlers), root.level)
    trained.predict(small_bundle.dataset_dir / "test")
    with pytest.raises(UserError):
        trained.predict(small_bundle.dataset_dir / "none")
    assert (sys.excepthook, list(sys.path), list(root.handlers), root.level) == before


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda bundle: bundle.train(epoch=3), "train: there is no option epoch; did you mean epochs?"),
        (lambda bundle: bundle.train(epochs="many"), "--epochs 'many': give a whole number from 1"),
        (lambda bundle: bundle.train(fold=7), "has the folds 0 to 1, found 7"),
        (lambda bundle: bundle.train(overrides={"los": None}), "the configs have no los; did you mean loss?"),
        (lambda bundle: bundle.train(run_name="$print(1)"), "begins with $, which MONAI evaluates"),
        (lambda bundle: bundle.train(output_dir="my#1"), "MONAI reads # as ::"),
        (lambda bundle: bundle.predict([]), "images: is empty"),
        (lambda bundle: bundle.predict([], skip_unreadable=True), "skip_unreadable True: is for a folder of images"),
        (lambda bundle: bundle.predict([np.zeros((4, 5, 6))]), "it has no axis of 1 or 3 channels"),
        (lambda bundle: bundle.predict([np.zeros((3, 5, 3))]), "channels could be its first or its last axis"),
        (lambda bundle: bundle.predict("none"), "there is no such folder"),
        (lambda bundle: bundle.network(fold=9), "fold_9/model.pt: train first"),
        (lambda bundle: bundle.predict([], fold=None, run_name="none"), "holds no fold_*/model.pt"),
        (lambda bundle: bundle.evaluate(image_size=48), "was trained with image_size 32, but 48 is configured"),
        (lambda bundle: bundle.list_options("evaluation"), "there is no command evaluation; did you mean evaluate?"),
        (lambda bundle: bundle.cross_validate({"loss": Doubled()}), "each fold has a process of its own"),
        (lambda bundle: bundle.cross_validate(fold=0), "there is no option fold; did you mean folds?"),
    ],
)
def test_what_a_user_can_fix_is_one_clear_error(trained, call, said):
    with pytest.raises(UserError) as caught:
        call(trained)
    assert said in str(caught.value)


def test_nothing_is_looked_up_before_it_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle = Bundle("pneumoniamnst", epochs=1)
    assert repr(bundle) == "Bundle('pneumoniamnst', epochs=1)"
    with pytest.raises(UserError, match=r"no dataset of this name is known; did you mean pneumoniamnist\?"):
        _ = bundle.root
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"there is no option epoch; did you mean epochs\?"):
        Bundle("phantom", epoch=1)


def test_the_bundle_of_a_name_is_generated_where_it_is_not_there_and_used_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Bundle("phantom").root
    assert root == tmp_path / "bundles" / "phantom"
    assert (root / "configs" / "train.json").read_text() == (ROOT / "bundles/phantom/configs/train.json").read_text()
    (root / "configs" / "train.json").write_text("{}")
    assert Bundle("phantom").root == Bundle("bundles/phantom").root == Bundle(root).root == root
    assert (root / "configs" / "train.json").read_text() == "{}"


def test_a_bundle_that_new_bundle_made_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "bundles" / "phantom", tmp_path / "bundles" / "my_scans")
    assert Bundle("my_scans").root == tmp_path / "bundles" / "my_scans"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_listed_with_its_value(trained, command):
    table = trained.list_options(command)
    assert list(table.columns) == ["value", "accepts", "description"]
    assert set(table.index) == set(COMMANDS[command].rows)
    assert table["description"].map(bool).all()


@pytest.mark.long
def test_the_example_changes_one_thing_at_a_time(tmp_path):
    code, printed = run_command(
        [sys.executable, "-W", "ignore", str(ROOT / "examples" / "change_one_thing.py")], tmp_path
    )
    assert code == 0, printed
    assert printed.count("AUC on the validation part") == 4
    assert printed.count("largest gradient") == 2
    losses = [
        line.partition("train loss ")[2].split()[0] for line in printed.splitlines() if "epoch 1/2: train" in line
    ]
    assert len(set(losses[:3])) == 3
    assert losses[3] == losses[0]

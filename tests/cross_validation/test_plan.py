"""What a cross-validation reads before it writes anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError, find_user_error
from medmamba_monai.core.options import Flag
from medmamba_monai.cross_validation import CrossValidation, CrossValidationOptions
from medmamba_monai.cross_validation.plan import Plan, make_plan
from medmamba_monai.cross_validation.settings import check_same_settings
from tests.helpers.small_bundle import SMALL, SmallBundle

OPTIONS: dict[str, Any] = {
    "run_name": "first",
    "folds": None,
    "jobs": 1,
    "recipe": "paper",
    "config_files": ["configs/train.json"],
    "evaluate_files": ["configs/evaluate.json"],
    "overrides": {},
    "bootstrap_resamples": 2000,
    "bootstrap_seed": 0,
    "report_images": None,
}


def options(folder: Path, **changes: Any) -> CrossValidationOptions:
    return CrossValidationOptions(output_dir=folder / "output", **{**OPTIONS, **changes})


def given(bundle: SmallBundle, **changes: Any) -> dict[str, Any]:
    places = {"dataset_dir": str(bundle.dataset_dir), "data_list": str(bundle.data_list), "tracking_uri": ""}
    return {**places, **SMALL, "depths": None, "channels": None, "network_name": "resnet18", **changes}


def plan(bundle: SmallBundle, folder: Path, training: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return make_plan(bundle.root, options(folder, **changes), given(bundle, **(training or {})))


def test_options_are_those_of_the_configs_where_the_user_says_nothing(small_bundle, tmp_path):
    made = plan(small_bundle, tmp_path, {"epochs": None})
    train = json.loads(Path(small_bundle.config("train")).read_text())
    assert made.training.epochs == train["epochs"]
    assert (made.training.image_size, made.training.network_name) == (SMALL["image_size"], "resnet18")
    assert (made.training.run_name, made.training.experiment_name) == ("first", "Phantom")


def test_configs_recipes_and_the_user_have_the_last_word_in_this_order(small_bundle, tmp_path):
    (tmp_path / "mine.json").write_text('{"epochs": 3, "weight_decay": 0.2}')
    files = ["configs/train.json", str(tmp_path / "mine.json")]
    unsaid = {"epochs": None}
    assert plan(small_bundle, tmp_path, unsaid, config_files=files).training.epochs == 3
    assert plan(small_bundle, tmp_path, unsaid, config_files=files).training.weight_decay == 0.2
    assert plan(small_bundle, tmp_path, config_files=files, recipe="augmented").training.weight_decay == 0.05
    overridden = plan(small_bundle, tmp_path, overrides={"epochs": 9})
    assert overridden.training.epochs == 9


def test_what_is_logged_names_no_place_and_no_switch(small_bundle, tmp_path):
    made = plan(small_bundle, tmp_path)
    free = {*type(made.training).names(Flag.FREE, Flag.PRIVATE, Flag.UNLOGGED, Flag.PER_FOLD)}
    assert not free & set(made.logged_parameters())
    assert made.logged_parameters()["recipe"] == "paper"
    assert {"epochs", "patience", "seed", "fold_digest", "run_name"} <= made.settings().keys()
    assert not made.settings().keys() & {"dataset_dir", "device", "resume", "output_dir", "fold"}


def test_paths_hold_from_any_folder(small_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(small_bundle.dataset_dir.parent)
    made = plan(
        small_bundle, tmp_path, {"dataset_dir": small_bundle.dataset_dir.name, "tracking_uri": "sqlite:///x.db"}
    )
    assert made.training.dataset_dir == str(small_bundle.dataset_dir.resolve())
    assert made.training.tracking_uri == f"sqlite:///{small_bundle.dataset_dir.parent.resolve()}/x.db"


def test_making_a_cross_validation_touches_no_disk(tmp_path):
    made = CrossValidation(tmp_path / "nowhere", options(tmp_path), {"dataset_dir": "nowhere either"})
    assert "--bootstrap_resamples" in made.format_help()
    with pytest.raises(UserError, match="run in the bundle's folder, or pass --bundle_root"):
        made.run()
    assert list(tmp_path.iterdir()) == []


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_cross_validation_that_is_refused_changes_nothing(small_bundle, tmp_path, cross_validated):
    shutil.copytree(cross_validated / "output", tmp_path / "output")
    before = snapshot(tmp_path)
    other = CrossValidation(small_bundle.root, options(tmp_path), given(small_bundle, learning_rate=0.3))
    with pytest.raises(UserError, match="is asked for: use the same value to go on, or another --run_name"):
        other.run()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        CrossValidation(small_bundle.root, options(tmp_path), given(small_bundle, epochs=0)).run()
    assert "--epochs 0: give a whole number from 1" in str(find_user_error(caught.value))
    assert snapshot(tmp_path) == before


def test_a_cross_validation_of_a_version_without_an_option_goes_on_where_it_is_off(small_bundle, tmp_path):
    made, saved = plan(small_bundle, tmp_path), tmp_path / "output" / "settings.json"
    saved.parent.mkdir()
    settings = json.loads(json.dumps(made.settings()))
    saved.write_text(json.dumps({name: value for name, value in settings.items() if name != "compile"}))
    check_same_settings(made)
    assert json.loads(saved.read_text())["compile"] is False
    saved.write_text(json.dumps({**settings, "compile": True}))
    with pytest.raises(UserError, match="holds a cross-validation with compile True, but False is asked for"):
        check_same_settings(made)


def test_folds_that_start_from_a_run_are_told_apart_by_its_weights_alone(small_bundle, tmp_path, cross_validated):
    run = cross_validated / "output"
    made = plan(small_bundle, tmp_path, {"pretrained": run})
    assert made.training.pretrained == str(run)
    assert made.pretrained is not None
    assert made.pretrained.startswith("run sha256:")
    assert made.settings()["pretrained"] == made.logged_parameters()["pretrained"] == made.pretrained
    copied = tmp_path / "copied"
    for fold in ("fold_0", "fold_1"):
        shutil.copytree(run / fold, copied / fold)
    assert plan(small_bundle, tmp_path, {"pretrained": copied}).pretrained == made.pretrained


def test_an_encoder_of_images_is_refused_for_volumes(tmp_path):
    root = Path(__file__).resolve().parents[2] / "bundles" / "nodulemnist3d"
    with pytest.raises(UserError, match="--encoder x: takes images, and nodulemnist3d has volumes; use --pretrained"):
        make_plan(root, options(tmp_path, probe="knn", encoder="x"), {})


def test_a_fold_that_would_start_from_images_it_is_judged_by_is_refused(small_bundle, tmp_path, cross_validated):
    one = {"pretrained": cross_validated / "output" / "fold_0"}
    assert plan(small_bundle, tmp_path, one, folds=[0]).folds == (0,)
    with pytest.raises(UserError, match="has seen images that fold 1 is validated or tested on"):
        plan(small_bundle, tmp_path, one)
    with pytest.raises(UserError, match="nowhere: does not exist"):
        make_plan(small_bundle.root, options(tmp_path), given(small_bundle, pretrained="nowhere"))

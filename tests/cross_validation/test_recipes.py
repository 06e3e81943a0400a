"""The recipes of a bundle: what they make of a training, together and one by one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow, run

from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError, find_user_error
from medmamba_monai.cross_validation.plan import read_training_options
from medmamba_monai.cross_validation.recipes import find_recipe_files
from tests.helpers.miniatures import miniature_card, write_miniature
from tests.helpers.small_bundle import ROOT, SMALL, SmallBundle

RECIPES = ("augmented", "class_weighted", "focal_loss")


class Stopped(Exception):
    pass


def workflow(bundle: SmallBundle, folder: Path, *recipes: str, **changes: Any) -> ConfigWorkflow:
    made = ConfigWorkflow(
        run_id="training",
        config_file=[bundle.config(name) for name in ("train", *(f"recipes/{recipe}" for recipe in recipes))],
        meta_file=bundle.config("metadata"),
        logging_file=False,
        workflow_type="train",
        ckpt_dir=str(folder / "weights"),
        **bundle.options(folder, **{"tracking_uri": "", "epochs": 2, **changes}),
    )
    made.initialize()
    return made


def content(made: ConfigWorkflow, name: str) -> Any:
    return made.parser.get_parsed_content(name)


def train(made: ConfigWorkflow, folder: Path) -> dict[str, Any]:
    """Run a training and return its last checkpoint."""
    made.run()
    return torch.load(max((folder / "output" / "checkpoints").iterdir()), weights_only=True)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def logged(folder: Path, key: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "output" / "tracking.jsonl").read_text().splitlines()]
    return [line["values"][key] for line in lines if line["op"] == "metrics" and key in line["values"]]


def test_an_augmented_training_that_was_stopped_goes_on_bit_for_bit(small_bundle, tmp_path, own_process):
    straight = train(workflow(small_bundle, tmp_path / "straight", "augmented"), tmp_path / "straight")
    stopped = workflow(small_bundle, tmp_path / "stopped", "augmented")

    def crash(engine):
        raise Stopped

    content(stopped, "train#trainer").add_event_handler(Events.EPOCH_COMPLETED(once=1), crash)
    with pytest.raises(Stopped):
        content(stopped, "train#trainer").run()
    resumed = train(workflow(small_bundle, tmp_path / "stopped", "augmented"), tmp_path / "stopped")
    assert same(resumed["stateful"]["network"], straight["stateful"]["network"])
    assert same(resumed["stateful"]["ema"], straight["stateful"]["ema"])
    assert resumed["stateful"]["scheduler"] == straight["stateful"]["scheduler"]
    assert not same(straight["stateful"]["ema"], straight["stateful"]["network"])


def test_the_averaged_weights_are_saved_as_the_best(small_bundle, tmp_path, own_process):
    checkpoint = train(workflow(small_bundle, tmp_path, "augmented", epochs=1), tmp_path)
    assert same(torch.load(tmp_path / "weights" / "model.pt", weights_only=True), checkpoint["stateful"]["ema"])


def test_other_epochs_cannot_go_on_with_the_schedule(small_bundle, tmp_path, own_process):
    train(workflow(small_bundle, tmp_path, "augmented", epochs=1), tmp_path)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - Ignite and MONAI may wrap it
        train(workflow(small_bundle, tmp_path, "augmented", epochs=2), tmp_path)
    assert "was trained with epochs 1, but 2 is configured" in str(find_user_error(caught.value))


def test_another_recipe_cannot_go_on(small_bundle, tmp_path, own_process):
    train(workflow(small_bundle, tmp_path, epochs=1), tmp_path)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        train(workflow(small_bundle, tmp_path, "focal_loss"), tmp_path)
    assert "recipe_focal_loss None, but True" in str(find_user_error(caught.value))


def test_random_transforms_repeat_themselves_when_reseeded(small_bundle, tmp_path, own_process):
    dataset = content(workflow(small_bundle, tmp_path, "augmented"), "train#dataset")
    drawn = []
    for seed in (3, 3, 4):
        dataset.reseed(seed)
        drawn.append(torch.stack([dataset[n]["image"] for n in range(4)]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(("recipe", "farthest"), [("augmented", 1.5), ("strongly_augmented", 2)])
def test_augmented_images_stay_images_like_the_others(small_bundle, tmp_path, own_process, recipe, farthest):
    made = workflow(small_bundle, tmp_path, recipe)
    plain = workflow(small_bundle, tmp_path)
    augmented, image = content(made, "train#dataset")[0]["image"], content(plain, "train#dataset")[0]["image"]
    assert type(augmented) is torch.Tensor
    assert (augmented.shape, augmented.dtype) == (image.shape, image.dtype)
    assert -farthest < augmented.min() < augmented.max() < farthest
    assert torch.equal(content(made, "validate#dataset")[0]["image"], content(plain, "validate#dataset")[0]["image"])


@pytest.mark.parametrize("recipes", [RECIPES, RECIPES[::-1], ("focal_loss", "augmented", "class_weighted")])
def test_recipes_combine_in_any_order(small_bundle, tmp_path, own_process, recipes):
    made = workflow(small_bundle, tmp_path, *recipes)
    loss = content(made, "loss")
    assert loss.label_smoothing == 0.1
    assert loss.focal.gamma == 2
    labels = Counter(item["label"] for item in content(made, "parts")["train"])
    expected = [labels.total() / (2 * labels[label]) for label in (0, 1)]
    np.testing.assert_allclose(loss.focal.class_weight, expected, rtol=1e-6)


def test_biases_and_norms_do_not_decay(small_bundle, tmp_path, own_process):
    optimizer = content(workflow(small_bundle, tmp_path, "augmented", weight_decay=0.3), "optimizer")
    assert type(optimizer) is torch.optim.AdamW
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert all(item.ndim > 1 for item in optimizer.param_groups[0]["params"])


@pytest.mark.parametrize("recipe", ["augmented", "strongly_augmented"])
@pytest.mark.parametrize(
    "card_file", sorted((ROOT / "data_lists").glob("*/card.json")), ids=lambda path: path.parent.name
)
def test_images_are_mirrored_as_their_card_allows(card_file, recipe):
    card = load_card(card_file)
    parser = ConfigParser()
    configs = ROOT / "bundles" / card.name / "configs"
    parser.read_config([str(configs / f"{name}.json") for name in ("train", "evaluate", f"recipes/{recipe}")])
    parser.read_meta(str(configs / "metadata.json"))
    parser["bundle_root"] = str(configs.parent)
    transforms = parser.get_parsed_content("train#augmentation").transforms
    axes = {"none": [], "horizontal": [card.spatial_dims - 1], "all": list(range(card.spatial_dims))}[card.flips]
    assert [step.spatial_axis for step in transforms if type(step).__name__ == "RandomFlipd"] == axes
    views = parser.get_parsed_content("views")
    assert [view.spatial_axis for view in views if type(view).__name__ == "Flip"] == axes
    quarter_turns = any(type(step).__name__ == "RandomRotate90d" for step in transforms)
    assert quarter_turns == (card.flips == "all" and card.spatial_dims == 2)


def test_a_recipe_sets_options_and_the_user_has_the_last_word(small_bundle, tmp_path, own_process):
    """A cross-validation gives its folds what the merged configs say, and what the user says."""
    root, folds = small_bundle.root, {"dataset_dir": small_bundle.dataset_dir, "data_list": small_bundle.data_list}
    files = [small_bundle.config("train"), small_bundle.config("recipes/augmented")]
    assert read_training_options(root, files, folds).weight_decay == 0.05
    assert read_training_options(root, files[:1], folds).weight_decay == 0.0001
    assert read_training_options(root, files, {**folds, "weight_decay": 0.3}).weight_decay == 0.3


def test_a_recipe_is_found_by_its_name(small_bundle):
    assert find_recipe_files("augmented, focal_loss", small_bundle.root) == [
        "configs/recipes/augmented.json",
        "configs/recipes/focal_loss.json",
    ]
    with pytest.raises(UserError, match="did you mean augmented"):
        find_recipe_files("augmentd", small_bundle.root)


def test_recipes_that_set_the_same_value_are_not_combined(small_bundle):
    with pytest.raises(UserError, match="--recipe augmented,strongly_augmented: both set weight_decay; choose one"):
        find_recipe_files("augmented,focal_loss,strongly_augmented", small_bundle.root)


def test_strong_augmentation_changes_nothing_else_of_the_augmented_recipe(small_bundle):
    recipes = small_bundle.root / "configs" / "recipes"
    light, strong = (json.loads((recipes / f"{name}.json").read_text()) for name in ("augmented", "strongly_augmented"))
    for recipe, name in ((light, "augmented"), (strong, "strongly_augmented")):
        del recipe["+train#augmentation#transforms"], recipe[f"settings#recipe_{name}"]
    assert light == strong


def test_the_logged_learning_rate_is_that_of_the_last_step(small_bundle, tmp_path, own_process):
    made = workflow(small_bundle, tmp_path, "augmented")
    rates: list[float] = []
    optimizer = content(made, "optimizer")
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    made.run()
    per_epoch = len(rates) // 2
    assert logged(tmp_path, "learning_rate") == [rates[per_epoch - 1], rates[-1]]
    assert 0 < rates[-1] < rates[per_epoch] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chestmnist", "nodulemnist3d"])
def test_all_recipes_and_views_run_with_several_labels_and_with_volumes(name, tmp_path, own_process):
    bundle, card = ROOT / "bundles" / name, tmp_path / "card.json"
    write_miniature(name, tmp_path / "data")
    card.write_text(miniature_card(name).model_dump_json(by_alias=True, exclude_unset=True))
    where = {"bundle_root": str(bundle), "logging_file": False, "dataset_dir": str(tmp_path / "data")}
    where |= {"data_list": str(tmp_path / "folds.json")}
    prepare = {"num_folds": 3, "allow_count_mismatch": True, "download": False}
    run("prepare", config_file=str(bundle / "configs" / "data.json"), card_file=str(card), **prepare, **where)
    options = {key: SMALL[key] for key in ("image_size", "depths", "channels")} | where
    options |= {
        "output_dir": str(tmp_path / "output"),
        "ckpt_dir": str(tmp_path),
        "tracking_uri": "",
        "cache": "memory",
    }
    files = [str(bundle / "configs" / f"{file}.json") for file in ("train", *(f"recipes/{name}" for name in RECIPES))]
    run("training", config_file=files, epochs=1, batch_size=16, **options)
    run("evaluating", config_file=[*files, str(bundle / "configs" / "evaluate.json")], tta=True, **options)
    metrics = json.loads((tmp_path / "output" / "metrics.json").read_text())
    assert 0 <= metrics["test"]["auc"] <= 1

"""Look and plan on real images, to the files that they leave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medmamba_monai.auto import measure
from medmamba_monai.auto.fingerprint import Fingerprint
from medmamba_monai.auto.look import Dataset, take_bundle, take_images, take_search
from medmamba_monai.auto.plan import Plan, read_plan
from medmamba_monai.auto.search import open_plan, plan_search, take_plan
from medmamba_monai.auto.take_fingerprint import take_fingerprint
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.data import read_fold_list
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels

BUDGET = 3600.0


def draw_patients(folder: Path) -> Path:
    """Two images of each of 12 patients, the second class brighter, with the patient in the name."""
    generator = np.random.default_rng(0)
    for patient in range(12):
        for number in range(2):
            name = ("benign", "malignant")[patient % 2]
            path = folder / name / f"p{patient:02d}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 128, (20, 24)) + 100 * (patient % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def take(output: Path, images: Path) -> Dataset:
    return take_images(output, "lesions", images, Labels(group_pattern=r"(p\d+)_"), Options())


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of images and that of a search that has planned; only one network is measured."""
    folder = tmp_path_factory.mktemp("search")
    images, output = draw_patients(folder / "images"), folder / "found"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "MEASURING_SHARE", 1e-6)
        plan_search(output, lambda: take(output, images), BUDGET)
    return images, output


def copy_search(planned: tuple[Path, Path], folder: Path) -> Path:
    """Copy what a plan needs, to edit it."""
    for path in planned[1].rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(planned[1])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def edit(output: Path, **values: object) -> None:
    content = json.loads((output / "plan.json").read_text())
    (output / "plan.json").write_text(json.dumps({**content, **values}))


def test_a_search_has_its_bundle_folds_fingerprint_and_plan(planned: tuple[Path, Path]) -> None:
    images, output = planned
    plan = read_plan(output)
    assert (output / plan.bundle / "configs" / "train.json").is_file()
    assert (plan.dataset, plan.dataset_dir, plan.budget_seconds) == ("lesions", str(images), BUDGET)
    assert str(images) not in (output / "plan.json").read_text(), "a plan may be given away"
    assert [candidate.name for candidate in plan.candidates] == ["medmamba_small", "medmamba_small_fast"]
    assert all(candidate.seconds_per_epoch > 0 for candidate in plan.candidates)
    seen = read_document(output / "fingerprint.json", Fingerprint)
    assert (seen.images, seen.groups, seen.most_images_in_a_group, seen.sides) == (24, 12, 2, (24, 24, 24))
    assert seen.classes["malignant"].mean > seen.classes["benign"].mean + 50
    assert seen.findings is not None
    assert seen.findings.image_sizes == {"20 x 24": 24}
    assert "whole patients" in (output / "plan.md").read_text()


def test_what_is_kept_out_shares_no_patient_with_the_folds(planned: tuple[Path, Path]) -> None:
    images, output = planned
    folds = read_fold_list(output / "data_lists" / "lesions" / "folds.json", images)
    assert folds.protocol == "hold-out"
    assert {item.group for item in folds.test}.isdisjoint({item.group for item in folds.training})
    assert {item.label for item in folds.test} == {0, 1}


def test_an_edited_plan_is_used_as_it_stands(planned: tuple[Path, Path], tmp_path: Path) -> None:
    output = copy_search(planned, tmp_path / "found")
    edit(output, image_size=32, num_folds=2)
    plan = open_plan(output, BUDGET)
    assert plan is not None
    assert (plan.image_size, plan.num_folds) == (32, 2)
    assert read_plan(output) == plan
    assert "**image_size: 32.** Edited; the rules chose 64. The images are" in (output / "plan.md").read_text()
    folds = read_fold_list(output / "data_lists" / "lesions" / "folds.json", planned[0])
    assert folds.num_folds == 2


def test_a_class_that_no_image_has_is_named(planned: tuple[Path, Path], tmp_path: Path) -> None:
    dataset = take(tmp_path, planned[0])
    benign = [sample for sample in dataset.samples if sample.label == 0]
    with pytest.raises(UserError, match="lesions: no image to learn 'malignant' from was found among 12; add some"):
        take_fingerprint(dataset.card, dataset.folder, benign)


def test_another_budget_for_a_plan_that_is_there_is_an_error(planned: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"--budget 10 minutes: .*plan\.json was made for 60 minutes"):
        open_plan(planned[1], 600)


def test_folds_that_were_trained_on_are_not_replaced(planned: tuple[Path, Path], tmp_path: Path) -> None:
    output = copy_search(planned, tmp_path / "found")
    (output / "bundles" / "lesions" / "output" / "medmamba_small" / "fold_0").mkdir(parents=True)
    edit(output, fold_seed=5)
    with pytest.raises(UserError, match=r"fold_seed 5, hold_out 0\.2 are not those of the folds"):
        open_plan(output)


def test_a_folder_without_a_plan_has_none(tmp_path: Path) -> None:
    assert open_plan(tmp_path) is None


def test_a_plan_from_elsewhere_is_taken_for_the_images_that_are_here(
    planned: tuple[Path, Path], tmp_path: Path
) -> None:
    images = draw_patients(tmp_path / "moved")
    output = tmp_path / "again"
    plan = take_plan(output, planned[1] / "plan.json", take(output, images), 1200)
    assert (plan.dataset_dir, plan.budget_seconds) == (str(images), 1200)
    assert read_plan(output) == plan
    assert open_plan(output) == plan


def test_a_plan_brings_the_bundle_of_its_search(planned: tuple[Path, Path], tmp_path: Path) -> None:
    file = planned[1] / "plan.json"
    plan = take_plan(tmp_path, file, take_search(tmp_path, file, None), None)
    assert (plan.dataset_dir, plan.budget_seconds) == (str(planned[0]), BUDGET)
    assert (tmp_path / plan.bundle / "configs" / "train.json").is_file()
    renamed = tmp_path / "other.json"
    renamed.write_text(file.read_text())
    with pytest.raises(UserError, match=r"--plan .*other\.json: is no plan\.json in the folder of a search"):
        take_search(tmp_path, renamed, None)
    alone = tmp_path / "alone"
    plan.write(alone)
    with pytest.raises(UserError, match=r"--plan .*: the bundle .* is not there; give --images or --bundle, too"):
        take_search(tmp_path, alone / "plan.json", None)


def test_images_may_move(planned: tuple[Path, Path], tmp_path: Path) -> None:
    output = copy_search(planned, tmp_path / "found")
    moved = draw_patients(tmp_path / "moved")
    assert open_plan(output, dataset_dir=str(moved)) is not None
    assert read_plan(output).dataset_dir == str(moved)


def test_a_plan_of_another_dataset_is_refused(planned: tuple[Path, Path], tmp_path: Path) -> None:
    other = Plan.model_validate(json.loads((planned[1] / "plan.json").read_text()) | {"dataset": "other"})
    with pytest.raises(UserError, match="is of 'other', the images are 'lesions'"):
        take_plan(tmp_path, other.write(tmp_path), take(tmp_path / "again", planned[0]), None)


def test_a_bundle_is_copied_without_its_runs(planned: tuple[Path, Path], tmp_path: Path) -> None:
    source = planned[1] / "bundles" / "lesions"
    (source / "models").mkdir(exist_ok=True)
    dataset = take_bundle(tmp_path, str(source), str(planned[0]))
    assert dataset.bundle == tmp_path / "bundles" / "lesions"
    assert not (dataset.bundle / "models").exists()
    assert (tmp_path / "data_lists" / "lesions" / "card.json").is_file()
    assert len(dataset.samples) == 24

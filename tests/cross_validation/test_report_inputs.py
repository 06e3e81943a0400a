"""What a report reads beside the predictions: journals, the balance of folds, images as people see them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.report_inputs import count_classes, read_case_images, read_history
from medmamba_monai.data import FoldList, prepare_dataset
from medmamba_monai.evaluation.results.mistakes import Case
from medmamba_monai.tracking.journal import Journal
from tests.helpers.small_data import folder_card, npz_content, small_card, write_npz


def case(name: str) -> Case:
    return Case(name, "Cat", "Dog", 0.9, 0.1)


@pytest.fixture
def fold_list(tmp_path: Path) -> FoldList:
    write_npz(tmp_path)
    return prepare_dataset(small_card(), tmp_path, tmp_path / "folds.json", num_folds=3, download=False)


@pytest.fixture
def volumes(tmp_path: Path) -> tuple[FoldList, dict[Path, np.ndarray]]:
    """Volumes of 4 x 5 x 6 voxels, their axes towards right, anterior and superior, in three folds, and by file."""
    written = {}
    for index in range(12):
        path = tmp_path / "images" / ("cat" if index < 6 else "dog") / f"{index}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        written[path] = np.random.default_rng(index).integers(0, 256, (4, 5, 6), dtype=np.uint8)
        nibabel.save(nibabel.Nifti1Image(written[path], np.eye(4)), path)
    card = folder_card(spatial_dims=3)
    return prepare_dataset(card, tmp_path / "images", tmp_path / "folds.json", num_folds=3), written


def test_a_history_has_every_epoch_once_in_order(tmp_path):
    journal = Journal(tmp_path)
    journal.start("fold 0")
    journal.log_metrics({"train/loss": 0.5, "validation/auc": 0.7}, 1)
    journal.log_metrics({"train/loss": 0.4}, 2)
    Journal(tmp_path).log_metrics({"train/loss": 0.3, "validation/auc": 0.8}, 3)
    journal.log_summary({"best/epoch": 3})
    assert read_history(tmp_path) == {
        "train/loss": [(1, 0.5), (2, 0.4), (3, 0.3)],
        "validation/auc": [(1, 0.7), (3, 0.8)],
    }


def test_of_a_training_begun_anew_the_last_counts(tmp_path):
    journal = Journal(tmp_path)
    journal.start("fold 0")
    journal.log_metrics({"train/loss": 0.5}, 2)
    journal.start("fold 0", afresh=True)
    journal.log_metrics({"train/loss": 0.9}, 1)
    assert read_history(tmp_path) == {"train/loss": [(1, 0.9)]}


def test_without_a_journal_there_is_no_history(tmp_path):
    assert read_history(tmp_path) == {}


def test_the_balance_counts_every_image_once(fold_list):
    balance = count_classes(small_card(), fold_list)
    assert list(balance) == ["fold 0", "fold 1", "fold 2", "test"]
    content = npz_content()
    trained = Counter(np.concatenate([content["train_labels"], content["val_labels"]]).ravel().tolist())
    assert np.sum([balance[f"fold {fold}"] for fold in range(3)], axis=0).tolist() == [trained[0], trained[1]]
    assert balance["test"] == [4, 4]


def test_without_a_test_set_the_folds_are_all(volumes):
    balance = count_classes(folder_card(), volumes[0])
    assert balance == {f"fold {fold}": [2, 2] for fold in range(3)}


def test_an_image_is_what_the_file_holds(fold_list):
    content = npz_content()
    for item in fold_list.parts(0)["test"][:3]:
        index = int(item["image"].rpartition("[")[2].rstrip("]"))
        (image,) = read_case_images(fold_list, [case(item["id"])])
        assert image.dtype == np.uint8
        assert np.array_equal(image, content["test_images"][index])


def test_images_come_in_the_order_of_the_cases(fold_list):
    names = [item["id"] for part in fold_list.parts(1).values() for item in part][::7]
    forth, back = (read_case_images(fold_list, [case(name) for name in order]) for order in (names, names[::-1]))
    assert all(np.array_equal(a, b) for a, b in zip(forth, back[::-1], strict=True))


def test_a_color_image_has_its_channels_last(tmp_path):
    generator = np.random.default_rng(0)
    arrays = {
        f"{split}_images": generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        for split, count in (("train", 20), ("val", 10), ("test", 8))
    }
    write_npz(tmp_path, **arrays)
    made = prepare_dataset(small_card(channels=3), tmp_path, tmp_path / "folds.json", num_folds=3, download=False)
    item = made.parts(0)["test"][2]
    (image,) = read_case_images(made, [case(item["id"])])
    assert any(np.array_equal(image, array) for array in arrays["test_images"])


def test_of_a_volume_the_middle_slice_is_shown_as_radiologists_see_it(volumes):
    made, written = volumes
    for item in made.parts(0)["test"]:
        (image,) = read_case_images(made, [case(item["id"])])
        assert image.shape == (5, 4)
        assert np.array_equal(image, written[Path(item["image"])][::-1, ::-1, 3].T)  # the patient's right is left


def test_an_image_that_is_gone_is_an_error_that_names_it(tmp_path, fold_list):
    (tmp_path / "mini.npz").unlink()
    with pytest.raises(UserError, match=r"mini\.npz"):
        read_case_images(fold_list, [case(fold_list.parts(0)["test"][0]["id"])])

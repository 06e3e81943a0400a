from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.data import prepare_dataset, write_phantom
from medmamba_monai.data.phantom import CLASS_NAMES

CARD = Path(__file__).resolve().parents[2] / "data_lists" / "phantom" / "card.json"
Pixels = NDArray[np.float64]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom")


def read(folder: Path) -> tuple[Pixels, NDArray[np.int64]]:
    paths = [(path, label) for label, name in enumerate(CLASS_NAMES) for path in sorted((folder / name).iterdir())]
    images = np.stack([np.asarray(Image.open(path)) for path, _ in paths]) / 255
    return images, np.array([label for _, label in paths])


def sharpest_ridge(images: Pixels) -> Pixels:
    """The largest curvature of an image across any direction: that of a thin line is larger than that of a blob."""
    down, across, mixed = (gaussian_filter(images, (0, 2, 2), order=(0, *order)) for order in ((2, 0), (0, 2), (1, 1)))
    largest = -(down + across) / 2 + np.hypot((down - across) / 2, mixed)
    return largest[:, 12:-12, 12:-12].max(axis=(1, 2))


def test_card_describes_what_is_written(phantom: Path, tmp_path: Path) -> None:
    made = prepare_dataset(load_card(CARD), phantom, tmp_path / "folds.json")
    assert (len(made.training), len(made.test)) == (600, 200)
    assert made.protocol == "official-test"


def test_same_seed_gives_the_same_images(tmp_path: Path) -> None:
    one, same, other = (write_phantom(tmp_path / str(n), 6, 2, seed=seed) for n, seed in enumerate((1, 1, 2)))
    np.testing.assert_array_equal(read(one / "train")[0], read(same / "train")[0])
    assert (read(one / "train")[0] != read(other / "train")[0]).any()


def test_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "phantom").mkdir()
    assert list(write_phantom(tmp_path / "phantom", 6, 2).iterdir()) == []


def test_interrupted_writing_is_started_again(tmp_path: Path) -> None:
    (tmp_path / ".phantom.unfinished" / "train").mkdir(parents=True)
    write_phantom(tmp_path / "phantom", 6, 2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["phantom"]


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(UserError, match="phantom: cannot be written"):
        write_phantom(tmp_path / "occupied" / "phantom", 6, 2)


def test_pixels_alone_say_little(phantom: Path) -> None:
    (images, labels), (test_images, test_labels) = read(phantom / "train"), read(phantom / "test")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3)).fit(images.reshape(600, -1), labels)
    assert roc_auc_score(test_labels, model.decision_function(test_images.reshape(200, -1))) < 0.7


def test_brightness_alone_says_little(phantom: Path) -> None:
    images, labels = read(phantom / "train")
    assert 0.4 < roc_auc_score(labels, images.mean(axis=(1, 2))) < 0.6


def test_shape_says_more(phantom: Path) -> None:
    images, labels = read(phantom / "train")
    assert roc_auc_score(labels, -sharpest_ridge(images)) > 0.7

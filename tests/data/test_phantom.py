from __future__ import annotations

import hashlib
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
from medmamba_monai.data.findings import FINDINGS, Finding, read_findings
from medmamba_monai.data.phantom import CLASS_NAMES, _draw_finding, draw_phantom, draw_with_finding

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


PIXELS = {
    ("train", "normal", 0): "be5aaa592bf48a28cbb0358c029066d8a2c17779a783bfefb17cf235ed649bc6",
    ("test", "nodule", 1): "1217d140609154babafa3317d1c1b1594372faf0f06a0c0cc2044dff7170d7ec",
}
"""SHA-256 of pixels that were generated before anything told where the findings are."""


def test_pixels_are_those_of_all_versions(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "phantom", num_train=2, num_test=2, image_size=64)
    for (split, name, index), digest in PIXELS.items():
        pixels = np.asarray(Image.open(folder / split / name / f"{index:05d}.png"))
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == digest


def test_findings_are_told_beside_the_images(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "phantom", num_train=4, num_test=2, image_size=32)
    found = read_findings(folder)
    assert found is not None
    assert found.image_size == 32
    assert set(found.findings) == {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert read_findings(folder / "test") is None
    (folder / FINDINGS).write_text("{}")
    with pytest.raises(UserError, match=r"findings\.json: .*image_size"):
        read_findings(folder)


def test_healthy_images_are_drawn_where_they_are_asked_for_and_have_no_finding(tmp_path: Path) -> None:
    names = ("healthy", "normal", "nodule")
    folder = write_phantom(tmp_path / "phantom", num_train=6, num_test=3, image_size=32, class_names=names)
    assert {path.parent.name for path in folder.rglob("*.png")} == set(names)
    assert [len(list((folder / "train" / name).iterdir())) for name in names] == [2, 2, 2]
    found = read_findings(folder)
    assert found is not None
    assert len(found.findings) == 6
    assert not any("healthy" in name for name in found.findings)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("healthy", "cyst"), "unknown class name 'cyst': choose one of healthy, normal, nodule"),
        (("nodule", "nodule"), "class_names nodule, nodule: give two or three classes, each once"),
        (("nodule",), "class_names nodule: give two or three"),
    ],
)
def test_other_classes_are_refused(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        write_phantom(tmp_path / "phantom", 6, 2, class_names=names)


@pytest.mark.parametrize("contrast", [(0.0, 0.4), (0.4, 0.3), (0.3, 1.2)])
def test_impossible_contrast_is_refused(contrast: tuple[float, float], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give the least and the most, above 0 and at most 1"):
        write_phantom(tmp_path / "phantom", 6, 2, contrast=contrast)


def test_findings_are_as_clear_as_they_are_asked_for() -> None:
    faint, clear = (
        draw_with_finding(1, 64, np.random.default_rng(5), contrast)[0].astype(float)
        for contrast in ((0.2, 0.2), (0.4, 0.4))
    )
    assert (clear - faint).max() == pytest.approx(0.2 * 255, abs=1.5)


@pytest.mark.parametrize("label", [0, 1])
def test_a_finding_is_where_the_image_differs_from_one_without(label: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image, finding = draw_with_finding(label, 128, np.random.default_rng(3))
    assert np.array_equal(image, draw_phantom(label, 128, np.random.default_rng(3)))
    unseen = "medmamba_monai.data.phantom._draw_finding"
    monkeypatch.setattr(unseen, lambda *given: (0 * _draw_finding(*given)[0], finding))
    without, _ = draw_with_finding(label, 128, np.random.default_rng(3))
    difference = image.astype(float) - without
    inside = finding.draw(128, 128)
    # The Gaussian at the edge of the mask, EDGE = 2 standard deviations, has exp(-2) of its peak.
    assert difference[inside].min() >= np.exp(-2.2) * difference.max() - 1
    assert difference[~inside].max() <= np.exp(-1.8) * difference.max() + 1


def test_a_turned_finding_is_drawn_turned() -> None:
    mask = Finding(row=8, column=12, along=3, across=1, angle=np.pi / 2).draw(16, 24)
    assert mask[8, 6:19].all()
    assert mask[:, 12].sum() == 5
    assert mask.sum() == pytest.approx(np.pi * 6 * 2, rel=0.1)

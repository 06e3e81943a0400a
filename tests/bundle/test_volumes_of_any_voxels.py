"""From a folder of volumes with thick slices to a score, where only millimetres tell the classes apart.

A body of class "long" is longer along z than wide, one of class "round" is not. Thickness and number of the slices are
drawn so that a volume that is scaled as a whole shows neither.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba_monai import Bundle
from medmamba_monai.cli.main import main

FIELD, PATIENTS = 40, 24


def draw(path: Path, generator: np.random.Generator, length: float) -> None:
    """Write a noisy ellipsoid of that length along z and 20 mm across; slices of 2 to 5 mm reach beyond it or not."""
    shape = (24, 24, int(generator.integers(9, 20)))
    spacing = (2.0, 2.0, float(generator.uniform(2, 5)))
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    inside = np.square(x / 10) + np.square(y / 10) + np.square(2 * z / length) < 1
    values = np.clip(60 + 120 * inside + 8 * generator.normal(size=shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([*spacing, 1.0])), path)


@pytest.mark.usefixtures("own_process")
def test_the_shape_in_millimetres_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for patient in range(PATIENTS):
        name, length = (("long", 36.0), ("round", 20.0))[patient % 2]
        for scan in range(2):
            draw(tmp_path / "images" / name / f"patient{patient:02d}_{scan}.nii", generator, length)
    common = ["new-bundle", "bodies", "--images", "images", "--group-pattern", "(patient[0-9]+)_", "--image-size", "12"]
    assert main([*common, "--modality", "generated", "--field-of-view", str(FIELD)]) == 0
    assert "each volume is scaled as a whole" not in capsys.readouterr().out
    small = {"depths": [1, 1], "channels": [8, 16], "learning_rate": 0.01, "batch_size": 8, "tracking_uri": ""}
    bundle = Bundle("bundles/bodies", **small)
    bundle.prepare(dataset_dir="images", num_folds=3)
    assert bundle.train(fold=0, epochs=6).best_metric >= 0.95
    assert main([*common, "--modality", "generated", "--overwrite"]) == 0
    assert "voxels are 2 x 2 x 2.0" in capsys.readouterr().out

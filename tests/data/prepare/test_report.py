from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import FoundData
from medmamba_monai.data.folds.fold_list import build_fold_list
from medmamba_monai.data.folds.make import join_groups, make_folds
from medmamba_monai.data.prepare.inspect import Inspection
from medmamba_monai.data.prepare.report import build_report, collect_warnings, describe_report
from medmamba_monai.data.samples import Sample
from tests.helpers.small_data import folder_card

NAMES = ("cat", "dog")


def report(samples: list[Sample], inspection: Inspection, remarks: tuple[str, ...] = ()) -> dict[str, Any]:
    card = folder_card(known_problems=["It is noise."])
    grouped = join_groups(samples, inspection.duplicates)
    folds = make_folds(grouped, 2, 0, NAMES)
    made = build_fold_list(card, grouped, folds, [], DatasetFolder(Path()), Path("folds.json"))
    groups = len({sample.group for sample in samples} - {None})
    return build_report(card, made, FoundData(tuple(grouped), (), (), remarks), inspection, groups)


def looked(stored: tuple[float, float] = (0, 255), nominal: tuple[float, float] = (0, 255), **more: Any) -> Inspection:
    fields = {"windows": {}, "dicom": 0, "own_windows": 0, "depths": 1, "blank": 0, "duplicates": (), **more}
    return Inspection({"8 x 8": 24}, {"PNG": 24}, stored, nominal, **fields)


def pairs(groups: bool = False) -> list[Sample]:
    return [
        Sample(f"image-{i:05d}", f"{i}.png", i % 2, None, f"patient {i // 2}" if groups else None) for i in range(24)
    ]


def test_groups_and_balance_are_told() -> None:
    made = report(pairs(groups=True), looked())
    assert (made["groups"], made["groups_across_classes"]) == (12, 12)
    assert made["largest_imbalance_of_folds"]["percentage_points"] == 0
    said = describe_report(folder_card(known_problems=["It is noise."]), made)
    assert "groups: 12, each kept in one fold; 12 of them have images of several classes" in said
    assert "known problem: It is noise." in said


def test_no_groups_are_said_to_be_a_risk() -> None:
    said = describe_report(folder_card(), report(pairs(), looked()))
    assert "groups: none given: images of one patient may be in several folds" in said


def test_values_that_use_little_of_their_type_are_a_warning() -> None:
    made = report(pairs(), looked((0, 4095), (0, 65535)))
    assert 'declare "reading": {"intensity_range": [0, 4095]} in the card' in collect_warnings(made)[0]
    assert collect_warnings(report(pairs(), looked((0, 60000), (0, 65535)))) == []


def test_near_copies_and_remarks_are_told() -> None:
    inspection = looked(near=(("image-00000", "image-00001"), ("image-00002", "image-00004")))
    said = collect_warnings(report(pairs(), inspection, ("3 rows are left out",)))
    assert said == [
        "1 pairs of nearly the same pictures have different labels, e.g. ('image-00000', 'image-00001')",
        "3 rows are left out",
    ]


def test_the_range_of_stored_values_is_that_of_all_images(tmp_path: Path) -> None:
    from medmamba_monai.data.prepare.inspect import inspect_images
    from medmamba_monai.images import ReadImage

    for index, top in enumerate((100, 4000)):
        Image.fromarray(np.full((4, 4), top, np.uint16)).save(tmp_path / f"{index}.png")
    samples = [Sample(f"image-{i}", f"{i}.png", 0) for i in range(2)]
    found = inspect_images(samples, DatasetFolder(tmp_path), ReadImage(1).read_with_facts)
    assert found.stored_range == (100, 4000)
    assert found.nominal_range == (0, 65535)
    assert found.sizes == {"4 x 4": 2}
    with pytest.raises(ValueError, match="images cannot be used"):
        inspect_images(
            [*samples, Sample("image-2", "none.png", 0)], DatasetFolder(tmp_path), ReadImage(1).read_with_facts
        )


def test_windows_that_differ_between_classes_are_a_warning() -> None:
    mixed = {"0": {"window 40, 400": 12}, "1": {"window -600, 1500": 12}}
    assert (
        "which may give classes away"
        in collect_warnings(report(pairs(), looked(windows=mixed, dicom=24, own_windows=24)))[0]
    )
    alike = {"0": {"window 40, 400": 10, "window 50, 350": 2}, "1": {"window 40, 400": 12}}
    assert (
        collect_warnings(report(pairs(), looked((0, 100), (0, 65535), windows=alike, dicom=24, own_windows=24))) == []
    )


def test_different_depths_are_a_warning() -> None:
    assert "files can hold different ranges of values" in collect_warnings(report(pairs(), looked(depths=2)))[0]

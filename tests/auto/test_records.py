"""Records laid beside a finished cross-validation: what is compared, kept and refused; whether the words are true is
held by test_fusion.py.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient

from medmamba_monai.auto.contenders import Contender
from medmamba_monai.auto.plan import Candidate
from medmamba_monai.auto.records import compare_with_records
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation import compare_runs, fuse_records, review_again
from medmamba_monai.data import FoldList, prepare_dataset, read_fold_list
from medmamba_monai.evaluation import CrossValidationResult, read_result
from medmamba_monai.package import write_package
from tests.helpers.recorded_samples import RECORDS
from tests.helpers.small_bundle import SmallBundle, copy_cross_validation

SECRET = "73.2548163"


def contend(folder: Path, fold_list: FoldList) -> Contender:
    """The part of a winner that records are laid beside: its name, its folds and where they are."""
    running = SimpleNamespace(folder=RunFolder(folder), plan=SimpleNamespace(fold_list=fold_list))
    return Contender(Candidate(name="net", network_name="medmamba", seconds_per_epoch=1, reason="-"), running)  # type: ignore[arg-type]


pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Study:
    """A finished cross-validation of images, and the two of records that were made beside it."""

    folder: Path
    list_file: Path
    images: Path
    found: dict[str, CrossValidationResult]

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlruns.db"


@pytest.fixture(scope="module")
def study(cross_validated: Path, small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("records") / "study"
    net = copy_cross_validation(cross_validated, folder)
    card, images, list_file = add_records(small_bundle, folder)
    places = {"card": str(card), "data_list": str(list_file), "dataset_dir": str(images)}
    description = net / "description.json"
    write_json(description, json.loads(description.read_text()) | places)
    compare_with_records(contend(net, read_fold_list(list_file, images, verify=False)), resamples=100)
    runs = {"net": "output", "late": "output_late", "records": "output_records"}
    return Study(folder, list_file, images, {name: read_result(folder / run) for name, run in runs.items()})


def add_records(bundle: SmallBundle, folder: Path) -> tuple[Path, Path, Path]:
    """Lay a table beside a copy of the images and make the same folds again; return card, images and list."""
    images = Path(shutil.copytree(bundle.dataset_dir, folder / "data"))
    known, ages = read_fold_list(bundle.data_list, images, verify=False), np.random.default_rng(0)
    lines = ["file,age,sex"]
    for number, item in enumerate((*known.training, *known.test)):
        age = 60 + 10 * (int(item.label) + ages.standard_normal())
        written = SECRET if number == 0 else "" if number % 9 == 1 else f"{age:.1f}"
        lines.append(f"{item.image},{written},{'FM'[number % 2]}")
    (images / "clinic.csv").write_text("\n".join(lines))
    card = folder / "card.json"
    write_json(card, json.loads(Path(bundle.config("card")).read_text()) | {"records": RECORDS})
    made = prepare_dataset(card, images, folder / "folds.json", num_folds=2, allow_count_mismatch=True)
    assert made.digest == known.digest
    return card, images, made.path


def test_all_three_are_of_the_same_images_and_find_what_the_ages_tell(study: Study) -> None:
    assert len({tuple(sorted(result.combined_predictions.ids)) for result in study.found.values()}) == 1
    assert min(study.found[name].metrics["auc"] for name in ("records", "late")) > 0.6


def test_the_comparison_says_what_each_adds(study: Study, tmp_path: Path) -> None:
    names = ["small", "net late", "net records"]
    said = compare_runs(names, study.uri, tmp_path / "comparison", ("net", "both", "clinic"), resamples=100)
    found = json.loads((tmp_path / "comparison" / "comparison.json").read_text())["sentences"]
    assert re.search("records add .*image", found[0])
    assert re.search("image adds .*records", found[1])
    assert ["both beside net" in found[0], "both beside clinic" in found[1]] == [True, True]
    assert found[0].split("(")[0] in " ".join(said.split())


def test_what_an_earlier_start_left_is_read(study: Study) -> None:
    fold_list = read_fold_list(study.list_file, study.images, verify=False)
    reports = [study.folder / name / "report.html" for name in ("output_late", "output_records")]
    before = [report.stat().st_mtime_ns for report in reports]
    comparison = compare_with_records(contend(study.folder / "output", fold_list), resamples=100)
    assert comparison is not None
    assert [model.inputs for model in comparison.models] == ["image", "records", "image and records"]
    assert [report.stat().st_mtime_ns for report in reports] == before
    bare = fold_list.model_copy(update={"records": None})
    assert compare_with_records(contend(study.folder / "output", bare), resamples=100) is None


def test_values_of_records_are_neither_in_the_runs_nor_in_the_store(study: Study) -> None:
    assert SECRET in study.list_file.read_text()
    client = MlflowClient(study.uri)
    (parent,) = client.search_runs(["1"], "attributes.run_name = 'net late'")
    assert parent.data.tags["inputs"] == "image and records"
    assert parent.data.params["record_columns"] == "['age', 'sex']"
    assert {path.path for path in client.list_artifacts(parent.info.run_id)} >= {"review.json", "report.html"}
    files = [path for name in ("output_late", "output_records") for path in (study.folder / name).rglob("*")]
    texts = [path for path in [*files, Path(study.uri.removeprefix("sqlite:///"))] if path.is_file()]
    assert not [path for path in texts if SECRET.encode() in path.read_bytes()]


def test_a_fused_run_is_reviewed_again_and_made_again_in_its_place(study: Study, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(study.folder / "output_records", tmp_path / "again"))
    (copy / "mlflow.json").unlink()
    before = (copy / "review.json").read_bytes()
    (copy / "report.html").unlink()
    assert review_again(copy, resamples=100).is_file()
    assert (copy / "review.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run": "nowhere"}, "holds no finished cross-validation"),
        ({"run": "output_late"}, "is given image and records already; give a cross-validation of images alone"),
        ({"way": "early"}, "unknown way 'early': choose one of records, late"),
        ({"classifier": "forest"}, "unknown classifier 'forest': choose one of logistic, boosted"),
        ({"run_name": "output"}, "output: holds something else; choose another --output-dir or --run-name"),
        ({"resample": 1}, "unknown option 'resample' of the review"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(study: Study, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fuse_records(study.folder / options.pop("run", "output"), **options)  # type: ignore[arg-type]


def test_no_package_is_made_of_what_needs_records(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are given records; a package holds networks of images alone"):
        write_package(study.folder / "output_records", tmp_path / "package")

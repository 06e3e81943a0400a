"""From a folder of DICOM files with a table of records to a comparison: the data are made so that both are needed."""

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

from medmamba_monai import Bundle
from medmamba_monai.auto.contenders import Contender
from medmamba_monai.auto.plan import Candidate
from medmamba_monai.auto.records import compare_with_records
from medmamba_monai.bundle.new_bundle import new_bundle
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation import compare_runs, fuse_records, review_again
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.data import FoldList, read_fold_list
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels
from medmamba_monai.evaluation import CrossValidationResult, read_result
from medmamba_monai.package import write_package
from tests.conftest import shared_by_workers
from tests.helpers.small_bundle import SmallBundle
from tests.helpers.small_images import write_dicom
from tests.helpers.warm_commands import launch_fold_server

PATIENTS = 80
SECRET = "73.2548163"


def write_study(folder: Path) -> Labels:
    """Two slices a patient; brightness and age decide the class half and half, a fifth of the images is positive."""
    generator = np.random.default_rng(0)
    lines = ["file,finding,age,sex"]
    for patient in range(PATIENTS):
        light, age = generator.standard_normal(2)
        sick = light + age + 0.5 * generator.standard_normal() > 1.2
        written = SECRET if patient == 0 else "" if patient % 9 == 1 else f"{60 + 10 * age:.1f}"
        for number in range(2):
            name = f"{patient:03d}_{number}.dcm"
            level = int(np.clip(1000 + 300 * light, 24, 2000))
            values = generator.integers(level, level + 40, (8, 10), dtype=np.uint16)
            write_dicom(folder / "scans" / name, patient, f"P{patient}", PixelData=values.tobytes())
            lines.append(f"{name},{'sick' if sick else 'well'},{written},{'FM'[patient % 2]}")
    (folder / "clinic.csv").write_text("\n".join(lines))
    return Labels(folder / "clinic.csv", "file", ("finding",), record_columns=("age", "sex"))


def contend(folder: Path, fold_list: FoldList) -> Contender:
    """The part of a winner that records are laid beside: its name, its folds and where they are."""
    running = SimpleNamespace(folder=RunFolder(folder), plan=SimpleNamespace(fold_list=fold_list))
    return Contender(Candidate(name="net", network_name="medmamba", seconds_per_epoch=1, reason="-"), running)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Study:
    """A finished cross-validation of images, and the two of records that were made beside it."""

    folder: Path
    uri: str
    found: dict[str, CrossValidationResult]

    @property
    def list_file(self) -> Path:
        return self.folder.parents[2] / "data_lists" / "study" / "folds.json"


@pytest.fixture(scope="module")
def study(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Study:
    with shared_by_workers(tmp_path_factory, "study with records") as (folder, to_make):
        output, uri = folder / "bundles" / "study" / "output", f"sqlite:///{folder}/mlruns.db"
        if to_make:
            _make(folder, uri, small_bundle.store)
        runs = {"net": "net", "late": "net_late", "records": "net_records"}
        return Study(output, uri, {name: read_result(output / run) for name, run in runs.items()})


def _make(folder: Path, uri: str, store: Path) -> None:
    shutil.copy(store, folder / "mlruns.db")
    options = Options(classes=("well", "sick"), image_size=16, reading={"intensity_range": [-1000, 1000], "clip": True})
    root = new_bundle("study", folder / "scans", write_study(folder), options, folder)
    small = {"depths": [1], "channels": [8], "epochs": 4, "learning_rate": 0.01, "batch_size": 16}
    bundle = Bundle(root, dataset_dir=folder, tracking_uri=uri, **small)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FoldServer, "_launch", launch_fold_server)
        patch.setenv("OMP_NUM_THREADS", "1")
        made = bundle.prepare(num_folds=3)
        bundle.cross_validate(run_name="net", bootstrap_resamples=100)
    compare_with_records(contend(root / "output" / "net", made), resamples=100)


@pytest.mark.slow
def test_fusion_is_better_than_image_and_records_alone_as_the_data_were_made(study: Study) -> None:
    auc = {name: result.metrics["auc"] for name, result in study.found.items()}
    assert auc["late"] > max(auc["net"], auc["records"]) + 0.02
    assert min(auc["net"], auc["records"]) > 0.6
    assert len({tuple(sorted(result.combined_predictions.ids)) for result in study.found.values()}) == 1


def test_the_comparison_says_what_each_adds(study: Study, tmp_path: Path) -> None:
    names = ["net", "net late", "net records"]
    said = compare_runs(names, study.uri, tmp_path / "comparison", ("net", "both", "clinic"), resamples=100)
    found = json.loads((tmp_path / "comparison" / "comparison.json").read_text())["sentences"]
    assert re.search("records add .*image", found[0])
    assert re.search("image adds .*records", found[1])
    assert ["both beside net" in found[0], "both beside clinic" in found[1]] == [True, True]
    assert found[0].split("(")[0] in " ".join(said.split())


def test_what_an_earlier_start_left_is_read(study: Study) -> None:
    fold_list = read_fold_list(study.list_file, study.folder, verify=False)
    reports = [study.folder / name / "report.html" for name in ("net_late", "net_records")]
    before = [report.stat().st_mtime_ns for report in reports]
    comparison = compare_with_records(contend(study.folder / "net", fold_list), resamples=100)
    assert comparison is not None
    assert [model.inputs for model in comparison.models] == ["image", "records", "image and records"]
    assert [report.stat().st_mtime_ns for report in reports] == before
    bare = fold_list.model_copy(update={"records": None})
    assert compare_with_records(contend(study.folder / "net", bare), resamples=100) is None


def test_values_of_records_are_neither_in_the_runs_nor_in_the_store(study: Study) -> None:
    assert SECRET in study.list_file.read_text()
    client = MlflowClient(study.uri)
    (parent,) = client.search_runs(["1"], "attributes.run_name = 'net late'")
    assert parent.data.tags["inputs"] == "image and records"
    assert parent.data.params["record_columns"] == "['age', 'sex']"
    assert {path.path for path in client.list_artifacts(parent.info.run_id)} >= {"review.json", "report.html"}
    files = [path for name in ("net_late", "net_records") for path in (study.folder / name).rglob("*")]
    texts = [path for path in [*files, Path(study.uri.removeprefix("sqlite:///"))] if path.is_file()]
    assert not [path for path in texts if SECRET.encode() in path.read_bytes()]


def test_a_fused_run_is_reviewed_again_and_made_again_in_its_place(study: Study, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(study.folder / "net_records", tmp_path / "again"))
    (copy / "mlflow.json").unlink()
    before = (copy / "review.json").read_bytes()
    (copy / "report.html").unlink()
    assert review_again(copy, resamples=100).is_file()
    assert (copy / "review.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run": "nowhere"}, "holds no finished cross-validation"),
        ({"run": "net_late"}, "is given image and records already; give a cross-validation of images alone"),
        ({"way": "early"}, "unknown way 'early': choose one of records, late"),
        ({"classifier": "forest"}, "unknown classifier 'forest': choose one of logistic, boosted"),
        ({"run_name": "net"}, "net: holds something else; choose another --output-dir or --run-name"),
        ({"resample": 1}, "unknown option 'resample' of the review"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(study: Study, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fuse_records(study.folder / options.pop("run", "net"), **options)  # type: ignore[arg-type]


def test_no_package_is_made_of_what_needs_records(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are given records; a package holds networks of images alone"):
        write_package(study.folder / "net_records", tmp_path / "package")

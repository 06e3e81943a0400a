"""The review of a real cross-validation: what it leaves in the folder and in MLflow, and how it is made again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel
import numpy as np
import pytest
from filelock import FileLock
from mlflow.entities import Run
from sklearn import metrics as sk

from medmamba_monai.cards import DatasetCard
from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError, find_user_error
from medmamba_monai.core.files import write_json
from medmamba_monai.cross_validation import review_again
from medmamba_monai.cross_validation.record import ResultRecord, read_record
from medmamba_monai.cross_validation.report import ReportRecord
from medmamba_monai.cross_validation.review import check_review_options, explain_images_left_out
from medmamba_monai.data import prepare_dataset
from medmamba_monai.evaluation import METRICS, Predictions, compute_metrics, write_predictions
from tests.helpers.small_bundle import SmallBundle, copy_cross_validation
from tests.helpers.small_data import folder_card, npz_content, small_card, write_npz
from tests.helpers.tracked_runs import TrackedRuns

pytestmark = pytest.mark.slow

FIGURES = (
    *("confusion_matrix_ensemble", "roc_ensemble", "precision_recall_ensemble", "reliability_ensemble"),
    "abstention_ensemble",
    *("folds", "learning_curves", "class_balance", "mistakes", "mistake_maps", "least_certain"),
)


@pytest.fixture(scope="module")
def parent(cross_validated: Path) -> Run:
    return TrackedRuns(cross_validated / "mlruns.db").parents[0]


@pytest.fixture(scope="module")
def html(cross_validated: Path) -> str:
    return (cross_validated / "output" / "report.html").read_text(encoding="utf-8")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def scores(path: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of a part, read without the package, in the order of the ids."""
    with path.open(encoding="utf-8") as stream:
        rows = sorted((row for row in csv.DictReader(stream) if row["part"] == part), key=lambda row: row["id"])
    return np.array([int(row["label"]) for row in rows]), np.array([float(row["probability_1"]) for row in rows])


def test_the_review_is_what_scikit_learn_finds_in_the_predictions(cross_validated):
    output = cross_validated / "output"
    review = read(output / "review.json")
    folds = [scores(output / f"fold_{fold}" / "predictions.csv", "test") for fold in range(2)]
    labels, mean = folds[0][0], np.mean([found for _, found in folds], axis=0)
    found = {name: cell["value"] for name, cell in review["metrics"].items()}
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, mean), abs=1e-12)
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(labels, mean), abs=1e-12)
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, mean > 0.5), abs=1e-12)
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(labels, mean > 0.5), abs=1e-12)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, mean), abs=1e-12)
    for fold, (truth, probabilities) in enumerate(folds):
        value = review["folds"][str(fold)]["auc"]["value"]
        assert value == pytest.approx(sk.roc_auc_score(truth, probabilities), abs=1e-12)


def test_validation_is_that_of_all_folds_together(cross_validated):
    output = cross_validated / "output"
    parts = [scores(output / f"fold_{fold}" / "predictions.csv", "validation") for fold in range(2)]
    labels, probabilities = (np.concatenate(found) for found in zip(*parts, strict=True))
    found = read(output / "review.json")["validation_pooled"]
    assert len(labels) == 40
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities), abs=1e-12)


def test_the_parent_keeps_the_report_the_numbers_and_all_figures(cross_validated, parent):
    artifacts = TrackedRuns(cross_validated / "mlruns.db").artifacts(parent)
    assert {"report.html", "review.json", "review.csv"} <= artifacts
    drawn = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    assert {name for name in artifacts if name.startswith("figures/")} == drawn
    assert "description.json" not in artifacts


def test_a_child_keeps_the_curves_of_both_parts(cross_validated):
    runs = TrackedRuns(cross_validated / "mlruns.db")
    curves = {
        f"figures/{curve}_{part}.{kind}"
        for curve in ("roc", "precision_recall")
        for part in ("validation", "test")
        for kind in ("png", "svg")
    }
    assert all(curves <= runs.artifacts(child) for child in runs.children)


def test_the_parent_has_intervals_and_says_how_they_were_made(cross_validated, parent):
    params = {name: value for name, value in parent.data.params.items() if name.startswith("bootstrap_")}
    assert params == {"bootstrap_resamples": "2000", "bootstrap_seed": "0", "bootstrap_units": "images"}
    accuracy = read(cross_validated / "output" / "review.json")["metrics"]["accuracy"]
    metrics = parent.data.metrics
    assert metrics["ensemble/accuracy"] == accuracy["value"]
    assert metrics["ensemble_interval/accuracy_low"] == accuracy["low"] <= accuracy["value"]
    assert metrics["ensemble_interval/accuracy_high"] == accuracy["high"] >= accuracy["value"]


def test_the_report_opens_without_a_network(html):
    assert "<script" not in html
    assert not any(f'{name}="{kind}:' in html for name in ("src", "href") for kind in ("http", "https"))
    assert "url(" not in html
    assert html.count("<img ") == html.count('src="data:image/') == len(FIGURES)


def test_the_report_says_what_a_reader_needs(html):
    wanted = [
        "small: MedMamba on Phantom",
        "python -m monai.bundle run cross_validation",
        "--epochs 4",
        "<td>torch</td>",
        "Generated: a result on it says nothing about any real image.",
        "train, images: expected 600, found 40",
        "What was not tested",
        "Which images belong to one patient is not known",
    ]
    assert [text for text in wanted if text not in html] == []


def test_nothing_that_is_sent_names_a_folder_of_this_machine(cross_validated, small_bundle: SmallBundle):
    private = [str(path) for path in (cross_validated, small_bundle.root.parent)]
    output = cross_validated / "output"
    sent = [*output.glob("report.html"), *output.glob("review.*"), *(output / "figures").iterdir()]
    assert len(sent) > 2 * len(FIGURES) - 4
    assert not any(name.encode() in path.read_bytes() for path in sent for name in private)


@pytest.fixture(scope="module")
def again(cross_validated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that was reviewed again, with other resamples."""
    output = copy_cross_validation(cross_validated, tmp_path_factory.mktemp("again") / "copy")
    assert review_again(output, resamples=400, seed=1) == output / "report.html"
    return output


def test_mistakes_have_maps_of_both_classes_with_their_scores(html):
    assert "What spoke for the true class, and for the one that was predicted." in html
    assert "There are no maps of mistakes" not in html


@pytest.mark.long
def test_a_review_made_again_changes_the_intervals_alone(again, cross_validated):
    old, new = (read(folder / "review.json") for folder in (cross_validated / "output", again))
    assert (new["bootstrap"]["resamples"], new["bootstrap"]["seed"]) == (400, 1)
    values = [{name: cell["value"] for name, cell in review["metrics"].items()} for review in (old, new)]
    assert values[0] == values[1]
    assert old["metrics"]["log_loss"]["low"] != new["metrics"]["log_loss"]["low"]


@pytest.mark.long
def test_mlflow_follows_a_review_made_again(again):
    runs = TrackedRuns(again.parent / "mlruns.db")
    (run,) = runs.parents
    found = read(again / "review.json")["metrics"]["log_loss"]
    assert run.data.metrics["ensemble_interval/log_loss_low"] == found["low"]
    assert run.data.tags["changed.bootstrap_resamples"] == "400"
    assert run.info.status == "FINISHED"
    sent = Path(runs.client.download_artifacts(run.info.run_id, "report.html"))
    assert sent.read_text() == (again / "report.html").read_text()


def test_a_report_made_again_lacks_nothing(again, html):
    new = (again / "report.html").read_text(encoding="utf-8")
    assert "400 resamples" in new
    assert new.count("<img ") == html.count("<img ")
    assert new.count("<h2 ") == html.count("<h2 ")


@pytest.fixture(scope="module")
def incomplete(cross_validated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without fold 1 whose images are gone, reviewed by the command without images."""
    output = copy_cross_validation(cross_validated, tmp_path_factory.mktemp("incomplete") / "copy")
    (output / "fold_1" / "result.json").unlink()
    description = read(output / "description.json")
    changes = {"dataset_dir": str(output / "gone"), "failures": {"1": "exit code 1"}}
    write_json(output / "description.json", description | changes)
    assert main(["review", str(output), "--no-images", "--resamples", "100"]) == 0
    return output


def test_a_missing_fold_is_the_first_thing_said(incomplete):
    html = (incomplete / "report.html").read_text(encoding="utf-8")
    assert "Incomplete: 1 of 2 folds finished; all figures are of these. Missing: fold 1 (exit code 1)." in html
    assert list(read(incomplete / "review.json")["folds"]) == ["0"]


def test_without_images_none_are_shown_nor_left_from_before(incomplete):
    html = (incomplete / "report.html").read_text(encoding="utf-8")
    assert "Images were left out, as asked for." in html
    assert "The most confident mistakes" not in html
    assert not list((incomplete / "figures").glob("mistakes.*"))


def test_a_later_review_of_a_run_without_images_shows_none(incomplete):
    told = read(incomplete / "choices.json")
    write_json(incomplete / "choices.json", {"report_images": False})
    review_again(incomplete, resamples=100)
    assert "Images were left out, as asked for." in (incomplete / "report.html").read_text(encoding="utf-8")
    assert not list((incomplete / "figures").glob("mistakes.*"))
    with pytest.raises(UserError, match="was made with --report_images False"):
        review_again(incomplete, with_images=True)
    write_json(incomplete / "choices.json", told)


def test_images_that_are_gone_are_one_error(incomplete):
    with pytest.raises(UserError, match="gone"):
        review_again(incomplete)


def test_other_folds_are_refused(incomplete):
    description = read(incomplete / "description.json")
    write_json(incomplete / "description.json", description | {"fold_digest": "0" * 64})
    with pytest.raises(UserError, match=r"holds other folds .* than those of this cross-validation"):
        review_again(incomplete, with_images=False)
    write_json(incomplete / "description.json", description)


def test_a_folder_in_use_is_left_alone(incomplete):
    before = (incomplete / "report.html").stat().st_mtime_ns
    with FileLock(incomplete / ".lock"), pytest.raises(UserError, match="is in use"):
        review_again(incomplete, with_images=False)
    assert (incomplete / "report.html").stat().st_mtime_ns == before


def test_a_folder_without_a_cross_validation_is_an_error(tmp_path, capsys):
    assert main(["review", str(tmp_path)]) == 2
    assert "holds no reviewed cross-validation" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nope", "file"])
def test_a_folder_that_is_not_there_is_said_not_to_be(tmp_path, capsys, name):
    (tmp_path / "file").touch()
    assert main(["review", str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / name}: there is no such folder; give that of")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": 99}, "--resamples 99, of the bootstrap: give a whole number from 100"),
        ({"resamples": 1000.0}, r"--resamples 1000\.0, of"),
        ({"seed": -1}, "--seed -1, of the bootstrap"),
        ({"with_images": "no"}, "--report_images 'no'"),
        ({"images": True}, "unknown option 'images'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        check_review_options(options)


def test_options_are_checked_before_anything_is_trained(small_bundle, own_process):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        monai.bundle.run(
            "cross_validation", config_file=small_bundle.config("cross_validation"), bootstrap_resamples=10
        )
    assert "--resamples 10, of" in str(find_user_error(caught.value))


def finished_folds(card: DatasetCard, data: Path, output: Path) -> ResultRecord:
    """Folds whose predictions were never trained: no journal, no best epoch."""
    made = prepare_dataset(card, data, output / "folds.json", num_folds=3, download=False, allow_count_mismatch=True)
    generator = np.random.default_rng(0)
    for fold in range(made.num_folds):
        items = [(item, part) for part, found in made.parts(fold).items() if part != "train" for item in found]
        ids, parts = [item["id"] for item, _ in items], [part for _, part in items]
        labels, chances = np.array([item["label"] for item, _ in items]), generator.dirichlet((1, 1), len(items))
        found = Predictions(chances, labels, card.task, ids=ids, parts=parts)
        write_predictions(output / f"fold_{fold}" / "predictions.csv", found)
        selected = {part: found.select(part) for part in ("validation", "test")}
        metrics = {part: compute_metrics(of, METRICS) for part, of in selected.items()}
        write_json(output / f"fold_{fold}" / "result.json", {"best_epoch": -1, "metrics": metrics})
    return read_record(output, card, made, {}, resamples=200)


def reviewed(record: ResultRecord) -> str:
    """The report of folds that were reviewed."""
    record.write()
    ReportRecord(record).write("a < b & c", "the command", {"best": "<i>"})
    return record.folder.report.read_text(encoding="utf-8")


@pytest.mark.long
def test_labels_with_any_name_are_reviewed_without_learning_curves(tmp_path):
    names = ("x <i>$y$</i>", "c & d | e")
    classes = [{"name": name, "display_name": name} for name in names]
    card = small_card(task="multi-label", classes=classes, expected_counts={}, title="A <i> & C")
    labels = {key: len(array) for key, array in npz_content().items() if "labels" in key}
    several = {key: np.arange(2 * count, dtype=np.uint8).reshape(-1, 2) % 3 % 2 for key, count in labels.items()}
    write_npz(tmp_path, **several)
    html = reviewed(finished_folds(card, tmp_path, tmp_path / "output"))
    assert "How each label was told." in html
    assert "x &lt;i&gt;$y$&lt;/i&gt;" in html
    assert "<i>" not in html
    assert not list((tmp_path / "output" / "figures").glob("learning_curves.*"))


def test_pooled_volumes_are_reviewed(tmp_path):
    for index in range(24):
        path = tmp_path / "images" / ("cat" if index < 12 else "dog") / f"{index}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = np.random.default_rng(index).integers(0, 256, (4, 5, 6), dtype=np.uint8)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    html = reviewed(finished_folds(folder_card(spatial_dims=3), tmp_path / "images", tmp_path / "output"))
    assert "There is no official test set" in html
    assert "There are no maps of mistakes: the run left no networks that could be opened again." in html
    assert {path.name for path in (tmp_path / "output" / "figures").glob("*.png")} == {
        f"{name}.png"
        for name in (
            *("roc_pooled", "precision_recall_pooled", "reliability_pooled", "abstention_pooled"),
            *("folds", "class_balance", "mistakes", "least_certain"),
        )
    }
    assert read(tmp_path / "output" / "review.json")["validation_pooled"] is None


@pytest.mark.parametrize(
    ("with_images", "tracking_uri", "note"),
    [
        (None, "sqlite:///mlruns.db", ""),
        (None, "", ""),
        (None, "http://server:5000", "--report_images True shows them"),
        (True, "http://server:5000", ""),
        (False, "sqlite:///mlruns.db", "as asked for"),
    ],
)
def test_images_reach_a_server_only_where_that_is_asked_for(with_images, tracking_uri, note):
    found = explain_images_left_out(with_images, tracking_uri)
    assert note in found
    assert bool(note) == bool(found)

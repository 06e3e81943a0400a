"""The commands of the documentation: two sites in processes of their own, and what they sent over their sockets."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from mlflow import MlflowClient

from medmamba_monai.cli.main import main
from medmamba_monai.data import prepare_dataset
from medmamba_monai.federation import write_phantom_sites
from medmamba_monai.federation.phantom_sites import CARD
from tests.helpers.minutes import takes_minutes
from tests.helpers.sent_bytes import find_words
from tests.helpers.small_bundle import ROOT, free_port, mlflow_service

PAGE = ROOT / "docs" / "how-to" / "federated.md"
RECORDER = ROOT / "tests" / "helpers" / "record_sockets"
PATIENT, KNOWN = "Kanarienvogel", "Nodule (blob)"
"""Words that no site may send, and that every site does."""


def read_command(name: str) -> list[str]:
    """The words after ``medmamba-monai`` of a command on the page."""
    (line,) = re.findall(rf"^medmamba-monai ({name} .+)$", PAGE.read_text(), re.MULTILINE)
    return shlex.split(line)


def plant_canaries(sites: Path) -> None:
    """Name all images of the first site after patients, who are the groups of its folds."""
    site = sites / "site_1"
    for number, path in enumerate(sorted((site / "images").rglob("*.png"))):
        path.rename(path.with_name(f"{PATIENT}{number // 2:03d}_{path.name}"))
    card = json.loads((site / "bundle" / CARD).read_text())
    card["layout"] |= {"group_pattern": rf"({PATIENT}\d+)_"}
    (site / "bundle" / CARD).write_text(json.dumps(card))
    (site / "folds.json").unlink()
    prepare_dataset(site / "bundle" / CARD, site / "images", site / "folds.json", allow_count_mismatch=True)


def federate(folder: Path, *options: str, **environment: str) -> SimpleNamespace:
    """Type the page's command at sites whose images are named after patients, and record what is sent."""
    sent = folder / "sent"
    sent.mkdir()
    recorded = {"PYTHONPATH": f"{RECORDER}:{ROOT}", "RECORDED_SOCKETS": str(sent), "OMP_NUM_THREADS": "1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in {**recorded, **environment}.items():
            patch.setenv(name, value)
        write_phantom_sites("sites", 2, 60, 30, 32)
        plant_canaries(folder / "sites")
        code = main([*read_command("federate"), *options])
    content = json.loads((folder / "output" / "federation" / "federation.json").read_text())
    whole = b"".join(path.read_bytes() for path in sorted(sent.iterdir()))
    return SimpleNamespace(folder=folder, code=code, content=content, recorded=whole)


@takes_minutes
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_sites_train_one_network_and_nothing_but_weights_and_metrics_leaves_them(small_bundle, tmp_path):
    """One test, as the federation takes a minute: its result, its tracking, the wire, and what it leaves at a site."""
    shutil.copy(small_bundle.store, tmp_path / "mlruns.db")
    federation = federate(tmp_path)
    assert federation.code == 0
    check_results(federation)
    check_tracking(federation)
    weights = load_file(find_fold(federation, "site_1") / "model.safetensors")
    assert weights["head.weight"].tobytes() in federation.recorded, "the record does not see what is sent"
    check_wire(federation)
    check_folder(federation)


@takes_minutes
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_encrypted_updates_train_the_same_network_and_no_one_but_the_sites_reads_it(small_bundle, tmp_path):
    """Its figures are sent to a server of MLflow, which is on the wire, too."""
    pytest.importorskip("tenseal", reason="the extra encryption is not installed")
    (tmp_path / "plain").mkdir()
    plain = federate(tmp_path / "plain", "--tracking-uri", "")
    folder = tmp_path / "encrypted"
    folder.mkdir()
    shutil.copy(small_bundle.store, folder / "mlruns.db")
    with mlflow_service("server", folder / "mlruns.db", folder, free_port()) as address:
        federation = federate(folder, "--privacy", "encryption", MLFLOW_TRACKING_URI=address)
        client = MlflowClient(address)
        (experiment,) = client.search_experiments(filter_string="name = 'Phantom (federation)'")
        assert len(client.search_runs([experiment.experiment_id])) == 3
    check_results(federation)
    check_wire(federation)
    assert b"runs/log-batch" in federation.recorded
    both = [load_file(find_fold(found, "site_1") / "model.safetensors") for found in (plain, federation)]
    assert max(np.abs(both[0][name] - value).max() for name, value in both[1].items() if value.dtype.kind == "f") < 1e-3
    trained = [both[1]["head.weight"], np.asarray(both[1]["head.weight"], np.float64)]
    assert [values.tobytes() in federation.recorded for values in trained] == [False, False]
    kept = load_file(folder / "output" / "federation" / "fold_0" / "progress.safetensors")
    assert {value.dtype for value in kept.values()} == {np.dtype(np.uint8)}


def check_results(federation: SimpleNamespace) -> None:
    (fold,) = federation.content["folds"].values()
    assert len(fold["rounds"]) == 2
    assert fold["test"]["sites"].keys() == {"site_1", "site_2"}
    networks = [load_file(find_fold(federation, site) / "model.safetensors") for site in ("site_1", "site_2")]
    trained = [name for name, value in networks[0].items() if value.dtype.kind == "f"]
    assert all(np.array_equal(networks[0][name], networks[1][name]) for name in trained)
    assert (find_fold(federation, "site_2") / "predictions.csv").is_file()


def check_tracking(federation: SimpleNamespace) -> None:
    """What the page's `mlflow ui` shows."""
    (store,) = re.findall(r"`mlflow ui --backend-store-uri sqlite:///(\S+)`", PAGE.read_text())
    with mlflow_service("ui", federation.folder / store, federation.folder, free_port()) as address:
        client = MlflowClient(address)
        (experiment,) = client.search_experiments(filter_string="name = 'Phantom (federation)'")
        runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == {"federation", "federation: site_1", "federation: site_2"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    (fold,) = federation.content["folds"].values()
    assert runs["federation"].data.metrics["fold_0/test_auc"] == fold["test"]["mean"]["test_auc"]
    tested = fold["test"]["sites"]["site_2"]["test_auc"]
    assert runs["federation: site_2"].data.metrics["fold_0/test_auc"] == tested
    assert str(federation.folder) not in str([(run.data.params, run.data.tags) for run in runs.values()])


def check_wire(federation: SimpleNamespace) -> None:
    """The bytes of the sockets hold what is known to travel, and none of the canaries in any form."""
    assert find_words(federation.recorded, [KNOWN]) == [KNOWN]
    assert find_words(federation.recorded, list_canaries(federation.folder)) == []


def list_canaries(folder: Path) -> list[str | bytes]:
    """What must not leave a site: its folders, its patients, its files, and rows of its images."""
    images = sorted((folder / "sites" / "site_1" / "images").rglob("*.png"))
    canaries: list[str | bytes] = [str(folder), PATIENT, "site_1/images", "site_2/images", "site_1/folds", "folds.json"]
    canaries += [b"\x89PNG", b"IHDR"]
    for path in images:
        pixels = np.asarray(Image.open(path))
        row = pixels[len(pixels) // 2]
        canaries += [row.tobytes(), row.astype(np.float32).tobytes(), (row / np.float32(127.5) - 1).tobytes()]
    return canaries


def check_folder(federation: SimpleNamespace) -> None:
    """The page's commands review and pack what the federation left at a site."""
    (review,) = re.findall(r"`medmamba-monai (review .+?)`", PAGE.read_text())
    run = federation.folder / review.split()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(federation.folder)
        assert main([*review.split(), "--resamples", "100"]) == 0
        assert main(["package", str(run), "--output", "package", "--folds", "finished"]) == 0
    assert "site_1" in (run / "report.html").read_text()
    assert list((run / "fold_0").glob("*.png"))
    packed = load_file(federation.folder / "package" / "fold_0.safetensors")
    trained = load_file(run / "fold_0" / "model.safetensors")
    assert all(np.array_equal(packed[name], value) for name, value in trained.items())


def find_fold(federation: SimpleNamespace, site: str) -> Path:
    folder: Path = federation.folder / "sites" / "output" / site / "federation" / "fold_0"
    return folder

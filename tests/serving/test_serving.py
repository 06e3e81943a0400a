"""Logged models of a package in a copied store: what they hold, what they are linked to and what they answer."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from packaging.requirements import Requirement
from PIL import Image

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import ConformalPredictor
from medmamba_monai.package import Package, Prediction, write_package
from medmamba_monai.package.manifest import read_manifest
from medmamba_monai.serving import LoggedPackage, answer, log_package
from medmamba_monai.serving.answer import describe_prediction
from medmamba_monai.serving.origin import choose_store
from medmamba_monai.serving.requirements import pin_requirements
from medmamba_monai.serving.save import save_mlflow_model
from tests.helpers import dicom_files
from tests.helpers.small_bundle import copy_cross_validation, end_group, free_port, start, wait_until

GRADIENT = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (40, 1))


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def write_picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GRADIENT).save(file, kind)
    return file.getvalue()


def write_dicom(folder: Path, pixels: np.ndarray | None = GRADIENT, **attributes: object) -> bytes:
    return dicom_files.write(folder / "made.dcm", pixels, **attributes).read_bytes()


@pytest.fixture(scope="module")
def copied(cross_validated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cross-validation with a store of its own."""
    return copy_cross_validation(cross_validated, tmp_path_factory.mktemp("served") / "copy")


@pytest.fixture(scope="module")
def client(copied: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{copied.parent}/mlruns.db")


@pytest.fixture(scope="module")
def before(copied: Path, client: MlflowClient) -> dict[str, dict[str, int]]:
    """How many points each metric of each run had before models were logged."""
    experiment = client.get_experiment_by_name("Phantom")
    return {
        run.info.run_id: {key: len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics}
        for run in client.search_runs([experiment.experiment_id])
    }


@pytest.fixture(scope="module")
def logged(packed: Path, copied: Path, before: dict) -> LoggedPackage:
    return log_package(packed, copied, register="phantom")


@pytest.fixture(scope="module")
def folders(logged: LoggedPackage, client: MlflowClient) -> dict[str, Path]:
    """Where each logged model lies."""
    found = {name: client.get_logged_model(model_id) for name, model_id in logged.models.items()}
    return {name: Path(model.artifact_location.removeprefix("file://")) for name, model in found.items()}


@pytest.fixture(scope="module")
def model(folders: dict[str, Path]) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(folders["ensemble"]))


def test_each_fold_and_the_ensemble_are_models_of_their_own_run(logged, client, copied):
    assert list(logged.models) == ["fold-0", "fold-1", "ensemble"]
    runs = [RunFolder(copied).fold(0), RunFolder(copied).fold(1), RunFolder(copied)]
    for (name, model_id), folder in zip(logged.models.items(), runs, strict=True):
        found = client.get_logged_model(model_id)
        run = client.get_run(json.loads(folder.mlflow_state.read_text())["run_id"])
        assert (found.name, found.status, found.source_run_id) == (name, "READY", run.info.run_id)
        assert [one.model_id for one in run.outputs.model_outputs] == [model_id]
        dataset = run.inputs.dataset_inputs[0].dataset
        assert {(one.dataset_name, one.dataset_digest) for one in found.metrics} == {(dataset.name, dataset.digest)}
        own = "ensemble/auc" if name == "ensemble" else "test/auc"
        assert {one.key: one.value for one in found.metrics}[own] == run.data.metrics[own]


def test_metrics_of_the_runs_stay_as_they_were(logged, client, before):
    for run_id, counts in before.items():
        assert {key: len(client.get_metric_history(run_id, key)) for key in counts} == counts


def test_what_is_logged_is_not_logged_again(logged, packed, copied, client, capsys):
    assert main(["log-model", str(packed), "--run", str(copied), "--register", "phantom"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}: models:/{model_id}\n" in printed for name, model_id in logged.models.items())
    assert "registered: models:/phantom/1\n" in printed
    assert "mlflow models serve --env-manager local --port 5001 -m models:/phantom/1" in printed
    (version,) = client.search_model_versions("name = 'phantom'")
    assert Path(version.source.removeprefix("file://")).name == "artifacts"
    assert version.description.startswith("all 2 folds; the mean of their probabilities. ")
    assert client.get_logged_model(logged.models["ensemble"]).tags["mlflow.note.content"] == version.description
    (known,) = json.loads(client.get_logged_model(logged.models["ensemble"]).tags["mlflow.modelVersions"])
    assert known == {"name": "phantom", "version": "1"}


def test_the_model_of_a_fold_holds_that_fold_alone(folders):
    manifest = read_manifest(folders["fold-1"] / "artifacts" / "package")
    assert [member.fold for member in manifest.members] == [1]
    assert manifest.selection == "fold 1 of 2, chosen by its number"
    assert not list(folders["fold-1"].rglob("fold_0*"))


def test_a_model_holds_no_pickle_and_names_nothing_of_this_machine(folders, packed, copied, small_bundle):
    files = [path for path in folders["ensemble"].rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files}
    assert kinds == {"", ".py", ".yaml", ".txt", ".md", ".json", ".safetensors"}
    private = [str(path) for path in (packed, copied, small_bundle.root.parent, Path.home(), Path(sys.prefix))]
    for path in files:
        if path.suffix != ".safetensors":
            assert not any(name in path.read_text(encoding="utf-8") for name in private), path
    flavor = yaml.safe_load((folders["ensemble"] / "MLmodel").read_text())["flavors"]["python_function"]
    assert flavor["artifacts"] == {"package": {"path": "artifacts/package", "uri": "artifacts/package"}}
    assert (flavor["model_code_path"], flavor["code"]) == ("model_code.py", None)


def test_requirements_are_pinned_to_what_wrote_the_package(folders):
    lines = (folders["ensemble"] / "requirements.txt").read_text().split()
    pins = {Requirement(line).name: str(Requirement(line).specifier) for line in lines}
    versions = read_manifest(folders["ensemble"] / "artifacts" / "package").versions
    assert {name: f"=={text.partition('+')[0]}" for name, text in versions.items()}.items() <= pins.items()
    assert all(pin.startswith("==") for pin in pins.values())
    assert {"mlflow", "pydicom", "pillow"} <= pins.keys()


def test_pins_are_of_the_package_first_and_without_the_build():
    pins = pin_requirements({"torch": "2.99.0+cpu", "medmamba-monai": "7.0"})
    assert {"torch==2.99.0", "medmamba-monai==7.0"} <= set(pins)
    assert not any(pin.startswith("medmamba-monai") for pin in pin_requirements({"medmamba-monai": "7.0"}, True))


def test_code_goes_along_where_it_is_asked_for(packed, tmp_path):
    save_mlflow_model(packed, read_manifest(packed), tmp_path / "model", with_code=True)
    code = tmp_path / "model" / "code" / "medmamba_monai"
    assert (code / "serving" / "mlflow_model.py").is_file()
    assert not [path for path in code.rglob("*") if path.name == "__pycache__" or path.suffix in (".pyc", ".nbi")]
    assert "medmamba-monai" not in (tmp_path / "model" / "requirements.txt").read_text()
    assert "MLFLOW_UV_AUTO_DETECT" not in os.environ


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM"])
def test_a_model_answers_as_the_package_does(model, packed, tmp_path, kind):
    content = write_dicom(tmp_path) if kind == "DICOM" else write_picture(kind)
    (tmp_path / "image").write_bytes(content)
    found = model.predict(pd.DataFrame({"image": [encode(content)]}), params={"level": 0.8}).iloc[0]
    expected = Package.open(packed).predict([tmp_path / "image"])
    names = expected.class_names
    assert found["predicted"] == expected.predicted_names[0]
    assert found["probabilities"] == dict(zip(names, expected.probabilities[0], strict=True))
    assert found["calibrated"] == dict(zip(names, expected.calibrated[0], strict=True))
    assert found["doubt"] == expected.doubt[0]
    assert found["reasons"] == expected.list_reasons(0.8)[0]
    assert found["unlike"] == expected.unlike[0]
    assert "; ".join(found["set"]) == expected.name_sets(0.8)[0]


def test_an_answer_of_several_labels_has_no_set():
    folds = {0: np.array([[0.9, 0.2], [0.6, 0.8]])}
    found = describe_prediction(Prediction(folds, ("edema", "mass"), "multi-label", {0: 1.0}, {}), 0.9)
    assert [one["predicted"] for one in found] == ["edema", "edema; mass"]
    assert all("set" not in one and "unlike" not in one for one in found)
    assert all(isinstance(one["reasons"], list) for one in found)


def test_a_set_holds_the_names_of_its_classes():
    strangeness = {0: np.linspace(0, 1, 50)}
    sets = ConformalPredictor("LAC", strangeness, {0: np.zeros(50, dtype=np.int64)})
    found = Prediction({0: np.array([[0.6, 0.4]])}, ("a", "b"), "binary", {0: 1.0}, {"LAC": sets})
    assert describe_prediction(found, 0.9)[0]["set"] == ["a", "b"]
    assert describe_prediction(found, 0.5)[0]["set"] == ["a"]


SR = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "Modality": "SR"}
BAD = {
    "no base64": (lambda folder: "chest.png", "is not base64; encode the bytes"),
    "nothing": (lambda folder: "", "is empty"),
    "a number": (lambda folder: 7, "is a int; send the file's bytes"),
    "a text": (lambda folder: encode(b"Dear colleague, ..."), "is damaged or no PNG, JPEG"),
    "half a PNG": (lambda folder: encode(write_picture("PNG")[:60]), "image 2 of 2"),
    "a report": (lambda folder: encode(write_dicom(folder, None, **SR)), "image 2 of 2"),
}


@pytest.mark.parametrize("make", BAD)
def test_what_is_no_image_is_one_line_that_names_no_file(packed, tmp_path, make):
    bad, said = BAD[make]
    with pytest.raises(UserError) as raised:
        answer(Package.open(packed), [encode(write_picture("PNG")), bad(tmp_path)])
    message = str(raised.value)
    assert message.startswith("image 2 of 2: ")
    assert said in message
    assert len(message.splitlines()) == 1
    assert "/" not in message.replace("image/", "")


@pytest.mark.parametrize("level", [0.0, 1.0, float("nan")])
def test_a_level_that_is_none_is_named(packed, level):
    with pytest.raises(UserError, match="level is"):
        answer(Package.open(packed), [encode(write_picture("PNG"))], level)
    with pytest.raises(UserError, match="no image in the request"):
        answer(Package.open(packed), [])


def test_a_refusal_tells_the_message_alone(model):
    with pytest.raises(mlflow.MlflowException) as raised:
        model.predict(pd.DataFrame({"image": ["chest.png"]}))
    raised.value.message = "Failed to predict data 'chest.png'"  # as the server does before it answers
    told = json.loads(raised.value.serialize_as_json())
    assert told["error_code"] == "INVALID_PARAMETER_VALUE"
    assert told["message"] == "image 1 of 1: is not base64; encode the bytes of the image file, not its name"
    assert raised.value.get_http_status_code() == 400


def test_a_failure_tells_the_client_nothing_of_the_server(model, monkeypatch, caplog):
    inner = model.unwrap_python_model()
    monkeypatch.setattr(inner, "_package", object())
    with pytest.raises(mlflow.MlflowException) as raised:
        model.predict(pd.DataFrame({"image": [encode(write_picture("PNG"))]}))
    assert json.loads(raised.value.serialize_as_json())["message"] == "the server failed; its log says why"
    assert raised.value.get_http_status_code() == 500
    assert "AttributeError" in caplog.text


def ask(address: str, body: object, kind: str = "application/json") -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/invocations", data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def is_up(address: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/ping", timeout=1) as response:
        return bool(response.status == 200)
    return False


SERVE_IN_ONE_PROCESS = """
import os, runpy, shlex, subprocess, sys, types
import mlflow.cli
from mlflow.pyfunc import backend

def run_here(command, env, **options):
    os.environ.update(env)
    sys.argv = shlex.split(command[-1])[1:]  # behind exec
    runpy.run_module(sys.argv[0], run_name="__main__")

backend.subprocess = types.SimpleNamespace(**{**vars(subprocess), "Popen": run_here})
mlflow.cli.cli()
"""


@pytest.mark.long
def test_the_server_of_mlflow_answers(logged, packed, copied, tmp_path):
    """``mlflow models serve``, whose server runs in its own process, where the large packages are imported."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", SERVE_IN_ONE_PROCESS, "models", "serve", "--env-manager", "local"]
    store = f"sqlite:///{copied.parent}/mlruns.db"
    process = start([*command, "--port", str(port), "-m", logged.uri], tmp_path, MLFLOW_TRACKING_URI=store)
    try:
        wait_until(lambda: is_up(address), process, 480)
        images = [encode(write_picture("PNG")), encode(write_dicom(tmp_path))]
        request = {"dataframe_records": [{"image": image} for image in images], "params": {"level": 0.8}}
        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(lambda _: ask(address, request), range(3)))
        (tmp_path / "image").write_bytes(write_picture("PNG"))
        expected = Package.open(packed).predict([tmp_path / "image"])
        for status, found in answers:
            assert status == 200
            png, dicom = found["predictions"]
            assert png["predicted"] == dicom["predicted"] == expected.predicted_names[0]
            assert list(png["probabilities"]) == list(expected.class_names)
            values = list(png["probabilities"].values())
            np.testing.assert_allclose(values, expected.probabilities[0], rtol=0, atol=1e-6)
            assert 0 <= png["doubt"] <= 1
            assert "; ".join(png["set"]) == expected.name_sets(0.8)[0]
        report = encode(write_dicom(tmp_path, None, **SR))
        for bad in ("chest.png", encode(b"Dear colleague"), report):
            status, told = ask(address, {"inputs": {"image": [bad]}})
            assert status == 400
            assert told.keys() == {"error_code", "message"}
            assert told["message"].startswith("image 1 of 1: ")
        for body in ({"inputs": {"picture": [images[0]]}}, b"no json", {"instances": [{"image": 3}]}):
            status, told = ask(address, body)
            assert status == 400
            assert "Traceback" not in json.dumps(told)
        assert ask(address, request)[0] == 200
    finally:
        end_group(process)


def test_a_package_of_another_run_is_named(packed, copied, tmp_path):
    other = Path(shutil.copytree(copied, tmp_path / "other"))
    shutil.copy(copied / "fold_0" / "model.safetensors", other / "fold_1" / "model.safetensors")
    with pytest.raises(UserError, match=r"fold_1.*model\.safetensors: are not the weights in the package"):
        log_package(packed, other)
    with pytest.raises(UserError, match="name the cross-validation that the package was made of"):
        log_package(packed, tmp_path)


def change_store(folder: Path, **changes: object) -> RunFolder:
    source = RunFolder(folder)
    write_json(source.mlflow_state, {**json.loads(source.mlflow_state.read_text()), **changes})
    return source


@pytest.fixture
def run(copied: Path, tmp_path: Path) -> RunFolder:
    """A copy of the run's own files, without its folds."""
    (tmp_path / "run").mkdir()
    for name in ("mlflow.json", "tracking.jsonl"):
        shutil.copy(copied / name, tmp_path / "run" / name)
    return RunFolder(tmp_path / "run")


def test_weights_go_to_a_server_only_when_it_is_named(run):
    change_store(run.path, tracking_uri="http://me:secret@server:5000")
    with pytest.raises(UserError, match=r"would get all weights .* say so with --tracking-uri") as raised:
        choose_store(run, "")
    assert "secret" not in str(raised.value)
    assert choose_store(run, "http://me:secret@server:5000/") == "http://me:secret@server:5000"


def test_a_run_that_stays_on_this_machine_is_sent_nowhere(run):
    with run.journal.open("a") as journal:
        journal.write(json.dumps({"op": "store", "time": 1, "local": True, "experiment": "Phantom"}) + "\n")
    for uri in ("", "http://server:5000"):
        with pytest.raises(UserError, match="is in no MLflow store"):
            choose_store(run, uri)


def test_another_store_than_that_of_the_run_is_named(run):
    with pytest.raises(UserError, match="models belong beside it"):
        choose_store(run, "http://elsewhere:5000")
    run.mlflow_state.unlink()
    with pytest.raises(UserError, match="is in no MLflow store"):
        choose_store(run, "")


def test_a_name_that_cannot_be_registered_is_named(packed, copied, logged):
    with pytest.raises(UserError, match="--register 'a/b': MLflow does not take this name"):
        log_package(packed, copied, register="a/b")


def test_a_package_of_one_fold_is_a_model_of_that_fold(copied, tmp_path, client, logged):
    package = write_package(copied, tmp_path / "one", 1, look_at_images=False)
    assert package.manifest.folds == "one"
    found = log_package(tmp_path / "one", copied)
    assert found.models == {"fold-1": logged.models["fold-1"]}
    with pytest.raises(UserError, match=r"fold 5 has not finished, or there is none: .* \[0, 1\]"):
        write_package(copied, tmp_path / "none", 5)


def test_a_model_that_cannot_be_logged_is_marked(packed, copied, client, logged, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("medmamba_monai.serving.log_models.save_mlflow_model", fail)
    with pytest.raises(UserError, match="no space left"):
        log_package(packed, copied, with_code=True)
    experiment = client.get_experiment_by_name("Phantom").experiment_id
    assert [one.status for one in client.search_logged_models([experiment]) if one.status != "READY"] == ["FAILED"]

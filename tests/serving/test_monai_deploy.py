"""The application folder of MONAI Deploy: what needs no Holoscan runs, the rest is Python with names of the SDK."""

from __future__ import annotations

import ast
import json
import runpy
import sys
from pathlib import Path

import pydicom
import pytest
import yaml
from packaging.requirements import Requirement

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.package import Package
from medmamba_monai.serving.monai_deploy import write_monai_deploy
from tests.helpers.studies import change_package, write_study

SDK = {
    "monai.deploy.conditions": {"CountCondition"},
    "monai.deploy.core": {"AppContext", "Application", "Fragment", "Operator", "OperatorSpec"},
}
"""What MONAI Deploy App SDK 3.5 has, of what the application imports; looked up in its source."""


@pytest.fixture(scope="module")
def package(packed: Path) -> Package:
    return Package.open(packed)


@pytest.fixture(scope="module")
def app(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_monai_deploy(package, tmp_path_factory.mktemp("deploy") / "app")


def test_the_folder_holds_an_application(app, package):
    written = {path.name for path in app.iterdir()}
    assert written == {
        *("__main__.py", "answer.py", "app.py", "app.yaml", "operators.py"),
        *("README.md", "requirements.txt", "medmamba_monai"),
    }
    application = yaml.safe_load((app / "app.yaml").read_text(encoding="utf-8").split("---\n")[1])
    assert application["application"]["title"] == package.card.title
    assert package.card.intended_use in (app / "README.md").read_text(encoding="utf-8")
    assert (app / "medmamba_monai" / "hospital" / "answer.py").is_file()
    pins = {Requirement(line).name for line in (app / "requirements.txt").read_text().splitlines()}
    assert {"torch", "monai", "pydicom", "highdicom", "monai-deploy-app-sdk"} <= pins
    assert "medmamba-monai" not in pins


def test_what_is_imported_of_the_sdk_is_in_it(app):
    used: dict[str, set[str]] = {}
    for path in app.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("monai.deploy"):
                used.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
    assert used == SDK


def test_the_step_of_the_operators_answers_a_study(app, packed, tmp_path, capsys, monkeypatch):
    study = write_study(tmp_path / "study")
    monkeypatch.setattr(sys, "argv", ["answer.py", str(study), str(tmp_path / "out"), str(packed)])
    step = runpy.run_path(str(app / "answer.py"), run_name="__main__")
    report, *_ = [pydicom.dcmread(line) for line in capsys.readouterr().out.splitlines()]
    assert (report.Modality, report.PatientID) == ("SR", "4711")
    with pytest.raises(SystemExit, match="holds 0 packages"):
        step["open_package"](study)


def test_what_people_wrote_breaks_no_file(package, tmp_path):
    title = 'A "quoted" \\ title: {{ 7 * 6 }}'
    other = write_monai_deploy(change_package(package, {"title": title}), tmp_path / "app")
    for path in other.glob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
    content = yaml.safe_load((other / "app.yaml").read_text(encoding="utf-8").split("---\n")[1])
    assert content["application"]["title"] == title


def test_the_command_writes_it_beside_the_package(cross_validated, tmp_path, capsys):
    arguments = ["package", str(cross_validated / "output"), "--output", str(tmp_path / "p"), "--folds", "0"]
    assert main([*arguments, "--monai-deploy", str(tmp_path / "app")]) == 0
    assert "its README.md says how to run it" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "p" / "package.json").read_text(encoding="utf-8"))
    assert manifest["selection"] == "fold 0 of 2, chosen by its number"
    assert (tmp_path / "app" / "app.py").is_file()


def test_a_folder_that_holds_something_is_left_alone(package, app, cross_validated, tmp_path, capsys):
    with pytest.raises(UserError, match="is not empty; name a new folder for the application"):
        write_monai_deploy(package, app)
    arguments = ["package", str(cross_validated / "output"), "--output", str(tmp_path / "p")]
    assert main([*arguments, "--monai-deploy", str(app)]) == 2
    assert "name a new folder for the application" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()

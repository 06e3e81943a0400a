"""A package as a folder of MLflow's format for models: code, signature, requirements and the package itself."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import medmamba_monai
from medmamba_monai.core.environment import set_environment
from medmamba_monai.core.files import write_text
from medmamba_monai.package import Manifest
from medmamba_monai.serving.requirements import pin_requirements
from medmamba_monai.serving.signature import describe_signature

if TYPE_CHECKING:
    from mlflow.models import Model

_CODE = Path(__file__).with_name("model_code.py")
_SWITCHES = ("MLFLOW_UV_AUTO_DETECT", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
_NOT_CODE = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc", "*.pyc")


def save_mlflow_model(
    package: Path, manifest: Manifest, target: Path, model: Model | None = None, with_code: bool = False
) -> None:
    """Write a package as a model that MLflow loads and serves.

    It holds no pickle, no path of this machine and nothing of the current folder.

    Args:
        package: folder of the package.
        manifest: what it holds.
        target: folder of the model; must not exist.
        model: what MLflow knows of it beforehand, such as the id that it was given.
        with_code: copy the code of this Python package into the model, for servers that cannot install it.
    """
    from mlflow import pyfunc

    from medmamba_monai.serving.mlflow_model import ARTIFACT

    with _be_discreet(), tempfile.TemporaryDirectory() as folder:
        pyfunc.save_model(
            target,
            python_model=_CODE,
            artifacts={ARTIFACT: shutil.copytree(package, Path(folder) / ARTIFACT).as_posix()},  # of a neutral name
            model_config={"device": "auto"},
            signature=describe_signature(manifest),
            pip_requirements=pin_requirements(manifest.versions, with_code),
            code_paths=[str(copy_code(Path(folder)))] if with_code else None,
            mlflow_model=model,
        )
    _hide_paths(target / "MLmodel")


def copy_code(folder: Path) -> Path:
    """Copy the source of this Python package into a folder; returns where it is."""
    source = Path(medmamba_monai.__file__).parent
    return Path(shutil.copytree(source, folder / source.name, ignore=_NOT_CODE))


def _hide_paths(path: Path) -> None:
    """Take out where the files of a model lay when it was saved; MLflow finds them by where they are beside it."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    flavor = content["flavors"]["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    write_text(path, yaml.safe_dump(content, sort_keys=False))


@contextmanager
def _be_discreet() -> Iterator[None]:
    """Keep MLflow from copying a project's lock file out of the current folder, from progress bars and from advice."""
    with set_environment(dict.fromkeys(_SWITCHES, "false")), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield

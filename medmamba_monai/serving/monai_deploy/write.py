"""The files of an application of MONAI Deploy, filled from a package."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from medmamba_monai import __version__
from medmamba_monai.core.files import fill_new_folder, write_text
from medmamba_monai.package import Package
from medmamba_monai.serving.requirements import pin_requirements
from medmamba_monai.serving.save import copy_code

TEMPLATES = ("__main__.py", "app.py", "answer.py", "operators.py", "app.yaml", "README.md")
REQUIREMENTS = ("monai-deploy-app-sdk>=3.5,<4", "highdicom>=0.25")
"""What the application needs beside what the package needs."""


def write_monai_deploy(package: Package, output: str | os.PathLike[str]) -> Path:
    """Write an application folder for the packager of MONAI Deploy.

    It holds the code of this Python package, which no index has, and no weights: the packager takes the folder of the
    package as its model. Holoscan, which runs it, needs CUDA; the one step that is not Holoscan's, ``answer.py``, runs
    anywhere.

    Args:
        package: what the application judges with.
        output: folder of the application; must be new or empty.

    Raises:
        UserError: the folder is not empty.
    """
    with fill_new_folder(output, "application") as target:
        values = {
            "title": package.card.title,
            "name": package.card.name,
            "intended_use": package.card.intended_use,
            "version": __version__,
        }
        for name in TEMPLATES:
            write_text(target / name, _fill(name, values))
        lines = [*pin_requirements(package.manifest.versions, with_code=True), *REQUIREMENTS]
        write_text(target / "requirements.txt", "\n".join(sorted(lines)) + "\n")
        copy_code(target)
    return target


def _fill(name: str, values: dict[str, str]) -> str:
    """Fill a template; ``| tojson`` in it quotes what people wrote, for Python and YAML alike."""
    source = (files("medmamba_monai.serving.monai_deploy") / f"{name}.jinja").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(source).render(values)

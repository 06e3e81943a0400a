"""A site of a federation: the file that says where its data are, and never leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from medmamba_monai.bundle.find_bundle import find_bundle
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import make_file_name
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.federation.options import Plan

SITES_VARIABLE = "MEDMAMBA_SITES_DIR"
"""Environment variable of a site's machine: the folder of the file ``<site>.json``."""


class Site(BaseModel):
    """What a site knows of itself; relative paths are relative to its file.

    Attributes:
        path: of the file.
        bundle: folder of the site's bundle.
        dataset_dir: folder of its images; None for where the bundle looks.
        data_list: the folds that ``prepare`` wrote; None for where the bundle looks.
        output_dir: folder of its runs.
        device: where it computes.
        num_workers: processes that load its images.
        tracking_uri: its own MLflow store; empty for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(exclude=True)
    bundle: str
    dataset_dir: str | None = None
    data_list: str | None = None
    output_dir: str = "output"
    device: str = "auto"
    num_workers: int = 0
    tracking_uri: str = ""

    @property
    def name(self) -> str:
        """By which the federation knows it."""
        return self.path.stem

    @property
    def root(self) -> Path:
        """Folder of the bundle."""
        return find_bundle(self.path.parent / self.bundle)

    def folder(self, plan: Plan) -> RunFolder:
        """Return the folder of the site's part in a federation."""
        return RunFolder(self.path.parent / self.output_dir / self.name / make_file_name(plan.options.run_name))

    def values(self, plan: Plan, fold: int) -> dict[str, Any]:
        """Return what the configs of the site's bundle are given for a fold."""
        directory = str(self.folder(plan).fold(fold).path)
        places = {"dataset_dir": self.dataset_dir, "data_list": self.data_list}
        own = {name: str((self.path.parent / place).resolve()) for name, place in places.items() if place is not None}
        return {
            **own,
            **plan.training,
            "device": self.device,
            "num_workers": self.num_workers,
            "tracking_uri": self.tracking_uri,
            "run_name": plan.options.run_name,
            "fold": fold,
            "output_dir": directory,
            "ckpt_dir": directory,
            "progress_bar": False,
        }


def read_site(folder: str | Path, name: str) -> Site:
    """Read the file of a site.

    Args:
        folder: of the file ``<name>.json``.
        name: of the site.

    Raises:
        UserError: there is no such file, or it does not fit.
    """
    path = Path(folder).absolute() / f"{name}.json"
    return read_document(path, Site, {"path": path})


def read_sites(folder: str | Path) -> list[Site]:
    """Read the files of all sites in a folder, by name.

    Raises:
        UserError: there are fewer than two, or one does not fit.
    """
    names = sorted(path.stem for path in Path(folder).glob("*.json"))
    if len(names) < 2:
        found = ", ".join(f"{name}.json" for name in names) or "none"
        raise UserError(
            f"{folder}: needs a file <site>.json of each of two or more sites, found {found}; see "
            '"Train in a federation" in the documentation'
        )
    return [read_site(folder, name) for name in names]

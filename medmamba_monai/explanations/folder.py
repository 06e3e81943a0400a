"""The folder of explanations: the name of every file in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExplanationFolder:
    """The paths of the files; nothing is read or made until one is used.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """What all maps in the folder are of."""
        return self.path / "settings.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def judgement(self) -> Path:
        """How good each method's maps are, for programs."""
        return self.path / "judgement.json"

    @property
    def images(self) -> Path:
        """Which id is which image file; names of files stay on the user's machine."""
        return self.path / "files.csv"

    @property
    def figures(self) -> Path:
        """Folder of the page's figures."""
        return self.path / "figures"

    def overlay(self, name: str) -> Path:
        """Return the picture of an image under the maps of all methods."""
        return self.path / "overlays" / f"{name}.png"

    def map(self, method: str, name: str) -> Path:
        """Return the file of a map, float32 at the size that the network sees."""
        return self.path / "maps" / method / f"{name}.npy"

    def volume(self, method: str, name: str) -> Path:
        """Return the NIfTI file of a map in the space of its volume."""
        return self.path / "maps" / method / f"{name}.nii.gz"

    def values(self, method: str) -> Path:
        """Return the file of what was judged of each map of a method, from which a judgement goes on."""
        return self.path / "judged" / f"{method}.json"

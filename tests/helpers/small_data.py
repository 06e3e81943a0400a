"""Miniatures of real layouts: an npz like MedMNIST's, and the card that fits it."""

from __future__ import annotations

import hashlib
import socketserver
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from medmamba_monai.cards.card import DatasetCard

COUNTS = {"train": 20, "val": 10, "test": 8}


def npz_content(**changes: Any) -> dict[str, np.ndarray]:
    """Arrays of a two-class npz of 8 x 8 images; an argument of None leaves an array out."""
    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, count in COUNTS.items():
        arrays[f"{split}_images"] = generator.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % 2)[:, None]
    return {key: array for key, array in (arrays | changes).items() if array is not None}


def write_npz(folder: Path, name: str = "mini.npz", **changes: Any) -> Path:
    """Write the npz."""
    np.savez_compressed(folder / name, **npz_content(**changes))
    return folder / name


def small_card(**changes: Any) -> DatasetCard:
    """The card of the npz; arguments replace fields."""
    halves = {name: {"images": n, "classes": {"cat": n // 2, "dog": n // 2}} for name, n in COUNTS.items()}
    halves["validation"] = halves.pop("val")
    fields: dict[str, Any] = {
        "name": "mini",
        "title": "Mini",
        "description": "Random pixels.",
        "modality": "noise",
        "spatial_dims": 2,
        "channels": 1,
        "task": "binary",
        "classes": [{"name": "cat", "display_name": "Cat"}, {"name": "dog", "display_name": "Dog"}],
        "layout": {"kind": "npz"},
        "files": [{"path": "mini.npz", "image_size": 8}],
        "how_to_obtain": "Ask nobody.",
        "expected_counts": halves,
        "license": {"name": "none"},
        "authors": "the tests",
        "references": [],
    }
    return DatasetCard.model_validate(fields | changes)


def folder_card(**changes: Any) -> DatasetCard:
    """The card of a dataset in class folders without an official split."""
    return small_card(**({"layout": {"kind": "folders"}, "files": [], "expected_counts": {}} | changes))


def md5(path: Path) -> str:
    """The checksum, not through the code under test."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


class LocalServer(ThreadingHTTPServer):
    """An HTTP server on 127.0.0.1 at a free port, which asks no name server for its own name."""

    daemon_threads = True

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

"""What a fold writes into its folder, counted while a real one is trained and evaluated."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from medmamba_monai import Bundle
from medmamba_monai.bundle import generate_bundle
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import prepare_dataset
from medmamba_monai.data.phantom import write_phantom
from medmamba_monai.tracking.journal_file import read_lines

CARD = Path(__file__).resolve().parents[2] / "data_lists" / "phantom" / "card.json"
IMAGES, IMAGE_SIZE = 8, 64
KINDS = {"tracking.jsonl": "journal", "mlflow.json": "state of sending", ".pt": "weights", ".safetensors": "weights"}
CHECKPOINT, OTHER, PLACE = "checkpoints", "others", "folders"


class Flushes:
    """Counts what is flushed to disk, and how much of files that are replaced.

    Attributes:
        number: of flushes by kind of file.
        replaced: bytes of files by kind, each time that they were written.
    """

    def __init__(self) -> None:
        self.number: Counter[str] = Counter()
        self.replaced: Counter[str] = Counter()

    def note(self, descriptor: int) -> None:
        """Take in that a file or a folder is being flushed."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        kind = name_kind(path)
        self.number[kind] += 1
        if kind not in (PLACE, "journal"):
            self.replaced[kind] += os.fstat(descriptor).st_size


def name_kind(path: Path) -> str:
    """Return which kind of file a path is, also where it will be renamed to it."""
    if path.is_dir():
        return PLACE
    if path.parent.name == CHECKPOINT:
        return CHECKPOINT
    return next((kind for ending, kind in KINDS.items() if ending in path.name), OTHER)


@contextmanager
def count_flushes() -> Iterator[Flushes]:
    """Count what this process flushes to disk while the block runs."""
    found, flush = Flushes(), os.fsync

    def note_and_flush(descriptor: int) -> None:
        found.note(descriptor)
        flush(descriptor)

    with patch("os.fsync", note_and_flush):
        yield found


def measure_folder(folder: Path, epochs: int, **options: Any) -> dict[str, Any]:
    """Train and evaluate a fold of generated images; returns what it wrote.

    Args:
        folder: for the bundle, the images and the run.
        epochs: of the training.
        options: of the training, such as the network.
    """
    images = write_phantom(folder / "images", IMAGES, IMAGES // 2, IMAGE_SIZE)
    generate_bundle(CARD, folder / "bundle")
    prepare_dataset(CARD, images, folder / "folds.json", num_folds=2, allow_count_mismatch=True)
    bundle = Bundle(folder / "bundle", dataset_dir=str(images), data_list=str(folder / "folds.json"))
    place, store = folder / "run", f"sqlite:///{folder}/mlruns.db"
    with count_flushes() as found:
        trained = bundle.train(
            fold=0,
            epochs=epochs,
            image_size=IMAGE_SIZE,
            batch_size=IMAGES,
            output_dir=str(place),
            ckpt_dir=str(place),
            tracking_uri=store,
            patience=epochs,
            **options,
        )
    files = [path for path in place.rglob("*") if path.is_file()]
    journal = RunFolder(place).journal
    return {
        "epochs": epochs,
        "flushes": dict(found.number),
        "replaced_bytes": dict(found.replaced),
        "journal_lines": len(read_lines(journal)),
        "journal_bytes": journal.stat().st_size,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "weight_bytes": trained.weights.stat().st_size,
        "best_epochs": found.number["weights"] // 2,
    }

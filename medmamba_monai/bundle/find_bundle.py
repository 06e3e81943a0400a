"""Where the bundle of a dataset is, by its folder or by the name of a card that the package carries."""

from __future__ import annotations

import difflib
import json
from importlib.resources import as_file, files
from pathlib import Path

from medmamba_monai.bundle.build import generate_bundle
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder

_MARK = Path("configs") / "metadata.json"
_CARDS = "medmamba_monai.data_lists"


def list_datasets() -> list[str]:
    """Return the names of the datasets whose cards the package carries, sorted."""
    return sorted(folder.name for folder in files(_CARDS).iterdir() if (folder / "card.json").is_file())


def find_bundle(bundle: str | Path, folder: str | Path | None = None) -> Path:
    """Return the folder of a bundle; one of a dataset's name is generated where it is not there yet.

    Args:
        bundle: a folder that holds a bundle, the name of one in ``bundles`` of the current folder, where new-bundle
            puts them, or the name of a dataset of `list_datasets`.
        folder: where the bundle of a dataset's name stands; by default ``bundles/<name>`` in the current folder.

    Raises:
        UserError: it is none of these; names the nearest dataset.
    """
    for place in (Path(bundle), Path("bundles") / bundle):
        if folder is None and (place / _MARK).is_file():
            return place.resolve()
    name, known = str(bundle), list_datasets()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]}?" if near else f"datasets are {', '.join(known)}"
        raise UserError(
            f"{bundle}: is no folder with {_MARK.as_posix()}, and no dataset of this name is known; {advice}"
        )
    root = Path(folder or Path("bundles") / name)
    if not (root / _MARK).is_file():
        with as_file(files(_CARDS) / name / "card.json") as card:
            generate_bundle(card, root)
    return root.resolve()


def list_fold_weights(folder: RunFolder) -> list[Path]:
    """Return the files of weights of all folds that are in a folder, fold by fold.

    Raises:
        UserError: there are none, or a fold is missing before one that is there.
    """
    found = {fold for fold in folder.find_folds() if folder.fold(fold).weights.is_file()}
    if not found:
        raise UserError(f"{folder.path}: holds no fold_*/model.pt; train the folds first, or give another run_name")
    if missing := sorted(set(range(max(found))) - found):
        raise UserError(f"{folder.fold(missing[0]).weights}: is missing; train fold {missing[0]}, too")
    return [folder.fold(fold).weights for fold in sorted(found)]


def refuse_probe(folder: RunFolder) -> None:
    """Refuse the folder of a cross-validation whose models are probes, where weights of its folds are asked for.

    Raises:
        UserError: it is one.
    """
    settings = json.loads(folder.settings.read_text(encoding="utf-8")) if folder.settings.is_file() else {}
    if probe := settings.get("probe"):
        raise UserError(
            f"{folder.path}: its models are probes (--probe {probe}) of frozen features, which leave no weights that "
            "could judge other images; train networks from the same start, with --pretrained and without --probe, and "
            "give the name of that run"
        )

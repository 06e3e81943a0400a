"""Which file of weights the option ``pretrained`` names for a fold."""

from __future__ import annotations

import re
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder

OF_A_BUNDLE = "models"
_OF_A_PACKAGE = re.compile(r"fold_(\d+)\.safetensors$")


def find_weights(source: str | Path, fold: int) -> Path:
    """Find the file of weights that a fold is to start from.

    Args:
        source: a file; or the folder of a cross-validation, of a package, of a bundle with trained folds, or of one
            fold. Of a folder with several folds the fold's own number is taken; where it does not exist, as between
            datasets with more and fewer folds, the number modulo how many there are.
        fold: number of the fold that will be trained.

    Raises:
        UserError: there is no such file or folder, or no weights are in it.
    """
    path = Path(source)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"--pretrained {path}: does not exist; give a file of weights or the folder of a run")
    if (own := _choose_file(RunFolder(path))) is not None:
        return own
    found = _list_folds(path) or _list_folds(path / OF_A_BUNDLE)
    if not found:
        raise UserError(
            f"--pretrained {path}: holds no weights; give a file (.pt, .pth, .safetensors), or the folder of a "
            "cross-validation, of one fold, of a package or of a bundle that was trained"
        )
    return found[fold] if fold in found else found[sorted(found)[fold % len(found)]]


def _list_folds(folder: Path) -> dict[int, Path]:
    run = RunFolder(folder)
    folds = {number: _choose_file(run.fold(number)) for number in run.find_folds()}
    packed = {int(m[1]): path for path in folder.glob("fold_*.safetensors") if (m := _OF_A_PACKAGE.match(path.name))}
    return packed | {number: path for number, path in folds.items() if path is not None}


def _choose_file(folder: RunFolder) -> Path | None:
    return next((path for path in (folder.safetensors, folder.weights) if path.is_file()), None)

"""Clinical records beside the winner of a search: alone, and fused with its scores, on the winner's own folds."""

from __future__ import annotations

from pathlib import Path

from medmamba_monai.auto.contenders import Contender
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import say
from medmamba_monai.cross_validation import fuse_records
from medmamba_monai.evaluation import Comparison, CrossValidationResult, Model, compare, read_result
from medmamba_monai.evaluation.results.comparison import Inputs
from medmamba_monai.records import Way

_FEWEST_FOLDS = 2
"""Of late fusion, which learns from images that another fold's network has scored."""

_WAYS: tuple[tuple[Way, Inputs], ...] = (("records", "records"), ("late", "image and records"))


def compare_with_records(winner: Contender, resamples: int, seed: int = 0) -> Comparison | None:
    """Judge by records alone and by records with the winner's scores, and compare both with the winner.

    The winner stays what validation has chosen: nothing is chosen here. What an earlier start left is read.

    Args:
        winner: whose folds have been reviewed.
        resamples: of each bootstrap.
        seed: of the resampling.

    Returns:
        None where the folds hold no records, or the winner has fewer than two of them.
    """
    folds = winner.list_finished()
    if winner.running.plan.fold_list.records is None or len(folds) < _FEWEST_FOLDS:
        return None
    say("judging by clinical records, alone and with the winner's scores")
    result = read_result(winner.folder)
    models = [Model(winner.name, [result.folds])]
    for way, inputs in _WAYS:
        name = f"{winner.name} {way}"
        place = winner.folder.path.with_name(f"{winner.folder.path.name}_{way}")
        models.append(Model(name, [_fuse(winner, way, name, place, folds, resamples).folds], inputs))
    return compare(models, result.combination, resamples, seed)


def _fuse(
    winner: Contender, way: Way, name: str, place: Path, folds: list[int], resamples: int
) -> CrossValidationResult:
    if RunFolder(place).review.is_file() and sorted((found := read_result(place)).folds) == sorted(folds):
        return found
    return fuse_records(winner.folder.path, way, run_name=name, output_dir=place, resamples=resamples)

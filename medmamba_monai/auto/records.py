"""Clinical records beside the winner of a search: alone, and fused with its scores, on the winner's own folds."""

from __future__ import annotations

from pathlib import Path

from medmamba_monai.auto.contenders import Contender
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import say
from medmamba_monai.cross_validation import fuse_records
from medmamba_monai.evaluation import Comparison, CrossValidationResult, Model, compare, read_result
from medmamba_monai.evaluation.reports.comparison_tables import (
    explain_correction,
    make_models_table,
    make_tests_table,
    write_sentences,
)
from medmamba_monai.evaluation.reports.page import Section
from medmamba_monai.evaluation.results.comparison import Inputs
from medmamba_monai.records import Way

_FEWEST_FOLDS = 2
"""Of late fusion, which learns from images that another fold's network has scored."""

_WEIGHTED = (
    "The winner learned with each class counting alike, and calls the rare class more often than the regressions do, "
    "which know how rare it is. Its accuracy beside theirs shows that, too; the AUC does not depend on it."
)

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


def tell_records(comparison: Comparison | None, weighted: bool = False) -> list[Section]:
    """Say what clinical records add to the winner, and the image to them; nothing where the card has none.

    Args:
        comparison: of the winner, of records alone and of both; None where the card has no records.
        weighted: whether the winner was trained with a loss in which each class counts alike.
    """
    if comparison is None:
        return []
    text = (
        "Logistic regression of the clinical records alone, and of the records with the winner's scores, on the "
        "winner's folds: each is fitted on the training images of a fold, each of which has the score of a network "
        "that did not learn from it. Nothing was chosen by this, and the package judges by the image alone."
    )
    return [
        Section(
            "Clinical records",
            [text, *([_WEIGHTED] if weighted else []), explain_correction(comparison)],
            write_sentences(comparison),
            tables=[make_models_table(comparison), *map(make_tests_table, comparison.pairs)],
        )
    ]

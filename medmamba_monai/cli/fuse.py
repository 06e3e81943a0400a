"""``medmamba-monai fuse``: clinical records beside a cross-validation of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.bootstrap_options import Resamples, Seed
from medmamba_monai.core.defaults import RESAMPLES

_RUN = "Folder of a finished cross-validation of images, such as output/first."
_WAY = "late: records and the image's scores; records: the records alone."
_CLASSIFIER = "logistic regression, or boosted trees."


def fuse(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=_RUN)],
    way: Annotated[str, typer.Option(metavar="late|records", help=_WAY)] = "late",
    classifier: Annotated[str, typer.Option(metavar="logistic|boosted", help=_CLASSIFIER)] = "logistic",
    run_name: Annotated[str | None, typer.Option(help="Name of the new run; by default RUN with the way.")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Its folder; by default one of its name beside RUN.")] = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
) -> None:
    """Judge by clinical records, alone or with the images.

    On the folds of a finished cross-validation; the result is one that review and compare read.
    """
    from medmamba_monai.core.choices import check_choice
    from medmamba_monai.cross_validation import fuse_records
    from medmamba_monai.records import CLASSIFIERS, WAYS

    result = fuse_records(
        run,
        check_choice(way, WAYS, "way"),
        check_choice(classifier, CLASSIFIERS, "classifier"),
        run_name,
        output_dir,
        resamples=resamples,
        seed=seed,
    )
    print(f"folder {result.directory}")

"""``medmamba-monai robustness``: what noise, blur and the like cost a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.bootstrap_options import Resamples, Seed
from medmamba_monai.core.defaults import RESAMPLES, ROBUSTNESS_IMAGES

_RUN = "Folder of the finished cross-validation, such as output/first."
_CORRUPTION = "A corruption, such as gaussian_noise; repeat for several. By default all."
_SEVERITY = "A severity from 1 to 5; repeat for several. By default all."
_DATASET = "Folder of the run's images; by default where the run found them."


def robustness(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=_RUN)],
    corruption: Annotated[list[str] | None, typer.Option(metavar="NAME", help=_CORRUPTION, show_default=False)] = None,
    severity: Annotated[list[int] | None, typer.Option(metavar="1..5", help=_SEVERITY, show_default=False)] = None,
    images: Annotated[int, typer.Option(help="Test images at most, drawn with a fixed seed.")] = ROBUSTNESS_IMAGES,
    dataset_dir: Annotated[Path | None, typer.Option(help=_DATASET, show_default=False)] = None,
    device: Annotated[str, typer.Option(help="Where to judge: auto, cpu, cuda or cuda:0.")] = "auto",
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
) -> None:
    """Measure what corrupted test images cost a run."""
    from medmamba_monai.robustness import SEVERITIES, measure_robustness

    page = measure_robustness(
        run, corruption or (), severity or SEVERITIES, images, dataset_dir, device, resamples=resamples, seed=seed
    )
    print(f"report {page}")

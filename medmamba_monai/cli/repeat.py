"""``medmamba-monai repeat``: cross-validations of several networks with several seeds, and their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medmamba_monai.bundle.commands import CROSS_VALIDATE
from medmamba_monai.cli.bundle_options import BundleArgument, take_options


@take_options(CROSS_VALIDATE)
def repeat(
    bundle: BundleArgument,
    options: dict[str, Any],
    network_name: Annotated[list[str], typer.Option(metavar="TEXT...", help="Networks, each by its name.")],
    seed: Annotated[list[int], typer.Option(metavar="INTEGER...", help="Seeds that each network is trained with.")],
    run_name: Annotated[str, typer.Option(help="What the names of the runs begin with.")] = "",
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for a folder of each run; by default the bundle's output.")
    ] = None,
) -> None:
    """Cross-validate networks with seeds, and compare them."""
    from medmamba_monai.bundle.repeat import repeat_cross_validation
    from medmamba_monai.cross_validation import compare_runs

    names, store = repeat_cross_validation(bundle, network_name, seed, run_name, output_dir, options)
    if len(names) > 1:
        print(compare_runs([",".join(runs) for runs in names.values()], store, titles=list(names)))

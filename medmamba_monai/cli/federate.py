"""``medmamba-monai federate``, ``federation-job`` and ``federation-kit``: sites train one network together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medmamba_monai.cli.bundle_options import take_options
from medmamba_monai.core.names import make_file_name
from medmamba_monai.federation.options import FEDERATE

_SITES = "Folder of a file SITE.json of each site."
_KITS = "Folders of startup kits of the server and of sites."
_NAMES = "Names of the sites, as NVFlare was provisioned with them."


@take_options(FEDERATE)
def federate(
    sites: Annotated[Path, typer.Argument(metavar="SITES", help=_SITES)],
    options: dict[str, Any],
    output: Annotated[Path | None, typer.Option(help="Folder of the results; by default output/RUN_NAME.")] = None,
    tracking_uri: Annotated[
        str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="Store of the one experiment of all sites; '' for none.")
    ] = "sqlite:///mlruns.db",
    phantom: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Write so many sites of generated images there first.")
    ] = None,
) -> None:
    """Train one network at several sites, here."""
    from medmamba_monai.federation import simulate, write_phantom_sites
    from medmamba_monai.federation.report import format_results, format_silence

    if phantom is not None:
        write_phantom_sites(sites, phantom)
    target = output or Path("output") / make_file_name(options.get("run_name", "federation"))
    content = simulate(sites, target, tracking_uri, **options)
    print(f"\n{format_results(content)}\n\nresults {target}")
    if missed := format_silence(content):
        print(missed)


@take_options(FEDERATE)
def federation_job(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the job.")],
    options: dict[str, Any],
    sites: Annotated[list[str], typer.Option(metavar="SITE...", help=_NAMES)],
) -> None:
    """Write NVFlare's job of a federation."""
    from medmamba_monai.federation import write_job

    print(f"job {write_job(folder, sites, **options)}")


def federation_kit(
    kits: Annotated[list[Path], typer.Argument(metavar="KIT...", help=_KITS)],
) -> None:
    """Make startup kits of NVFlare ready for this package."""
    from medmamba_monai.federation import prepare_kit

    for kit in kits:
        print(f"ready by {prepare_kit(kit)}")

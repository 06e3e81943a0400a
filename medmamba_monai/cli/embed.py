"""``medmamba-monai embed``: features of the tiles of a bundle's slides, or of patches of its volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.bundle_options import BundleArgument

_PRETRAINED = "Weights that make the features: a file, or the folder of a run, of which fold 0 is taken."
_ENCODER = "Instead: an encoder of transformers, a folder or a name on the Hugging Face hub."
_NETWORK = "Network of the weights; by default as they say, else a MedMamba."
_OUTPUT = "Folder for the features; by default features in the bundle."


def embed(
    bundle: BundleArgument,
    pretrained: Annotated[Path | None, typer.Option(help=_PRETRAINED)] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help=_ENCODER)] = None,
    network_name: Annotated[str | None, typer.Option(metavar="NAME", help=_NETWORK)] = None,
    dataset_dir: Annotated[Path | None, typer.Option(help="Folder of the images; by default the bundle's.")] = None,
    data_list: Annotated[Path | None, typer.Option(help="The folds; by default the bundle's.")] = None,
    output: Annotated[Path | None, typer.Option(help=_OUTPUT)] = None,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:0.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Tiles or patches that are encoded at once.")] = 64,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove features of another kind.")] = False,
) -> None:
    """Make features of the tiles of slides once, or of patches."""
    from medmamba_monai.bundle.find_bundle import find_bundle
    from medmamba_monai.slides import embed_slides

    embed_slides(
        find_bundle(bundle),
        pretrained,
        encoder,
        network_name,
        dataset_dir=dataset_dir,
        data_list=data_list,
        output=output,
        device=device,
        batch_size=batch_size,
        overwrite=overwrite,
    )

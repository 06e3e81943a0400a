"""``medmamba-monai publish``: a copy of a bundle for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.bundle_options import BundleArgument

_RUN = "Cross-validation that the weights are of; by default those that train left."
_URL = "Address that models/model.pt is downloaded from, for large_files.yml."


def publish(
    bundle: BundleArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder for the copy.")],
    fold: Annotated[int, typer.Option(help="Fold whose weights become models/model.pt.")] = 0,
    run_name: Annotated[str | None, typer.Option(metavar="NAME", help=_RUN)] = None,
    weights_url: Annotated[str | None, typer.Option(metavar="URL", help=_URL)] = None,
) -> None:
    """Copy what others may have of a bundle.

    That is its configs and documents, and the weights of a fold.
    """
    from medmamba_monai.bundle.find_bundle import find_bundle
    from medmamba_monai.bundle.publish import ZOO_LIMIT, list_left_out, publish_bundle

    root = find_bundle(bundle)
    files = publish_bundle(root, folder, fold, run_name, weights_url)
    print(*files, sep="\n")
    print(f"left out: {', '.join(list_left_out(root)) or 'nothing'}")
    large = [path for path in files if path.stat().st_size > ZOO_LIMIT]
    if large and weights_url is None:
        print(
            f"{large[0]} has {large[0].stat().st_size / 1e6:.0f} MB: for the model zoo, which keeps up to "
            f"{ZOO_LIMIT / 1e6:.0f} MB, upload it elsewhere and pass its address as --weights-url"
        )

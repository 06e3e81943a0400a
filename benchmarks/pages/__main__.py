"""Write the documents' blocks of figures from ``benchmarks/results``: ``python -m benchmarks.pages``.

==============  =================================================================================================
block           what stands there, of the results that are in the folder, and of nothing else
==============  =================================================================================================
``speed``       ``model.json``, ``baselines.json``, ``scan.json``, ``growth.json``, ``loading.json``,
                ``augmentation.json``, ``explain.json``, ``gpu.json`` and ``listener.json``
``unlike``      which score tells other images from those of the dataset: ``unlike.json``
``comparison``  how good networks, recipes, pretrainings and statistics of batch norms are, and intervals:
                ``recipes.json``, ``pretrain.json``, ``batch_norm.json`` and ``coverage.json``
``exports``     formats of exported networks: ``exports.json``
``integers``    bytes and AUC of exported networks in integers: ``quantization.json``
``slides``      memory and time of slides of any size: ``slides.json``
``pointing``    which maps point at what decides, where that is known: ``pointing.json``
``auto``        how good a search gets within a time: ``auto.json``
``federation``  how good federations are beside pooled images and each site alone: ``federation.json``,
                ``federation_3_sites.json``, ``federation_5_sites.json``, ``federation_pneumoniamnist.json``, and
                what encryption costs: ``federation_encryption.json``
``rivals``      how good other programs get within the same time: ``rivals.json``
``scaling``     what stores and folders bear of many folds at a time, and a simulation: ``scaling.json``
==============  =================================================================================================

The block NAME stands in ``docs/reference/NAME.md``, after ``<!-- NAME -->`` and before ``<!-- /NAME -->``. One
without a result is left as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.auto import auto_part
from benchmarks.batch_norm import batch_norm_part
from benchmarks.coverage import coverage_part
from benchmarks.explain import explain_part
from benchmarks.exports import exports_part
from benchmarks.listener import listener_part
from benchmarks.pages.comparison import pretrain_part, recipes_part
from benchmarks.pages.federation import federation_part
from benchmarks.pages.federation_encryption import encryption_part
from benchmarks.pages.pointing import pointing_part
from benchmarks.pages.quantization import quantization_part
from benchmarks.pages.scaling import scaling_part
from benchmarks.pages.speed import (
    augmentation_part,
    baselines_part,
    gpu_part,
    growth_part,
    loading_part,
    model_part,
    scan_part,
)
from benchmarks.report import RESULTS, load_result
from benchmarks.rival_scores import rivals_part
from benchmarks.slides import slides_part
from benchmarks.unlike import unlike_part
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.core.files import write_text
from medmamba_monai.core.marked_text import replace_block

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"
FEDERATIONS = ("federation", "federation_3_sites", "federation_5_sites", "federation_pneumoniamnist")
BLOCKS: dict[str, dict[str, Callable[[dict[str, Any]], str]]] = {
    "speed": {
        "model": model_part,
        "baselines": baselines_part,
        "scan": scan_part,
        "growth": growth_part,
        "loading": loading_part,
        "augmentation": augmentation_part,
        "explain": explain_part,
        "gpu": gpu_part,
        "listener": listener_part,
    },
    "unlike": {"unlike": unlike_part},
    "comparison": {
        "recipes": recipes_part,
        "pretrain": pretrain_part,
        "batch_norm": batch_norm_part,
        "coverage": coverage_part,
    },
    "exports": {"exports": exports_part},
    "integers": {"quantization": quantization_part},
    "auto": {"auto": auto_part},
    "rivals": {"rivals": rivals_part},
    "slides": {"slides": slides_part},
    "pointing": {"pointing": pointing_part},
    "federation": {**dict.fromkeys(FEDERATIONS, federation_part), "federation_encryption": encryption_part},
    "scaling": {"scaling": scaling_part},
}
"""Names of results by the block that they stand in, in order, with what writes them."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the blocks, or print them with ``--print``; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--pages", type=Path, default=PAGES, metavar="FOLDER")
    parser.add_argument("--print", action="store_true", help="write no file")
    options = parser.parse_args(arguments)
    blocks = render(load_results(options.results))
    if options.print:
        print("\n\n".join(blocks.values()))
    else:
        write_blocks(options.pages, blocks)
    return 0


def load_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the results that are in a folder, by name.

    Raises:
        UserError: a result was interrupted or made with ``--quick``: it is no figure to show.
    """
    paths = {name: folder / f"{name}.json" for names in BLOCKS.values() for name in names}
    results = {name: load_result(path) for name, path in paths.items() if path.exists()}
    for name, result in results.items():
        if result.get("interrupted") or result["options"].get("quick"):
            raise UserError(f"{paths[name]} was interrupted or made with --quick: measure it again")
    return results


def render(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Render the blocks that there are results for, from results by name.

    Raises:
        UserError: there are none.
    """
    blocks = {}
    for block, writers in BLOCKS.items():
        if parts := [write(results[name]) for name, write in writers.items() if name in results]:
            blocks[block] = "\n\n".join(parts)
    if not blocks:
        raise UserError(f"there is no result in {RESULTS.name}/: run `make benchmarks` first")
    return blocks


def write_blocks(folder: Path, blocks: dict[str, str]) -> None:
    """Write each block into its page, all or none.

    Raises:
        UserError: there are no markers for one of them.
    """
    pages = {name: folder / f"{name}.md" for name in blocks}
    texts = {
        name: replace_block(page.read_text(encoding="utf-8"), name, blocks[name], str(page))
        for name, page in pages.items()
    }
    for name, page in pages.items():
        write_text(page, texts[name])


if __name__ == "__main__":
    sys.exit(main())

"""Memory and time of slides of any size: ``python -m benchmarks.slides``.

Generated pyramidal TIFFs of 1, 10 and 40 gigapixels show a disc of tissue on glass. Their tiles are compressed once and
written again and again, so that files stay small; what is decoded is as large as in any slide. Measured are, each in a
process of its own that does nothing else: finding tissue and all tiles at the finest level; and the features of so many
tiles, evenly spread over the slide, by an untrained MedMamba-T.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from benchmarks.memory import measure_fork, method
from benchmarks.report import add_common_options, markdown_table, measured_on, megabytes, new_result, save_result
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.images.slides.open import Slide
from medmamba_monai.images.slides.tiles import Tiles, Tiling, find_tiles
from medmamba_monai.networks import medmamba_tiny
from medmamba_monai.slides.encoder import TileEncoder
from medmamba_monai.slides.make_features import read_batches

GIGAPIXELS = (1, 10, 40)
SIZE = 224
TILING = Tiling(downsample=1)
_STORED, _LEAST, _STEP = 1024, 4, 4
"""Edge of a stored tile; stored tiles along the edge of the coarsest level; how much smaller each level is."""
_RADIUS = 0.3
_BATCH = 16


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.slides", description=__doc__)
    add_common_options(parser)
    parser.add_argument("--gigapixels", type=float, nargs="+", default=list(GIGAPIXELS))
    parser.add_argument("--tiles", type=int, default=8, help="tiles whose features are made")
    options = parser.parse_args(arguments)
    if min(options.gigapixels) <= 0 or options.tiles < 1:
        raise UserError("--gigapixels and --tiles: give numbers above 0")
    sizes = [0.01, 0.04] if options.quick else options.gigapixels
    told = {"tiles": min(options.tiles, 4) if options.quick else options.tiles, "quick": options.quick, "size": SIZE}
    result = new_result("slides", {**told, "memory": method()}) | {"slides": []}
    with tempfile.TemporaryDirectory() as folder:
        for gigapixels in sizes:
            result["slides"].append(measure(Path(folder) / "slide.tif", gigapixels, told["tiles"]))
            print(format_table(result["slides"]), flush=True)
    save_result(result, options.json)
    return 0


def measure(path: Path, gigapixels: float, number: int) -> dict[str, Any]:
    """Write a slide and measure what it takes; the file is replaced by the next one."""
    edge = write_large_slide(path, gigapixels)
    with Slide(path) as slide:
        tiles = find_tiles(slide, TILING, SIZE)
    steps = {"find": partial(_find, path), "features": partial(_make_features, path, _choose(tiles, number))}
    found = {name: measure_fork(step) for name, step in steps.items()}
    made: dict[str, Any] = {
        "edge": edge,
        "gigapixels": edge**2 / 1e9,
        "bytes": path.stat().st_size,
        "tiles": tiles.with_tissue,
    }
    made |= {name: {"memory": memory, "seconds": seconds} for name, (memory, seconds) in found.items()}
    return {**made, "number": number}


def write_large_slide(path: Path, gigapixels: float) -> int:
    """Write a pyramidal TIFF of about so many pixels; returns its edge, a multiple of the stored tiles'."""
    count = max(1, round((gigapixels * 1e9) ** 0.5 / _STORED))
    options: dict[str, Any] = {"dtype": np.uint8, "photometric": "rgb", "compression": "zlib"}
    options |= {"tile": (_STORED, _STORED), "software": "benchmarks.slides"}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        edge = count * _STORED
        file.write(_iterate_tiles(edge), shape=(edge, edge, 3), **options, resolution=(4e4, 4e4), resolutionunit=3)
        while (edge := edge // _STEP) >= _LEAST * _STORED:
            file.write(_iterate_tiles(edge), shape=(edge, edge, 3), **options, subfiletype=1)
    return count * _STORED


def _iterate_tiles(edge: int) -> Iterator[bytes]:
    """Yield the compressed tiles of a level, row by row."""
    generator = np.random.default_rng(0)
    pattern = generator.normal((215, 150, 190), (12, 14, 10), (64, 64, 3)).clip(0, 255).astype(np.uint8)
    times = (_STORED // 64, _STORED // 64, 1)
    glass, tissue = (
        zlib.compress(picture.tobytes())
        for picture in (np.full((_STORED, _STORED, 3), 243, np.uint8), np.tile(pattern, times))
    )
    count = -(-edge // _STORED)
    middle = edge / 2 / _STORED
    for row in range(count):
        for column in range(count):
            away = np.hypot(row + 0.5 - middle, column + 0.5 - middle) * _STORED / edge
            yield tissue if away < _RADIUS else glass


def format_table(slides: Sequence[dict[str, Any]]) -> str:
    """Write the figures of slides as a table."""
    titles = ["gigapixels", "tiles with tissue", "find them", "memory", "features of", "time", "memory "]
    rows = [
        [
            f"{slide['gigapixels']:.2g}",
            f"{slide['tiles']:,}",
            f"{slide['find']['seconds']:.1f} s",
            megabytes(slide["find"]["memory"]),
            f"{slide['number']} tiles",
            f"{slide['features']['seconds']:.1f} s",
            megabytes(slide["features"]["memory"]),
        ]
        for slide in slides
    ]
    return markdown_table(titles, rows)


def slides_part(result: dict[str, Any]) -> str:
    """Write the block of the page on slides."""
    table = format_table(result["slides"])
    size = result["options"]["size"]
    told = f"Tiles of {size} pixels at the finest level, one thread. {measured_on(result)}"
    return f"{table}\n\n{told} `python -m benchmarks.slides`."


def _find(path: Path) -> None:
    with Slide(path) as slide:
        find_tiles(slide, TILING, SIZE)


def _choose(tiles: Tiles, number: int) -> Tiles:
    """Return so many of the tiles, evenly spread."""
    chosen = np.linspace(0, len(tiles.corners) - 1, number).astype(int)
    return replace(tiles, corners=tiles.corners[chosen])


def _make_features(path: Path, tiles: Tiles) -> None:
    torch.set_num_threads(1)
    network = medmamba_tiny(2, 3, 0).eval()
    encoder = TileEncoder(network, "MedMamba-T", "untrained", torch.device("cpu"))
    with Slide(path) as slide:
        for batch in read_batches(slide, tiles, _BATCH):
            encoder(batch)


if __name__ == "__main__":
    sys.exit(main())

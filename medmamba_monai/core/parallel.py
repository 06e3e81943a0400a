"""Threads over images, with a bar: decoding leaves Python's lock most of the time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_images(function: Callable[[Item], Result], items: Sequence[Item], what: str) -> list[Result]:
    """Call a function for every item, on all cores.

    Args:
        function: what to do; an exception ends it all.
        items: one for each image.
        what: what is done, for the bar.

    Returns:
        The results, in the order of the items.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(tqdm(pool.map(function, items), what, len(items), leave=False, unit="image", disable=None))

from __future__ import annotations

import os
import threading

import pytest

from medmamba_monai.core.parallel import map_images


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores: with one there is one thread")
def test_results_come_in_the_order_of_the_items_from_several_threads() -> None:
    both = threading.Barrier(2, timeout=20)

    def look(item: int) -> int:
        both.wait()
        return item * 2

    assert map_images(look, [3, 1, 2, 5], "look") == [6, 2, 4, 10]


def test_an_exception_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        map_images(lambda item: 1 // item, [1, 0], "look")

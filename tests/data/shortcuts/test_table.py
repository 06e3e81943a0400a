from __future__ import annotations

import numpy as np

from medmamba_monai.data.samples import Sample
from medmamba_monai.data.shortcuts.sample import choose_audited
from medmamba_monai.data.shortcuts.table import MAX_CATEGORIES, build_table


def test_categories_are_numbered_and_what_never_differs_is_left_out() -> None:
    rows = [
        {"format": name, "size": (8.0, width), "mode": "L"} for name, width in zip("abb", (5.0, 5.0, 6.0), strict=True)
    ]
    table = build_table(rows)
    assert table.names == ("format", "size")
    assert table.is_category.tolist() == [True, False]
    assert table.values.tolist() == [[1, 5], [0, 5], [0, 6]]


def test_missing_facts_are_nan_or_a_category_of_their_own() -> None:
    table = build_table([{"site": "x", "spacing": 1.0}, {}, {"site": "x", "spacing": float("inf")}])
    assert table.names == ("site", "spacing")
    assert table.values[:, 0].tolist() == [0, 1, 0]
    assert np.isnan(table.values[1:, 1]).all()


def test_rare_categories_are_one() -> None:
    table = build_table([{"site": str(number)} for number in range(100)])
    assert len(np.unique(table.values)) == MAX_CATEGORIES


def test_a_fact_is_selected_with_all_its_columns() -> None:
    table = build_table([{"size": (1.0, 2.0), "mode": "a"}, {"size": (2.0, 3.0), "mode": "b"}])
    assert table.facts == ("size", "mode")
    assert table.select("size").values.shape == (2, 2)


def test_the_same_images_are_chosen_in_any_order_and_no_class_is_lost() -> None:
    samples = [Sample(f"{number}", "", int(number < 5)) for number in range(400)]
    chosen = choose_audited(samples, 100)
    assert len(chosen) == 100
    assert {f"{number}" for number in range(5)} <= chosen
    assert chosen == choose_audited(samples[::-1], 100)
    assert len(choose_audited(samples)) == 400


def test_images_of_several_or_no_labels_are_chosen_too() -> None:
    samples = [Sample(f"{number}", "", (int(number < 5), 0)) for number in range(400)]
    chosen = choose_audited(samples, 50)
    assert len(chosen) == 50
    assert {f"{number}" for number in range(5)} <= chosen

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.layouts import find_data
from medmamba_monai.data.find.tables import Row
from medmamba_monai.data.propose.card import Options, propose_card
from medmamba_monai.data.propose.labels import Labels
from medmamba_monai.data.propose.records import propose_records
from tests.helpers.prepared_folders import draw_classes
from tests.helpers.small_images import write_table


def propose(*cells: str) -> tuple[dict[str, Any], str]:
    rows = [Row(Path("clinic.csv"), line, {"x": cell}) for line, cell in enumerate(cells, start=2)]
    (column,), (remark,) = propose_records(rows, ["x"])
    return column, remark


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        (("61", "7.5", "-3"), {"kind": "number"}),
        (("61", "7.5", "", "NA"), {"kind": "number"}),
        (("1", "2", "3", "UNK"), {"kind": "number", "missing": ["UNK"]}),
        (("0.5", "1"), {"kind": "number"}),
        (("0", "1", "1"), {"kind": "category"}),
        (("F", "M", "?", "unknown"), {"kind": "category", "missing": ["?", "unknown"]}),
        (("1", "2", "old"), {"kind": "category"}),
    ],
)
def test_a_column_is_a_number_where_all_its_values_are(cells: tuple[str, ...], column: dict[str, Any]) -> None:
    assert propose(*cells)[0] == {"name": "x", **column}


def test_what_was_found_is_said() -> None:
    assert propose("F", "M", "f", "", "?")[1] == "record x: a category (F, M); missing in 2 of 5 lines, such as '?'"


def test_columns_that_tell_nothing_or_name_people_are_refused() -> None:
    with pytest.raises(UserError, match=r"--record-columns x: clinic\.csv has no value there; leave the column out"):
        propose("", "NA")
    with pytest.raises(UserError, match="has 51 different texts there; a column of records holds numbers, or at most"):
        propose(*(f"patient {number}" for number in range(51)))
    with pytest.raises(UserError, match="names a column twice: x, x"):
        propose_records([Row(Path("clinic.csv"), 2, {"x": "1"})], ["x", "x"])


def test_a_table_beside_class_folders_holds_records_alone(tmp_path: Path) -> None:
    draw_classes(tmp_path / "images", count=3)
    lines = [f"{name}/{number}.png;{40 + number}" for name in ("cat", "dog") for number in range(3)]
    table = write_table(tmp_path / "clinic.csv", "\n".join(["file;age", *lines]))
    labels = Labels(table, "file", record_columns=("age",))
    made = propose_card("mine", tmp_path / "images", labels, Options())
    assert made.card.layout.kind == "folders"
    assert made.card.records is not None
    assert (made.card.records.path, made.card.records.separator) == ("clinic.csv", ";")
    assert "record age: a number; missing in 0 of 6 lines" in made.remarks
    found = find_data(made.card, DatasetFolder(made.dataset_dir))
    assert {sample.image: sample.record for sample in found.samples}["images/dog/2.png"] == (42.0,)
    with pytest.raises(UserError, match="where it holds the labels, too, name them with --label-column"):
        propose_card("mine", tmp_path / "images", Labels(table, record_columns=("age",)), Options())


def test_records_need_their_table(tmp_path: Path) -> None:
    draw_classes(tmp_path, count=2)
    with pytest.raises(UserError, match="--record_columns: names a column, so pass the table too"):
        propose_card("mine", tmp_path, Labels(record_columns=("age",)), Options())

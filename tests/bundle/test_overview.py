from __future__ import annotations

from pathlib import Path

from medmamba_monai.bundle.overview import DATASETS_BLOCK, DATASETS_PAGE, make_datasets_table
from medmamba_monai.cards import load_card
from medmamba_monai.core.marked_text import find_block
from tests.helpers.small_data import folder_card, small_card

ROOT = Path(__file__).resolve().parents[2]


def cells(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[2].strip("|").split(" | ")]


def test_the_documents_have_the_table_of_the_committed_cards():
    cards = [load_card(path) for path in sorted((ROOT / "data_lists").glob("*/card.json"))]
    page = (ROOT / DATASETS_PAGE).read_text(encoding="utf-8")
    assert find_block(page, DATASETS_BLOCK) == make_datasets_table(cards), "run: make bundles"


def test_a_row_says_split_groups_and_protocol():
    table = {"path": "p.csv", "split_column": "s", "index_column": "i", "group_column": "g"}
    row = cells(
        make_datasets_table([small_card(layout={"kind": "npz", "group_table": table}, known_problems=["One.", "Two."])])
    )
    assert row[2:] == ["2", "20 / 10 / 8", "with p.csv", "official test", "none", "One. (and 1 more)"]


def test_a_dataset_without_a_split():
    counts = {"all": {"images": 12345}}
    card = folder_card(expected_counts=counts, layout={"kind": "folders", "group_tag": "PatientID"}, spatial_dims=3)
    assert cells(make_datasets_table([card]))[1:6] == ["noise, 3D", "2", "12,345", "PatientID", "cross-validation"]

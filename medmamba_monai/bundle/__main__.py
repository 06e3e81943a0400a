"""Generate bundles: ``python -m medmamba_monai.bundle [name ...]`` in the repository root.

Without names, all of them, the cards' schema and the documents' table of datasets.
"""

from __future__ import annotations

import sys
from pathlib import Path

from medmamba_monai.bundle.build import generate_bundle
from medmamba_monai.bundle.overview import DATASETS_BLOCK, DATASETS_PAGE, make_datasets_table
from medmamba_monai.cards import format_card_schema, load_card
from medmamba_monai.core.errors import UserError, format_error
from medmamba_monai.core.files import write_text
from medmamba_monai.core.marked_text import replace_block


def main(names: list[str]) -> int:
    """Generate the named bundles, or one for each card in ``data_lists``."""
    cards = sorted(Path("data_lists").glob("*/card.json"))
    for card in cards:
        if not names or card.parent.name in names:
            written = generate_bundle(card, Path("bundles") / card.parent.name)
            print(f"bundles/{card.parent.name}: {len(written)} files")
    known = {card.parent.name for card in cards}
    if missing := sorted(set(names) - known):
        raise UserError(f"no data_lists/{missing[0]}/card.json; run in the repository's root; known: {sorted(known)}")
    page = Path(DATASETS_PAGE)
    if not names and page.is_file():
        write_text(Path("data_lists") / "card.schema.json", format_card_schema())
        table = make_datasets_table([load_card(card) for card in cards])
        write_text(page, replace_block(page.read_text(encoding="utf-8"), DATASETS_BLOCK, table, DATASETS_PAGE))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as problem:
        print(format_error(problem), file=sys.stderr)
        sys.exit(2)

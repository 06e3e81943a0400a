"""Generate bundles: ``python -m medmamba_monai.bundle_template [name ...]`` in the repository root; all by default."""

from __future__ import annotations

import sys
from pathlib import Path

from medmamba_monai.bundle_template.generate import generate_bundle
from medmamba_monai.errors import UserError, error_message


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
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as problem:
        print(error_message(problem), file=sys.stderr)
        sys.exit(2)

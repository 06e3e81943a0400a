"""What a table's column leaves out of the names of files, where that is one suffix for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medmamba_monai.core.documents import text_to_path
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.found import quote_names
from medmamba_monai.data.find.image_files import Listing
from medmamba_monai.data.find.tables import Row
from medmamba_monai.images.formats import READABLE_SUFFIXES


def find_suffix(listing: Listing, rows: Sequence[Row], column: str) -> str:
    """Return the one suffix that a column leaves out of the names of all files.

    Nothing is returned where names are whole, or where each row finds its own file: `ImageIndex` takes a name without
    the suffix of an image for that file, whatever the suffix, and refuses one that fits two.

    Args:
        listing: the images.
        rows: the table.
        column: the one with the names of files.

    Raises:
        UserError: the names lack more than the suffix of an image, and several endings fit all of them.
    """
    files = {Path(text_to_path(image.source)).name.casefold() for image in listing.images}
    names = [Path(row[column].replace("\\", "/")).name.casefold() for row in rows]
    if any(name in files for name in names):
        return ""
    plain = [[suffix for suffix in READABLE_SUFFIXES if name + suffix in files] for name in names]
    if any(plain):
        same = all(found == plain[0] for found in plain) and len(plain[0]) == 1
        return plain[0][0] if same else ""
    return _find_longer_suffix(files, names, rows[0].where)


def _find_longer_suffix(files: set[str], names: Sequence[str], where: str) -> str:
    """Return what follows all names, such as ``.slice.png``."""
    first = names[0]
    endings = sorted(file[len(first) :] for file in files if file.startswith(f"{first}."))
    fitting = [ending for ending in endings if all(name + ending in files for name in names)]
    if len(fitting) > 1:
        raise UserError(
            f"{where}: {first!r} fits {quote_names([first + ending for ending in fitting])}, and so does every row: "
            "move away the files that are no images of the dataset, or give whole names in the table"
        )
    return next(iter(fitting), "")

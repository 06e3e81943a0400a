"""Samples of a dataset whose labels stand in a table, with the images anywhere below the dataset folder."""

from __future__ import annotations

from collections.abc import Sequence

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.layouts import Split, TableLayout
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.core.spelling import comparable, is_nobody
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import (
    FoundData,
    FoundImage,
    NotFoundError,
    collect_files,
    number_samples,
    quote_names,
)
from medmamba_monai.data.find.image_files import ImageFile
from medmamba_monai.data.find.image_index import ImageIndex
from medmamba_monai.data.find.table_labels import describe_declared, describe_skipped, find_skipped, read_label
from medmamba_monai.data.find.tables import Row, read_table
from medmamba_monai.images.dicom.tags import read_group

_SHOWN = 5


def find_table(card: DatasetCard, layout: TableLayout, folder: DatasetFolder) -> FoundData:
    """Read a card's table and find the image of each row.

    Args:
        card: the dataset.
        layout: its layout.
        folder: where table and images are, at any depth.

    Raises:
        NotFoundError: the table or images are not there.
        UserError: a value or an image does not fit; names the line.
    """
    table = folder.find_named(layout.path) if folder.exists() else None
    if table is None:
        raise NotFoundError(f"{folder}: has no {layout.path}. {card.how_to_obtain}")
    print(f"data: {format_path(table)}")
    rows = read_table(table, _list_columns(layout), layout.separator, layout.encoding)
    skipped = [find_skipped(layout, row) for row in rows]
    kept = [row for row, value in zip(rows, skipped, strict=True) if value is None]
    below = folder.find(layout.image_folder)
    slides = card.tiling is not None
    listing = folder.list_images(below, card.spatial_dims, card.reading.frame == "all", slides=slides)
    index = ImageIndex(listing.images, folder, table.parent)
    found = _match_images(card, layout, kept, index)
    images = sorted(found, key=lambda image: (image.split or "", image.text))
    used = {image.text for image in images}
    unused = [image.text for image in listing.images if image.text not in used and not index.is_copy(image, used)]
    left_out = describe_skipped(value for value in skipped if value is not None)
    others = tuple(text for text in listing.others if folder.locate(text) != table)
    return FoundData(
        samples=number_samples(images),
        files=(*collect_files(images), folder.to_text(table)),
        ignored=(*unused, *others),
        remarks=(*left_out, *describe_declared(layout, kept)),
    )


def _list_columns(layout: TableLayout) -> list[str]:
    named = [layout.image_column, layout.label_column, layout.group_column, layout.split_column]
    return [*filter(None, named), *(layout.label_columns or ())]


def _match_images(card: DatasetCard, layout: TableLayout, rows: Sequence[Row], index: ImageIndex) -> list[FoundImage]:
    found: dict[str, tuple[FoundImage, Row]] = {}
    missing: list[Row] = []
    for row in rows:
        images = index.find(row.where, row[layout.image_column] + layout.image_suffix)
        missing += [] if images else [row]
        for image in images:
            made = _make_image(card, layout, row, image, _read_group(layout, row, image, images, index.folder))
            before, where = found.setdefault(image.text, (made, row))
            if before != made:
                raise UserError(f"{row.where}: {row[layout.image_column]!r} is in {where.where} with other values")
    if missing:
        raise _explain_missing(card, layout, missing, len(rows), index.folder)
    return [made for made, _ in found.values()]


def _explain_missing(
    card: DatasetCard, layout: TableLayout, missing: Sequence[Row], count: int, folder: DatasetFolder
) -> UserError:
    names = [row[layout.image_column] + layout.image_suffix for row in missing]
    return NotFoundError(
        f"{len(missing)} of {count} images of the table are not below {folder}: {quote_names(names, _SHOWN)}. "
        f"{card.how_to_obtain}"
    )


def _make_image(card: DatasetCard, layout: TableLayout, row: Row, image: ImageFile, group: str | None) -> FoundImage:
    return FoundImage(image.text, image.files, read_label(card, layout, row), _read_split(layout, row), group)


def _read_group(
    layout: TableLayout, row: Row, image: ImageFile, images: Sequence[ImageFile], folder: DatasetFolder
) -> str | None:
    if layout.group_tag is not None:
        return read_group(folder.locate(image.files[0]), layout.group_tag)
    if layout.group_column is None:
        return image.source if len(images) > 1 else None  # frames of one file
    if is_nobody(row[layout.group_column]):
        raise UserError(f"{row.where}: has no {layout.group_column} ({row[layout.group_column]!r}); complete it")
    return row[layout.group_column]


def _read_split(layout: TableLayout, row: Row) -> Split | None:
    if layout.split_column is None:
        return None
    meanings = {comparable(value): split for value, split in layout.split_values.items()}
    value = row[layout.split_column]
    if comparable(value) not in meanings:
        raise UserError(f"{row.where}: {layout.split_column} is {value!r}, the card knows {quote_names([*meanings])}")
    return meanings[comparable(value)]

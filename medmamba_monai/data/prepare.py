"""Once per dataset: find or download it, look at every image, make the folds and save them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from medmamba_monai.data.cards import DatasetCard, load_card
from medmamba_monai.data.download import file_md5
from medmamba_monai.data.fold_list import FoldList, Source, build_fold_list, read_fold_list
from medmamba_monai.data.folds import Sample, join_groups, make_folds
from medmamba_monai.data.inspection import Inspection, inspect_images
from medmamba_monai.data.layouts import FoundData, find_data
from medmamba_monai.data.reading import ReadImage
from medmamba_monai.errors import UserError
from medmamba_monai.files import write_json

REPORT_NAME = "prepare_report.json"


def prepare(
    card: DatasetCard | str | Path,
    dataset_dir: str | Path,
    data_list: str | Path,
    num_folds: int = 5,
    seed: int = 0,
    source_file: str | None = None,
    download: bool = True,
    allow_count_mismatch: bool = False,
    overwrite: bool = False,
) -> FoldList:
    """Write the fold list of a dataset and, beside it, ``prepare_report.json``; print what was found.

    Only a download is written into ``dataset_dir``, which may otherwise be read-only.

    Args:
        card: the dataset's card, or its file.
        dataset_dir: folder of the data.
        data_list: the ``folds.json`` to write.
        num_folds: number of folds.
        seed: seed of the shuffling.
        source_file: which of the card's files to use; by default the one with the largest images that is there.
        download: whether to download a missing file.
        allow_count_mismatch: go on when the counts differ from the card's, and record it in the list.
        overwrite: replace a list that differs.

    Returns:
        The list, also when it was there before.

    Raises:
        UserError: the data are missing, damaged or not what the card says, the folds cannot be made, or another list is
            already there.
    """
    card = card if isinstance(card, DatasetCard) else load_card(card)
    dataset_dir, data_list = Path(dataset_dir), Path(data_list)
    if data_list.is_dir():
        raise UserError(f"data_list: {data_list} is a folder; give the file to write, e.g. {data_list / 'folds.json'}")
    found = find_data(card, dataset_dir, source_file, download)
    mismatch = _check_counts(card, found.samples, allow_count_mismatch)
    inspection = inspect_images(found.samples, dataset_dir, ReadImage(card.channels, card.spatial_dims))
    samples = join_groups(found.samples, inspection.duplicates)
    folds = make_folds(samples, num_folds, seed, card.class_names)
    sources = _sources(found.files, dataset_dir)
    made = build_fold_list(card, samples, folds, sources, dataset_dir, data_list, mismatch)
    report = _report(card, made, found, inspection)
    print(_describe(card, report), flush=True)
    _save(made, report, overwrite)
    return made


def _sources(files: Iterable[str], dataset_dir: Path) -> list[Source]:
    paths = ((file, dataset_dir / file) for file in files)
    return [Source(path=file, bytes=path.stat().st_size, md5=file_md5(path)) for file, path in paths]


def _check_counts(card: DatasetCard, samples: Sequence[Sample], allow: bool) -> list[str]:
    """Compare the counts with the card's; return a line for each difference, or raise."""
    differences = []
    for split, expected in card.expected_counts.items():
        chosen = [sample for sample in samples if split in (sample.split, "all")]
        counts = Counter(card.class_names[sample.label] for sample in chosen)
        rows = {"images": expected.images} | (expected.classes or {})
        found = {"images": len(chosen)} | {name: counts[name] for name in expected.classes or {}}
        differences += [
            f"{split}, {row}: expected {rows[row]}, found {found[row]}" for row in rows if rows[row] != found[row]
        ]
    if differences and not allow:
        raise UserError(
            f"{card.name}: the images are not those that the card counts:\n  "
            + "\n  ".join(differences)
            + "\nComplete the data, or pass --allow_count_mismatch True to go on and have it recorded"
        )
    return differences


def _report(card: DatasetCard, folds: FoldList, found: FoundData, inspection: Inspection) -> dict[str, Any]:
    return {
        "name": card.name,
        "digest": folds.digest,
        "protocol": folds.protocol,
        "images": len(found.samples),
        "images_per_split_and_class": _table(card, ((sample.split or "all", sample.label) for sample in found.samples)),
        "images_per_fold_and_class": _table(card, ((f"fold {item.fold}", item.label) for item in folds.training)),
        "image_sizes": inspection.sizes,
        "groups": len({sample.group for sample in found.samples} - {None}),
        "duplicates": _duplicates(found.samples, inspection.duplicates),
        "ignored_files": list(found.ignored),
        "count_mismatch": list(folds.count_mismatch),
        "known_problems": list(card.known_problems),
        "sources": len(folds.sources),
    }


def _table(card: DatasetCard, rows: Iterable[tuple[str, int]]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for row, label in rows:
        counts[row][label] += 1
    names = list(enumerate(card.class_names))
    order = sorted(counts) if any(row.startswith("fold") for row in counts) else list(counts)
    return {row: {name: counts[row][label] for label, name in names} for row in order}


def _duplicates(samples: Sequence[Sample], groups: Sequence[Sequence[str]]) -> dict[str, Any]:
    by_id = {sample.id: sample for sample in samples}
    splits = [{by_id[name].split for name in ids} for ids in groups]
    labels = [{by_id[name].label for name in ids} for ids in groups]
    return {
        "pictures": len(groups),
        "images": sum(len(ids) for ids in groups),
        "across_official_splits": [list(ids) for ids, found in zip(groups, splits, strict=True) if len(found) > 1],
        "in_test_and_training": [
            list(ids) for ids, found in zip(groups, splits, strict=True) if "test" in found and len(found) > 1
        ],
        "across_classes": [list(ids) for ids, found in zip(groups, labels, strict=True) if len(found) > 1],
    }


def _describe(card: DatasetCard, report: dict[str, Any]) -> str:
    sizes = sorted(report["image_sizes"].items(), key=lambda item: -item[1])
    listed = ", ".join(f"{size} ({count})" for size, count in sizes[:3])
    copies = report["duplicates"]
    lines = [
        f"{card.title}: {report['images']} images, {card.modality}, {card.task}, protocol {report['protocol']}",
        *_rows(report["images_per_split_and_class"]),
        *_rows(report["images_per_fold_and_class"]),
        f"image sizes: {listed}" + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""),
        f"groups: {report['groups'] or 'none given: images of one patient may be in several folds'}",
        f"exact copies: {copies['images']} images show {copies['pictures']} pictures; they are kept in one fold",
        *_warnings(report),
        *(f"known problem: {problem}" for problem in card.known_problems),
        f"digest {report['digest'][:12]}",
    ]
    return "\n".join(lines)


def _rows(table: dict[str, dict[str, int]]) -> list[str]:
    return [
        f"  {row:<11}{sum(counts.values()):>7}: " + ", ".join(f"{name} {count}" for name, count in counts.items())
        for row, counts in table.items()
    ]


def _warnings(report: dict[str, Any]) -> list[str]:
    copies, ignored = report["duplicates"], report["ignored_files"]
    found = {
        "pictures are in more than one official split": copies["across_official_splits"],
        "pictures are in the test and in the training images, so the test flatters": copies["in_test_and_training"],
        "pictures have copies under different labels": copies["across_classes"],
        "files are no images and were left out": ignored,
        "counts differ from the card, as allowed": report["count_mismatch"],
    }
    return [f"warning: {len(items)} {what}, e.g. {items[0]}" for what, items in found.items() if items]


def _save(made: FoldList, report: dict[str, Any], overwrite: bool) -> None:
    if made.path.exists() and not overwrite:
        there = read_fold_list(made.path, made.dataset_dir, verify=False)
        if (there.digest, there.sources) != (made.digest, made.sources):
            raise UserError(
                f"{made.path}: holds other folds (digest {there.digest[:12]}, these are {made.digest[:12]}); runs that "
                "used them would no longer compare. Choose another data_list, or pass --overwrite True"
            )
        print(f"{made.path} is there already, with the same folds: left as it is")
        return
    made.write()
    write_json(made.path.with_name(REPORT_NAME), report)
    print(f"wrote {made.path} and {REPORT_NAME}")

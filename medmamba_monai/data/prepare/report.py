"""The report on a dataset, as JSON and in words: what a careful colleague would want to know before training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.data.counts import count_labels
from medmamba_monai.data.find.found import FoundData
from medmamba_monai.data.folds.fold_list import FoldList
from medmamba_monai.data.prepare.inspect import Inspection, uses_little
from medmamba_monai.data.prepare.records import describe_records, find_only_in_test, format_records
from medmamba_monai.data.samples import Sample, list_labels
from medmamba_monai.data.shortcuts.audit import audit_shortcuts
from medmamba_monai.data.shortcuts.findings import ShortcutAudit
from medmamba_monai.data.shortcuts.records import audit_records
from medmamba_monai.data.shortcuts.words import SHORTCUTS, describe_audit, write_warnings

REPORT_NAME = "prepare_report.json"


def build_report(
    card: DatasetCard, folds: FoldList, found: FoundData, inspection: Inspection, groups: int
) -> dict[str, Any]:
    """Put together what was found.

    Args:
        card: the dataset.
        folds: the folds made.
        found: the samples, with copies joined to groups.
        inspection: what the images turned out to be.
        groups: number of patients or other groups that the data name.

    Returns:
        The content of ``prepare_report.json``. Images are named by their ids; only ``ignored_files`` names files.
    """
    samples = found.samples
    drawn = folds.protocol == "hold-out"  # by this package: it is nothing to audit
    splits = {sample.id: sample.split for sample in samples if sample.split is not None and not drawn}
    folds_and_labels = [(f"fold {item.fold}", item.label) for item in sorted(folds.training, key=lambda i: i.fold)]
    per_fold = count_labels(card, folds_and_labels)
    return {
        "name": card.name,
        "digest": folds.digest,
        "protocol": folds.protocol,
        "images": len(samples),
        "images_per_split": _count_per_split(samples),
        "images_per_split_and_class": count_labels(card, ((s.split or "all", s.label) for s in samples)),
        "images_per_fold_and_class": per_fold,
        "largest_imbalance_of_folds": _find_imbalance(card, folds, per_fold),
        "image_sizes": inspection.sizes,
        "image_kinds": inspection.kinds,
        "stored_values": list(inspection.stored_range),
        "nominal_values": list(inspection.nominal_range) if inspection.nominal_range else None,
        "windows_per_class": inspection.windows,
        "dicom_images": inspection.dicom,
        "dicom_images_with_own_window": inspection.own_windows,
        "different_depths": inspection.depths,
        "blank_images": inspection.blank,
        "groups": groups,
        "groups_across_classes": _count_groups_across(samples, lambda sample: str(list_labels(sample.label)))
        if groups
        else 0,
        "groups_across_official_splits": _count_groups_across(samples, lambda sample: str(sample.split)),
        "groups_in_test_and_training": _count_groups_across(samples, lambda sample: str(sample.split == "test")),
        "duplicates": _describe_duplicates(samples, inspection.duplicates),
        "near_duplicates": None if inspection.near is None else _describe_near_duplicates(samples, inspection.near),
        "declared": card.reading.arguments(),
        "ignored_files": list(found.ignored),
        "remarks": list(found.remarks),
        "count_mismatch": list(folds.count_mismatch),
        "checksum_mismatch": list(folds.checksum_mismatch),
        "known_problems": list(card.known_problems),
        "sources": len(folds.sources),
        "records": describe_records(folds),
        "record_categories_only_in_test": find_only_in_test(folds),
        "record_warnings": [found.warning for found in audit_records(folds, card.display_names) if found.warning],
        SHORTCUTS: audit_shortcuts(folds, card.display_names, inspection.facts, splits).model_dump(mode="json"),
    }


def _count_per_split(samples: Sequence[Sample]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for sample in samples:
        counts[sample.split or "all"] += 1
    return dict(counts)


def _find_imbalance(card: DatasetCard, folds: FoldList, per_fold: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Return the class whose share in a fold is farthest from its share in all of them, in percentage points."""
    sizes: dict[str, int] = defaultdict(int)
    for item in folds.training:
        sizes[f"fold {item.fold}"] += 1
    total = {name: sum(counts[name] for counts in per_fold.values()) for name in card.class_names}
    points, fold, name = max(
        (abs(counts[name] / sizes[fold] - total[name] / len(folds.training)) * 100, fold, name)
        for fold, counts in per_fold.items()
        for name in card.class_names
    )
    return {"percentage_points": round(points, 3), "fold": fold, "class": name, "images_per_fold": dict(sizes)}


def _count_groups_across(samples: Sequence[Sample], value: Callable[[Sample], str]) -> int:
    """Return how many groups have samples with different values."""
    values: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.group is not None:
            values[sample.group].add(value(sample))
    return sum(len(found) > 1 for found in values.values())


def _describe_duplicates(samples: Sequence[Sample], groups: Sequence[Sequence[str]]) -> dict[str, Any]:
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


def _describe_near_duplicates(samples: Sequence[Sample], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    by_id = {sample.id: sample for sample in samples}
    test = [pair for pair in pairs if len({by_id[name].split == "test" for name in pair}) > 1]
    classes = [pair for pair in pairs if len({by_id[name].label for name in pair}) > 1]
    return {"pairs": len(pairs), "in_test_and_training": test, "across_classes": classes, "all": list(pairs)}


def describe_report(card: DatasetCard, report: dict[str, Any]) -> str:
    """Return the report in words, for the terminal."""
    copies, near = report["duplicates"], report["near_duplicates"]
    worst = report["largest_imbalance_of_folds"]
    grouped = (
        f"{report['groups']}, each kept in one fold; {report['groups_across_classes']} of them have images of several "
        "classes"
    )
    nothing_known = "none given: images of one patient may be in several folds"
    lines = [
        f"{card.title}: {report['images']} images, {card.modality}, {card.task}, protocol {report['protocol']}",
        *_format_rows(report["images_per_split_and_class"], report["images_per_split"]),
        *_format_rows(report["images_per_fold_and_class"], worst["images_per_fold"]),
        f"balance: shares of classes differ between folds by up to {worst['percentage_points']:.2f} percentage points "
        f"({worst['class']}, {worst['fold']})",
        f"image sizes: {_format_most(report['image_sizes'])}",
        f"image kinds: {_format_most(report['image_kinds'])}",
        f"groups: {grouped if report['groups'] else nothing_known}",
        *_describe_copies(copies),
        *([f"nearly the same: {near['pairs']} pairs of pictures, listed in {REPORT_NAME}"] if near else []),
        *format_records(report["records"]),
        describe_audit(ShortcutAudit.model_validate(report[SHORTCUTS])),
        *(f"warning: {warning}" for warning in collect_warnings(report)),
        *(f"known problem: {problem}" for problem in card.known_problems),
        f"digest {report['digest'][:12]}",
    ]
    return "\n".join(lines)


def _describe_copies(copies: dict[str, Any]) -> list[str]:
    """Return a line on exact copies, where there are any."""
    if not copies["images"]:
        return []
    return [f"exact copies: {copies['images']} images show {copies['pictures']} pictures; they are kept in one fold"]


def _format_rows(table: dict[str, dict[str, int]], sizes: dict[str, int]) -> list[str]:
    return [
        f"  {row:<11}{sizes[row]:>7}: " + ", ".join(f"{name} {count}" for name, count in counts.items())
        for row, counts in table.items()
    ]


def _format_most(counts: dict[str, int], shown: int = 3) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    more = f" and {len(ordered) - shown} more" if len(ordered) > shown else ""
    return ", ".join(f"{what} ({count})" for what, count in ordered[:shown]) + more


def collect_warnings(report: dict[str, Any]) -> list[str]:
    """Return one line for each thing that may make results better or worse than they should be."""
    copies, near = report["duplicates"], report["near_duplicates"] or {}
    found = {
        "pictures are in more than one official split": copies["across_official_splits"],
        "pictures are in the test and in the training images, so the test flatters": copies["in_test_and_training"],
        "pictures have copies under different labels": copies["across_classes"],
        "pairs of nearly the same pictures are in test and training": near.get("in_test_and_training"),
        "pairs of nearly the same pictures have different labels": near.get("across_classes"),
        "files are no images of the dataset and were left out": report["ignored_files"],
        "counts differ from the card, as allowed": report["count_mismatch"],
        "files are not the published ones, as allowed": report["checksum_mismatch"],
    }
    lines = [f"{len(items)} {what}, e.g. {items[0]}" for what, items in found.items() if items]
    if report["groups_in_test_and_training"]:
        number = report["groups_in_test_and_training"]
        lines.append(f"{number} groups are in the test and in the training images, so the test flatters")
    if report["different_depths"] > 1 and not report["declared"]:
        lines.append("files can hold different ranges of values, and each is scaled by its own: see image_kinds")
    if report["blank_images"]:
        lines.append(f"{report['blank_images']} images have one value everywhere")
    shortcuts = write_warnings(ShortcutAudit.model_validate(report[SHORTCUTS]))
    for column, categories in report["record_categories_only_in_test"].items():
        lines.append(f"the record {column} has categories in the test part alone, which no model learns: {categories}")
    lines += report["record_warnings"]
    return [*shortcuts, *lines, *_warn_of_little_used(report), *_warn_of_mixed_windows(report), *report["remarks"]]


def _warn_of_mixed_windows(report: dict[str, Any]) -> list[str]:
    """Warn where what scales the images differs between classes: it would give the class away."""
    counts = report["windows_per_class"]
    usual = {label: next(iter(found)) for label, found in counts.items()}
    some_have_none = 0 < report["dicom_images_with_own_window"] < report["dicom_images"]
    if report["declared"] or (len(set(usual.values())) < 2 and not some_have_none):
        return []
    listed = "; ".join(f"class {label}: {dict(list(found.items())[:3])}" for label, found in counts.items())
    low, high = report["stored_values"]
    return [
        f"DICOM files are scaled by different windows ({listed}), which may give classes away; declare a window, or "
        f'"reading": {{"intensity_range": [{low:g}, {high:g}]}}'
    ]


def _warn_of_little_used(report: dict[str, Any]) -> list[str]:
    nominal, (low, high) = report["nominal_values"], report["stored_values"]
    if (
        nominal is None
        or report["dicom_images_with_own_window"]
        or report["declared"]
        or not uses_little(low, high, nominal)
    ):
        return []
    return [
        f"stored values are {low:g} to {high:g}, of {nominal[0]:g} to {nominal[1]:g} that the files can hold: images "
        f'come out dark or flat; declare "reading": {{"intensity_range": [{low:g}, {high:g}]}} in the card'
    ]

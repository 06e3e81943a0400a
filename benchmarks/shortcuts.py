"""How often `prepare` warns of shortcuts where there are none: ``python -m benchmarks.shortcuts``.

Datasets of random facts are drawn whose classes, splits and folds nothing tells: of 60 to 400 images, of two to four
classes of different sizes or three labels, with and without patients of two images, with and without an official
test set. Of a tenth as many others, one class comes from another source for the part of its images that is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import add_common_options, new_result, save_result, text_table
from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.folds.fold_list import build_fold_list
from medmamba_monai.data.folds.make import make_folds
from medmamba_monai.data.samples import Label, Sample
from medmamba_monai.data.shortcuts.audit import audit_shortcuts
from medmamba_monai.data.shortcuts.facts import Facts
from medmamba_monai.data.shortcuts.findings import Finding, ShortcutAudit

CARD = Path(__file__).resolve().parents[1] / "data_lists" / "phantom" / "card.json"

_TASKS = ("binary", "multi-class", "multi-label")


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print and write the result."""
    parser = argparse.ArgumentParser("python -m benchmarks.shortcuts", description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.9, help="of a class from another source, in the other sets")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.sets = 1
    result = new_result("shortcuts", {key: value for key, value in vars(options).items() if key != "json"})
    result["sets"] = [
        count_warned("without a shortcut", 0.0, options.sets),
        count_warned("with one", options.share, -(-options.sets // 10)),
    ]
    rows = [[found["sets"], str(found["warned"]), str(found["of"])] for found in result["sets"]]
    print(text_table(["sets", "warned of", "of"], rows))
    save_result(result, options.json)
    return 0


def count_warned(name: str, share: float, sets: int) -> dict[str, Any]:
    """Count how many of the first sets are warned of.

    Args:
        name: of such sets, for readers.
        share: of the other source, see `audit_set`.
        sets: how many.
    """
    return {"sets": name, "share": share, "warned": sum(map(bool, warn_of(share, sets))), "of": sets}


def warn_of(share: float, sets: int) -> Iterator[tuple[Finding, ...]]:
    """Yield what is warned of in each set."""
    return (audit_set(seed, share).warnings for seed in range(sets))


def audit_set(seed: int, share: float = 0.0) -> ShortcutAudit:
    """Draw a dataset and audit it.

    Args:
        seed: of the draw.
        share: part of the images of class 1, or with label 1, that come from another source than all others.
    """
    generator = np.random.default_rng(seed)
    task = _TASKS[seed % len(_TASKS)]
    count = int(generator.integers(240 if task == "multi-class" else 60, 400))
    groups = np.arange(count) // (2 if seed % 4 == 3 else 1)
    card = make_card(task)
    labels = draw_labels(generator, task, card.num_classes, groups)
    other = np.array([label == 1 if isinstance(label, int) else label[1] == 1 for label in labels])
    facts = draw_facts(generator, groups, other & (generator.random(count) < share))
    test = generator.permutation(groups.max() + 1)[groups] % 4 == 0 if seed % 2 else np.zeros(count, bool)
    samples = [
        Sample(f"{row}", f"{row}.png", labels[row], "test" if test[row] else "train", f"group-{groups[row]}")
        for row in range(count)
    ]
    folds = make_folds(samples, 5, 0, card.class_names)
    made = build_fold_list(card, samples, folds, [], DatasetFolder(Path()), Path("folds.json"))
    splits = {sample.id: str(sample.split) for sample in samples}
    return audit_shortcuts(made, card.display_names, {s.id: row for s, row in zip(samples, facts, strict=True)}, splits)


def make_card(task: str) -> DatasetCard:
    """Return a card for two classes, four classes or three labels."""
    names = {"binary": "ab", "multi-class": "abcd", "multi-label": "abc"}[task]
    content = {
        **load_card(CARD).model_dump(mode="json"),
        "task": task,
        "classes": [{"name": name, "display_name": name} for name in names],
        "expected_counts": {},
    }
    if task == "multi-label":
        content["layout"] = {"kind": "npz"}
        content["files"] = [{"path": "a.npz"}]
    return DatasetCard.model_validate(content)


def draw_labels(generator: np.random.Generator, task: str, num_classes: int, groups: np.ndarray) -> list[Label]:
    """Draw one label for all images of a group; of several classes the last is the rarest."""
    units = int(groups.max()) + 1
    if task == "multi-label":
        several = generator.random((units, num_classes)) < 0.3
        return [tuple(map(int, several[group])) for group in groups]
    deck = np.repeat(np.arange(num_classes), np.arange(num_classes, 0, -1))
    one = generator.permutation(np.arange(units) % len(deck))
    return [int(deck[one[group]]) for group in groups]


def draw_facts(generator: np.random.Generator, groups: np.ndarray, other: np.ndarray) -> list[Facts]:
    """Draw facts of the scanner for each group, and of the picture for each image; those of another source differ."""
    units = int(groups.max()) + 1
    scanner, site = generator.integers(0, 4, units), generator.integers(0, 12, units)
    width, shade = generator.normal(500, 80, units), generator.gamma(2, 20, len(groups))
    text = (generator.random(len(groups)) < 0.2) * generator.random(len(groups)) * 0.1
    return [
        {
            "format": "JPEG" if other[row] else "PNG",
            "scanner model": f"{scanner[group]}",
            "institution": f"{site[group]}",
            "size": (float(width[group]), float(round(width[group] * generator.uniform(0.8, 1.2)))),
            "aspect": (float(generator.uniform(0.8, 1.2)),),
            "border intensity": (float(shade[row]), float(generator.gamma(2, 10))),
            "padding": float(generator.random() * 0.2),
            "saturated margin": float(text[row]),
        }
        for row, group in enumerate(groups)
    ]


if __name__ == "__main__":
    sys.exit(main())

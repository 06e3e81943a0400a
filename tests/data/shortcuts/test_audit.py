from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.folds.fold_list import build_fold_list
from medmamba_monai.data.folds.make import make_folds
from medmamba_monai.data.samples import Sample
from medmamba_monai.data.shortcuts.audit import audit_shortcuts
from medmamba_monai.data.shortcuts.facts import Facts
from medmamba_monai.data.shortcuts.findings import ShortcutAudit
from medmamba_monai.data.shortcuts.words import describe_audit, summarize_audit, write_warnings
from tests.helpers.small_data import folder_card

THREE = {"task": "multi-class", "classes": [{"name": name, "display_name": name.title()} for name in "xyz"]}
NOISE = np.random.default_rng(0).random(400)


def audit(samples: list[Sample], facts: list[Facts], **changes: Any) -> ShortcutAudit:
    card = folder_card(**changes)
    folds = make_folds(samples, 2, 0, card.class_names)
    made = build_fold_list(card, samples, folds, [], DatasetFolder(Path()), Path("folds.json"))
    splits = {sample.id: sample.split for sample in samples if sample.split}
    return audit_shortcuts(made, card.display_names, {s.id: row for s, row in zip(samples, facts, strict=True)}, splits)


def two_classes(count: int = 60, split: Any = lambda row: None) -> list[Sample]:
    return [Sample(f"{row}", f"{row}.png", row % 2, split(row)) for row in range(count)]


def test_a_format_that_is_the_class_is_told_in_plain_words() -> None:
    facts: list[Facts] = [{"format": "JPEG" if row % 2 else "PNG", "padding": NOISE[row]} for row in range(80)]
    found = audit(two_classes(80), facts)
    (said,) = write_warnings(found)
    assert said.startswith("format alone tells class Dog: AUC 1.00 (0.8")
    assert said.endswith("to 1.00), chance is 0.50")
    assert (found.mean.auc, found.mean.high) == (1, 1)
    assert found.facts == ("format", "padding")
    assert said in summarize_audit(found)
    assert "1 found, see the warnings" in describe_audit(found)


def test_noise_is_no_warning() -> None:
    found = audit(two_classes(), [{"padding": NOISE[row], "size": (NOISE[-row], 1.0)} for row in range(60)])
    assert (found.warnings, write_warnings(found)) == ((), [])
    assert describe_audit(found).startswith("shortcuts: no fact of the files tells a class, a split or a fold better")
    assert all(finding.carriers == () for finding in found.findings)


def test_facts_that_never_differ_tell_nothing() -> None:
    found = audit(two_classes(), [{"format": "PNG"}] * 60)
    assert found.facts == ()
    assert {finding.auc for finding in found.findings} == {0.5}


def test_few_images_are_too_few_to_tell() -> None:
    found = audit(two_classes(20), [{"format": "JPEG" if row % 2 else "PNG"} for row in range(20)])
    assert (found.findings, found.mean) == ((), None)
    assert describe_audit(found) == ("shortcuts: too few images or groups to tell class Dog, fold 1; 20 are needed")


def test_one_patient_with_many_images_is_one_patient() -> None:
    samples = [Sample(f"{row}", f"{row}.png", row % 2, None, f"patient {row % 10}") for row in range(200)]
    found = audit(samples, [{"format": "JPEG" if row % 2 else "PNG"} for row in range(200)])
    assert found.classes == ()


def test_of_three_classes_the_one_that_differs_is_named_with_all_that_carry_it() -> None:
    samples = [Sample(f"{row}", f"{row}.png", row % 3) for row in range(120)]
    facts: list[Facts] = [
        {"format": "JPEG" if row % 3 == 2 else "PNG", "size": (9.0 - (row % 3 == 2), 8.0)} for row in range(120)
    ]
    found = audit(samples, facts, **THREE)
    assert [finding.name for finding in found.classes] == ["X", "Y", "Z"]
    best = max(found.warnings, key=lambda finding: finding.auc)
    assert (best.name, best.auc, [carrier.fact for carrier in best.carriers]) == ("Z", 1.0, ["format", "size"])
    assert write_warnings(found)[0].endswith("chance is 0.50; also size 1.00")


def test_facts_that_only_together_tell_are_said_to() -> None:
    weak = [np.random.default_rng(seed).normal(size=200) + 0.6 * (np.arange(200) % 2) for seed in range(4)]
    facts: list[Facts] = [{f"fact {number}": column[row] for number, column in enumerate(weak)} for row in range(200)]
    (said,) = write_warnings(audit(two_classes(200), facts))
    assert said.startswith("facts of the files together tell class Dog: AUC 0.")


def test_a_label_of_several_is_told() -> None:
    labels = [(row % 2, row // 2 % 2) for row in range(120)]
    samples = [Sample(f"{row}", f"{row}.png", label) for row, label in enumerate(labels)]
    card = {"task": "multi-label", "layout": {"kind": "npz"}, "files": [{"path": "a.npz"}]}
    found = audit(samples, [{"window": str(label[1])} for label in labels], **card)
    assert [finding.name for finding in found.warnings] == ["Dog"]
    assert len(found.classes) == 2


def test_an_official_test_set_from_elsewhere_is_told() -> None:
    samples = two_classes(160, lambda row: "test" if row % 4 < 2 else "train")
    found = audit(samples, [{"size": (100.0 + (row % 4 < 2), NOISE[row])} for row in range(160)])
    (said,) = write_warnings(found)
    assert said.startswith("size alone tells official split train: AUC 1.00")


def test_the_order_of_the_images_does_not_matter() -> None:
    samples = two_classes(80)
    facts: list[Facts] = [{"padding": NOISE[row] + 0.2 * (row % 2), "site": f"{row % 7}"} for row in range(80)]
    card = folder_card()
    made = build_fold_list(card, samples, make_folds(samples, 2, 0, "ab"), [], DatasetFolder(Path()), Path("f.json"))
    rows = [(sample.id, row) for sample, row in zip(samples, facts, strict=True)]
    turned = made.model_copy(update={"training": made.training[::-1]})
    assert audit_shortcuts(made, "ab", dict(rows), {}) == audit_shortcuts(turned, "ab", dict(rows[::-1]), {})


def test_what_is_written_names_facts_and_no_value() -> None:
    facts: list[Facts] = [{"institution": "Hospital" if row % 2 else "Clinic"} for row in range(80)]
    found = audit(two_classes(80), facts)
    text = found.model_dump_json() + summarize_audit(found)
    assert "institution" in text
    assert "Hospital" not in text
    assert ShortcutAudit.model_validate(json.loads(found.model_dump_json())) == found


def test_of_many_warnings_ten_are_said() -> None:
    found = audit(two_classes(80), [{"format": str(row % 2)} for row in range(80)])
    many = found.model_copy(update={"findings": found.warnings * 12})
    assert len(write_warnings(many)) == 11
    assert "2 more" in write_warnings(many)[-1]


def test_without_an_audit_it_is_said_how_to_have_one() -> None:
    assert "run prepare again" in summarize_audit(None)

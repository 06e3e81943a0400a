from __future__ import annotations

from typing import Any

from medmamba_monai.cross_validation.shortcuts import make_shortcuts_section, name_audit_values, write_report_warnings
from medmamba_monai.data import ShortcutAudit

SURE = {"auc": 1.0, "low": 0.97, "high": 1.0}
CHANCE = {"auc": 0.52, "low": 0.44, "high": 0.6, "p_value": 1.0}
ILL = {
    "what": "class",
    "name": "Ill",
    **SURE,
    "p_value": 1e-9,
    "carriers": [{"fact": name, **SURE} for name in ("format", "mode", "size", "aspect")],
}


def audit(*findings: dict[str, Any], **more: Any) -> ShortcutAudit:
    content = {"images": 120, "images_in_all": 240, "facts": ["format"], "findings": list(findings), **more}
    return ShortcutAudit.model_validate(content)


def test_the_report_begins_with_what_tells_a_class() -> None:
    (said,) = write_report_warnings(audit(ILL, {"what": "fold", "name": "0", **CHANCE}))
    assert said.startswith("Shortcut: format alone tells class Ill: AUC 1.00 (0.97 to 1.00), chance is 0.50; also mode")
    assert write_report_warnings(None) == []


def test_the_section_has_a_row_for_each_question() -> None:
    section = make_shortcuts_section(audit(ILL, {"what": "fold", "name": "0", **CHANCE}, too_few=["fold 1"]))
    assert [list(row) for row in section.tables[0].rows] == [
        ["class Ill", "1.00", "0.97 to 1.00", "yes", "format 1.00, mode 1.00, size 1.00"],
        ["fold 0", "0.52", "0.44 to 0.60", "no", "-"],
    ]
    assert section.tables[0].caption == "120 of 240 images, on the same folds"
    assert section.paragraphs[1] == "Too few images or groups to tell: fold 1."


def test_without_an_audit_the_section_says_how_to_have_one() -> None:
    assert make_shortcuts_section(None).paragraphs == ["Not audited; run prepare again, which looks for shortcuts."]
    few = make_shortcuts_section(audit(too_few=["class Ill"])).paragraphs
    assert few == ["Too few images or groups to tell class Ill; 20 are needed."]


def test_numbers_for_mlflow_have_the_mean_of_the_classes() -> None:
    well = {**ILL, "name": "Well (no finding)", "auc": 0.9, "low": 0.8}
    assert name_audit_values(audit(ILL, well)) == {
        "shortcuts/found": 2,
        "shortcuts/images": 120,
        "shortcuts/auc": 0.95,
        "shortcuts/auc_low": (0.97 + 0.8) / 2,
        "shortcuts/auc_high": 1,
        "shortcuts_auc/class_ill": 1,
        "shortcuts_auc/class_well_no_finding": 0.9,
    }


def test_where_a_class_has_too_few_images_there_is_no_mean() -> None:
    assert "shortcuts/auc" not in name_audit_values(audit(ILL, too_few=["class Well"]))
    assert name_audit_values(None) == {}

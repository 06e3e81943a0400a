"""The audit of shortcuts beside a cross-validation: a section of its report, and numbers by their names in MLflow."""

from __future__ import annotations

from medmamba_monai.data import ShortcutAudit
from medmamba_monai.data.shortcuts.words import summarize_audit, write_warnings
from medmamba_monai.evaluation.reports.page import Section
from medmamba_monai.evaluation.results.classes import make_metric_keys
from medmamba_monai.evaluation.tables import Table

FACTS_AUC = "shortcuts/auc"
"""The mean AUC of facts over the classes, in MLflow; its limits have ``_low`` and ``_high`` behind it."""

_EXPLANATION = (
    "A small model that sees no picture was cross-validated on facts that are not medicine: of the files (format, "
    "size, compression, scanner, site, ...) and of the margin of the images (padding, white pixels, the border's "
    "intensity). What it tells better than chance, 0.5, a network may have learned instead of the finding."
)
_MOST_NAMED = 3


def write_report_warnings(audit: ShortcutAudit | None) -> list[str]:
    """Say for the top of a report which shortcuts there are."""
    return [] if audit is None else [f"Shortcut: {warning}." for warning in write_warnings(audit)]


def make_shortcuts_section(audit: ShortcutAudit | None) -> Section:
    """Lay out how well facts tell each class, official split and fold."""
    if audit is None or not audit.findings:
        said = summarize_audit(audit)
        return Section("Shortcuts", [f"{said[0].upper()}{said[1:]}."])
    rows = [
        [
            f"{finding.what} {finding.name}",
            f"{finding.auc:.2f}",
            f"{finding.low:.2f} to {finding.high:.2f}",
            "yes" if finding.above_chance else "no",
            ", ".join(f"{found.fact} {found.auc:.2f}" for found in finding.carriers[:_MOST_NAMED]) or "-",
        ]
        for finding in audit.findings
    ]
    header = ["told by facts alone", "AUC", "95 % interval", "above chance", "facts that tell it on their own"]
    few = [f"Too few images or groups to tell: {', '.join(audit.too_few)}."] if audit.too_few else []
    caption = f"{audit.images} of {audit.images_in_all} images, on the same folds"
    return Section("Shortcuts", [_EXPLANATION, *few], tables=[Table(header, rows, caption)])


def name_audit_values(audit: ShortcutAudit | None) -> dict[str, float]:
    """Name the figures for MLflow: ``shortcuts/auc``, ``shortcuts/auc_low``, ``shortcuts_auc/class_<name>``, ..."""
    if audit is None:
        return {}
    values = {"shortcuts/found": float(len(audit.warnings)), "shortcuts/images": float(audit.images)}
    if (mean := audit.mean) is not None:
        values |= {FACTS_AUC: mean.auc, f"{FACTS_AUC}_low": mean.low, f"{FACTS_AUC}_high": mean.high}
    keys = make_metric_keys([f"{found.what} {found.name}" for found in audit.findings])
    return values | {f"shortcuts_auc/{key}": found.auc for key, found in zip(keys, audit.findings, strict=True)}

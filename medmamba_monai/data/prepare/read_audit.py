"""The audit of shortcuts of saved folds, read from the report beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from medmamba_monai.data.folds.fold_list import FoldList
from medmamba_monai.data.prepare.report import REPORT_NAME
from medmamba_monai.data.shortcuts.findings import ShortcutAudit
from medmamba_monai.data.shortcuts.words import SHORTCUTS, summarize_audit


def read_audit(folds: FoldList) -> ShortcutAudit | None:
    """Read the audit of the dataset whose folds these are.

    Returns:
        None where there is none: the report is missing, of other folds, cannot be read, or was made before there were
        audits. A training does not need it.
    """
    return read_audit_beside(folds.path, folds.digest)


def read_audit_beside(fold_list: Path, digest: str) -> ShortcutAudit | None:
    """Read the audit of the dataset whose folds are saved in a file, without the dataset; see `read_audit`."""
    report = _read_report(fold_list.with_name(REPORT_NAME))
    if report.get("digest") != digest or SHORTCUTS not in report:
        return None
    try:
        return ShortcutAudit.model_validate(report[SHORTCUTS])
    except ValidationError:
        return None


def describe_shortcuts(folds: FoldList) -> str:
    """Say in a line what the audit found; of no audit, how to have one."""
    return summarize_audit(read_audit(folds))


def _read_report(path: Path) -> Mapping[str, object]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}

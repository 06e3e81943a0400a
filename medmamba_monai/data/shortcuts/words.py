"""An audit of shortcuts in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from medmamba_monai.data.shortcuts.findings import Carrier, Finding, ShortcutAudit
from medmamba_monai.data.shortcuts.ranking import MIN_UNITS

SHORTCUTS = "shortcuts"
"""The key of the audit in the report of `prepare`, and of what is logged of it."""

NO_AUDIT = "not audited; run prepare again, which looks for shortcuts"
NOTHING_FOUND = "no fact of the files tells a class, a split or a fold better than chance"

_NEARLY = 0.02
"""A fact whose AUC is so close to that of all facts together carries what they tell alone."""

_MOST_NAMED, _MOST_SAID = 3, 10


class _Area(Protocol):
    @property
    def auc(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def write_warnings(audit: ShortcutAudit) -> list[str]:
    """Say of each class, split and fold that facts tell better than chance how well, and by which; the worst ten."""
    worst = sorted(audit.warnings, key=lambda finding: -finding.auc)
    more = [f"facts tell {len(worst) - _MOST_SAID} more, see {SHORTCUTS} in the report of prepare"]
    return [_write_warning(finding) for finding in worst[:_MOST_SAID]] + (more if len(worst) > _MOST_SAID else [])


def summarize_audit(audit: ShortcutAudit | None) -> str:
    """Say what was found in a line, or why nothing can be said."""
    if audit is None:
        return NO_AUDIT
    said = write_warnings(audit) or ([NOTHING_FOUND] if audit.findings else [])
    return "; ".join([*said, *_list_few(audit.too_few)])


def describe_audit(audit: ShortcutAudit) -> str:
    """Say for the terminal what was looked at, and what was not found; what was found are warnings."""
    if not audit.findings:
        return f"shortcuts: {'; '.join(_list_few(audit.too_few))}"
    areas = [finding.auc for finding in audit.findings]
    looked = f"{audit.images} of {audit.images_in_all} images" if audit.images < audit.images_in_all else "all images"
    found = f"{len(audit.warnings)} found, see the warnings" if audit.warnings else NOTHING_FOUND
    figures = f"{found} (AUC {min(areas):.2f} to {max(areas):.2f}, chance is 0.50; {looked})"
    return f"shortcuts: {'; '.join([figures, *_list_few(audit.too_few)])}"


def format_area(area: _Area) -> str:
    """Write an AUC with its interval."""
    return f"AUC {area.auc:.2f} ({area.low:.2f} to {area.high:.2f})"


def _write_warning(finding: Finding) -> str:
    told = f"{finding.what} {finding.name}"
    best = finding.carriers[:1]
    if best and best[0].auc >= finding.auc - _NEARLY:
        others = _name_others(finding.carriers[1:])
        return f"{best[0].fact} alone tells {told}: {format_area(best[0])}, chance is 0.50{others}"
    named = _name_others(finding.carriers)
    return f"facts of the files together tell {told}: {format_area(finding)}, chance is 0.50{named}"


def _name_others(carriers: Sequence[Carrier]) -> str:
    if not carriers:
        return ""
    named = ", ".join(f"{carrier.fact} {carrier.auc:.2f}" for carrier in carriers[:_MOST_NAMED])
    more = f" and {len(carriers) - _MOST_NAMED} more" if len(carriers) > _MOST_NAMED else ""
    return f"; also {named}{more}"


def _list_few(too_few: Sequence[str]) -> list[str]:
    if not too_few:
        return []
    more = f" and {len(too_few) - _MOST_NAMED} more" if len(too_few) > _MOST_NAMED else ""
    return [f"too few images or groups to tell {', '.join(too_few[:_MOST_NAMED])}{more}; {MIN_UNITS} are needed"]

"""A plan as text, for people who want to know why before they spend the time."""

from __future__ import annotations

from pathlib import Path

from medmamba_monai.auto.estimate import MARGIN, count_epochs, estimate_plan
from medmamba_monai.auto.fingerprint import Findings, Fingerprint, Spacing
from medmamba_monai.auto.plan import FILE_NAME, Candidate, Plan
from medmamba_monai.auto.words import describe_network, describe_time, format_lengths
from medmamba_monai.core.files import write_text
from medmamba_monai.evaluation.tables import Table

TEXT_NAME = "plan.md"
_ALIKE = 1.05
"""Largest over smallest spacing below which they are called the same."""
_STEPS = {
    "look and plan": "look at the images, measure the networks, plan",
    "race": "every candidate on fold 0; the worse half leaves early",
    "finals": "the finalists on the other folds",
    "baselines": "what the winner is compared with",
    "report and package": "choose by validation, test once, report and package",
}


def write_plan_text(plan: Plan, seen: Fingerprint | None, folder: Path) -> Path:
    """Write a plan as Markdown beside its JSON file, and return the file."""
    write_text(folder / TEXT_NAME, format_plan(plan, seen))
    return folder / TEXT_NAME


def format_plan(plan: Plan, seen: Fingerprint | None) -> str:
    """Return a plan as Markdown.

    Args:
        plan: the plan.
        seen: what it was made for; None where a plan came without.
    """
    seconds = estimate_plan(plan)
    whole = sum(seconds.values())
    parts = [
        f"# Plan for {seen.title if seen else plan.dataset}",
        *([_describe_data(seen)] if seen else []),
        f"## Time: about {describe_time(whole)} of {describe_time(plan.budget_seconds)}\n\n"
        + Table(
            ["step", "takes"], [[_STEPS[step], describe_time(time)] for step, time in seconds.items() if time]
        ).markdown
        + f"\nMeasured where and when the plan was made; {MARGIN:.0%} of the time is left free, as machines have "
        "busier hours. When it gets late, the search gives up its last steps before its time.",
        "## Values, and why\n\n"
        + "\n".join(f"- **{name}: {_format_value(plan, name)}.** {reason}" for name, reason in plan.explain().items()),
        "## Candidates\n\n" + _format_candidates(plan, plan.candidates),
        *(["## Compared with\n\n" + _format_candidates(plan, plan.baselines)] if plan.baselines else []),
        "## Not your opinion?\n\n"
        f"Change a line of `{FILE_NAME}` and start `medmamba-monai auto --output FOLDER` again: the plan that is there "
        "is used as it stands. A value at the top holds for every candidate that has `null` there; a candidate's own "
        "value goes before it. The text on this page is not read.",
    ]
    return "\n\n".join(parts) + "\n"


def _describe_data(seen: Fingerprint) -> str:
    low, middle, high = seen.sides
    sides = f"{middle} pixels" if low == high else f"{low} to {high} pixels, half of them up to {middle},"
    groups = f"of {seen.groups} patients or other groups" if seen.groups else "no patients are named"
    test = f" {seen.test_images} more are the official test set." if seen.test_images else ""
    lines = [
        f"{seen.modality}, {seen.images} images, {groups}; {sides} along the longer side, "
        f"{seen.spatial_dims}D; {seen.task}.{test}",
        _make_class_table(seen).markdown.rstrip(),
    ]
    if seen.spacing is not None:
        lines.append(_describe_spacing(seen, seen.spacing))
    if seen.records:
        lines.append(
            f"Clinical records: {', '.join(seen.records)}. At the end they are judged alone and with the winner's "
            "scores, so that you see what the image adds to them, and they to the image."
        )
    if seen.findings is not None:
        lines.append(_describe_findings(seen.findings))
    machine = seen.machine
    where = f"A node of {machine.cluster}" if machine.cluster else "This machine"
    lines.append(f"{where}: {machine.cores} cores, {machine.memory_gib:g} GiB of memory free, device {machine.device}.")
    return "\n\n".join(lines)


def _make_class_table(seen: Fingerprint) -> Table:
    rows = [
        [name, str(facts.images), f"{facts.mean:.0f} ± {facts.deviation:.0f}"] for name, facts in seen.classes.items()
    ]
    return Table(["class", "images", "brightness (0 to 255)"], rows)


def _describe_spacing(seen: Fingerprint, spacing: Spacing) -> str:
    """Say how large pixels are, and what it means where that differs between images."""
    what = "Pixels" if seen.spatial_dims == 2 else "Voxels"
    said = f"{what} of {format_lengths(spacing.median)} mm (median of {spacing.images} images that tell it)"
    if spacing.ratio < _ALIKE:
        return f"{said}, the same in all of them."
    how = "" if seen.spatial_dims == 2 else " `--field-of-view` shows the same millimetres of each, unless you gave it."
    return (
        f"{said}, from {format_lengths(spacing.smallest)} to {format_lengths(spacing.largest)}: the same finding has "
        f"up to {spacing.ratio:.1f} times as many pixels along an axis in one image as in another.{how}"
    )


def _describe_findings(findings: Findings) -> str:
    if not findings.warnings:
        return "Nothing was found in the images that would flatter a figure."
    return "\n".join(["What to know before you trust a figure:", "", *(f"- {line}" for line in findings.warnings)])


def _format_value(plan: Plan, name: str) -> str:
    value = getattr(plan, name)
    if name in ("candidates", "baselines"):
        return ", ".join(candidate.name for candidate in value) or "none"
    if name == "rounds":
        return ", ".join(f"{share:.0%}" for share in value) or "none"
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _format_candidates(plan: Plan, candidates: list[Candidate]) -> str:
    rows = []
    for candidate in candidates:
        options = candidate.options(plan)
        epochs = count_epochs(plan, candidate)
        rows.append(
            [
                candidate.name,
                describe_network(options, candidate.pretrained, candidate.probe),
                options.get("recipe", "-"),
                candidate.reason,
                f"{epochs} x {describe_time(candidate.seconds_per_epoch)}",
            ]
        )
    header = ["name", "network", "recipe", "why", "epochs of a fold"]
    return Table(header, rows, text_columns=4).markdown.rstrip()

"""The note of an MLflow run: a cross-validation in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.reports.summary_tables import format_summary_text
from medmamba_monai.evaluation.results.summary import Summary

_SPLIT = "split once into {folds} stratified folds, no patient in two of them where patients are known."
_OPTIMISM = "Validation figures are optimistic, because they chose the epoch; test figures are not."

_TESTED = (
    f"The other images were {_SPLIT} The model of a fold was trained without the images of that fold, its best epoch "
    f"was chosen on them, and it was then evaluated on them (validation) and on the test set. {_OPTIMISM} The ensemble "
    "is the mean of the models' probabilities on the test set."
)

PROTOCOLS = {
    "official-test": f"The official test set was set aside. {_TESTED}",
    "hold-out": (
        "There is no official test set. Before the folds were made, a part of the images was drawn as a test set, "
        f"stratified, whole patients where patients are known, and set aside. {_TESTED}"
    ),
    "cross-validation": (
        f"There is no official test set. All images were {_SPLIT} The fold of a model is its test set; a tenth of the "
        f"remaining images (validation) chose the best epoch, and the rest trained it. {_OPTIMISM} The pooled figures "
        "are computed once over the test images of all folds, each predicted by the model that never saw it."
    ),
}
"""What was evaluated on what, for each protocol of a fold list."""

NO_EPOCHS = (
    "These models are probes of frozen features: they have no epochs, and nothing was chosen or learnt on validation "
    "images."
)


@dataclass(frozen=True)
class RunDescription:
    """What the note of a cross-validation tells beside its figures.

    Attributes:
        title: the name of the run.
        dataset: one line on the data: name, what it shows, how many images.
        protocol: a key of `PROTOCOLS`.
        command: the exact command that makes this run again.
        versions: package names and versions.
        details: names and values worth knowing: network, recipe, image size, seed, fold digest, device.
        known_problems: what is known to be wrong with the data, one sentence each.
        remark: what the words of the protocol do not say of these models.
    """

    title: str
    dataset: str
    protocol: str
    command: str
    versions: Mapping[str, str]
    details: Mapping[str, object] = field(default_factory=dict)
    known_problems: Sequence[str] = ()
    remark: str = ""


def format_note(description: RunDescription, summaries: Sequence[Summary]) -> str:
    """Write the note of an MLflow run (the tag ``mlflow.note.content``) in Markdown.

    The MLflow UI shows some six lines and folds the rest away, so the result comes first. It draws Markdown tables
    without space between the columns, so the tables are text in a fixed width.

    Args:
        description: what the run is.
        summaries: the parts that were evaluated, the most important first.

    Raises:
        UserError: no summary, or a protocol that is not in `PROTOCOLS`.
    """
    if not summaries:
        raise UserError("a note needs at least one evaluated part")
    if description.protocol not in PROTOCOLS:
        raise UserError(f"unknown protocol {description.protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    protocol = f"{PROTOCOLS[description.protocol].format(folds=summaries[0].num_folds)} {description.remark}".rstrip()
    problems = _list_bullets(description.known_problems) or "None is recorded in the dataset's card."
    versions = ", ".join(f"{name} {version}" for name, version in description.versions.items())
    details = _list_bullets(
        [f"{name}: {value}" for name, value in (*description.details.items(), ("versions", versions))]
    )
    sections = [
        f"**{description.title}**  \n{description.dataset}",
        "\n".join(f"{summary.headline}  " for summary in summaries).rstrip(),
        *(f"### Results: {summary.part}\n\n```\n{format_summary_text(summary)}```" for summary in summaries),
        f"### What was evaluated on what\n\n{protocol}",
        f"### Known problems of the data\n\n{problems}",
        f"### Make it again\n\n```\n{description.command}\n```\n\n{details}",
    ]
    return "\n\n".join(sections) + "\n"


def _list_bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)

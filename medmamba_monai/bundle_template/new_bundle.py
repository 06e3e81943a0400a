"""A bundle for a user's own images: the card is proposed, checked and written, the bundle generated from it."""

from __future__ import annotations

import shlex
from pathlib import Path

from medmamba_monai.bundle_template.generate import generate_bundle
from medmamba_monai.data import DatasetCard, card_schema
from medmamba_monai.data.folds import largest_number_of_folds
from medmamba_monai.data.proposal import Options, Proposal, propose_card
from medmamba_monai.data.proposed_layout import Labels
from medmamba_monai.errors import UserError
from medmamba_monai.files import write_json, write_text

_FOLDS = 5


def new_bundle(name: str, images: Path, labels: Labels, options: Options, root: Path, overwrite: bool = False) -> Path:
    """Write ``data_lists/<name>/card.json`` and ``bundles/<name>`` for a folder of images; print what to do next.

    Args:
        name: short name of the dataset: lower-case letters, digits and ``_``.
        images: the folder.
        labels: where the labels are.
        options: what is known of the images.
        root: folder to write into.
        overwrite: whether to replace a card that is there.

    Returns:
        The folder of the bundle.

    Raises:
        UserError: the images or labels do not fit, or there is a card of this name.
    """
    if not name.replace("_", "").isalnum() or name != name.lower() or not name.isascii():
        raise UserError(f"{name!r}: a name has lower-case letters, digits and _, such as chest_ct")
    card_file, bundle = root / "data_lists" / name / "card.json", root / "bundles" / name
    if card_file.exists() and not overwrite:
        raise UserError(f"{card_file}: is there already; choose another name, or pass --overwrite")
    proposal = propose_card(name, images, labels, options)
    write_json(card_file, _content(proposal.card))
    write_text(root / "data_lists" / "card.schema.json", card_schema())
    generate_bundle(card_file, bundle)
    print(_summary(proposal, card_file, bundle))
    return bundle


def _content(card: DatasetCard) -> dict[str, object]:
    """The card as a person would write it: without what is left to its default."""
    written = card.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"$schema": "../card.schema.json", **written, "layout": {"kind": card.layout.kind, **written["layout"]}}


def _summary(proposal: Proposal, card_file: Path, bundle: Path) -> str:
    card = proposal.card
    lines = [
        f"{card.title}: {len(proposal.found.samples)} images, {card.task}, {card.channels} channel(s), "
        f"{card.spatial_dims}D",
        *(f"  {remark}" for remark in proposal.remarks),
        f"wrote {card_file} (read it: every value can be changed) and {bundle}",
        "",
        "Next: look at every image and make the folds, then train and evaluate one model a fold.",
        *(f"  {command}" for command in next_commands(proposal, bundle)),
    ]
    return "\n".join(lines)


def next_commands(proposal: Proposal, bundle: Path) -> list[str]:
    """The two commands that lead from a new bundle to a finished cross-validation."""
    folds = largest_number_of_folds(proposal.found.samples, _FOLDS, 0, proposal.card.class_names)
    if folds is None:
        raise UserError(
            f"{proposal.card.name}: every class needs images of two patients or more in each fold, and there are not "
            "enough of them; add images"
        )
    where = f"--bundle_root {shlex.quote(str(bundle))} --dataset_dir {shlex.quote(str(proposal.dataset_dir))}"
    few = "" if folds >= _FOLDS else f" --num_folds {folds}"
    configs = (("prepare", "data.json", few), ("cross_validation", "cross_validation.json", ""))
    return [
        f"python -m monai.bundle run {run_id} --config_file {shlex.quote(str(bundle / 'configs' / name))} {where}{more}"
        for run_id, name, more in configs
    ]

"""A bundle for a user's own images: the card is proposed, checked and written, the bundle generated from it."""

from __future__ import annotations

import shlex
from pathlib import Path

from medmamba_monai.bundle.build import generate_bundle
from medmamba_monai.cards import DatasetCard, format_card_schema
from medmamba_monai.core.config_text import check_config_text
from medmamba_monai.core.defaults import NUM_FOLDS
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json, write_text
from medmamba_monai.core.names import format_path
from medmamba_monai.data.folds.make import find_largest_number_of_folds, make_folds
from medmamba_monai.data.propose.card import Options, Proposal, propose_card
from medmamba_monai.data.propose.labels import Labels


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
    proposal = propose_bundle(name, images, labels, options, root, overwrite)
    card_file, bundle = _locate(root, name)
    folds = _number_of_folds(proposal, asked_for_groups=labels.names_groups or options.group_tag is not None)
    again = overwrite and card_file.with_name("folds.json").exists()
    few = "" if folds == NUM_FOLDS else f" --num_folds {folds}"
    more = few + (" --allow_links True" if options.allow_links else "") + (" --overwrite True" if again else "")
    commands = format_next_commands(proposal, bundle, more)
    write_bundle(proposal.card, root)
    print(*map(format_path, _summary(proposal, card_file, bundle, commands).splitlines()), sep="\n")
    return bundle


def propose_bundle(
    name: str, images: Path, labels: Labels, options: Options, root: Path, overwrite: bool = False
) -> Proposal:
    """Propose the card of a bundle; nothing is written. The arguments are those of `new_bundle`.

    Raises:
        UserError: the images or labels do not fit, or there is a card of this name.
    """
    if not name.replace("_", "").isalnum() or name != name.lower() or not name.isascii():
        raise UserError(f"{name!r}: a name has lower-case letters, digits and _, such as chest_ct")
    card_file, bundle = _locate(root, name)
    for path in (images.absolute(), bundle.absolute()):
        _check_path(path)
    if card_file.exists() and not overwrite:
        raise UserError(f"{card_file}: is there already; choose another name, or pass --overwrite")
    return propose_card(name, images, labels, options)


def write_bundle(card: DatasetCard, root: Path) -> Path:
    """Write a card and its bundle below a folder, and return the folder of the bundle."""
    card_file, bundle = _locate(root, card.name)
    write_json(card_file, _content(card))
    write_text(root / "data_lists" / "card.schema.json", format_card_schema())
    generate_bundle(card_file, bundle)
    return bundle


def _locate(root: Path, name: str) -> tuple[Path, Path]:
    """Return where the card and the bundle of a dataset are."""
    return root / "data_lists" / name / "card.json", root / "bundles" / name


def _check_path(path: Path) -> None:
    """Refuse a folder whose name MONAI would take for something else, before anything is written."""
    if "#" in str(path):
        raise UserError(f"{path}: a path with # cannot be used, as MONAI reads it as ::; rename it")
    try:
        check_config_text(str(path))
    except ValueError as error:
        raise UserError(f"{format_path(path)}: {error}") from error


def _content(card: DatasetCard) -> dict[str, object]:
    """The card as a person would write it: without what is left to its default."""
    written = card.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"$schema": "../card.schema.json", **written, "layout": {"kind": card.layout.kind, **written["layout"]}}


def _summary(proposal: Proposal, card_file: Path, bundle: Path, commands: list[str]) -> str:
    card = proposal.card
    lines = [
        f"{card.title}: {len(proposal.found.samples)} images, {card.task}, {card.channels} channel(s), "
        f"{card.spatial_dims}D",
        *(f"  {remark}" for remark in proposal.remarks),
        f"wrote {card_file} and {bundle}",
        f"Read the card; every value can be changed. After a change: medmamba-monai bundle {card_file} {bundle}",
        "",
        "Next: look at every image and make the folds, then train and evaluate one model a fold.",
        *(f"  {command}" for command in commands),
    ]
    return "\n".join(lines)


def _number_of_folds(proposal: Proposal, asked_for_groups: bool) -> int:
    """Five, or as many as can be made.

    Raises:
        UserError: not even two can be made; says which class has too few images.
    """
    samples, names = proposal.found.samples, proposal.card.class_names
    folds = find_largest_number_of_folds(samples, NUM_FOLDS, 0, names)
    if folds is not None:
        return folds
    grouped = any(sample.group is not None for sample in samples) and not asked_for_groups
    hint = "; images are grouped by PatientID: if it does not name patients, pass --group-tag none" if grouped else ""
    try:
        make_folds(samples, NUM_FOLDS, 0, names)
    except UserError as error:
        raise UserError(f"{proposal.card.name}: {error}{hint}") from error
    raise RuntimeError("five folds can be made after all")


def format_next_commands(proposal: Proposal, bundle: Path, more: str) -> list[str]:
    """Return the commands from a new bundle to a finished cross-validation; the first gets ``more`` options."""
    places = {"bundle_root": bundle, "dataset_dir": proposal.dataset_dir}
    where = " ".join(f"--{option} {shlex.quote(str(path.absolute()))}" for option, path in places.items())
    configs = (("prepare", "data.json", more), ("cross_validation", "cross_validation.json", ""))
    first, second = (
        f"python -m monai.bundle run {run_id} --config_file {shlex.quote(str(bundle / 'configs' / name))} {where}{rest}"
        for run_id, name, rest in configs
    )
    if proposal.card.cutting is None:
        return [first, second]
    slides = shlex.join([str(bundle.absolute()), "--dataset-dir", str(proposal.dataset_dir.absolute())])
    return [first, f"medmamba-monai embed {slides} --pretrained WEIGHTS", second]

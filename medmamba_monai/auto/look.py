"""The dataset of a search: its bundle in the folder of the search, its images where they are, its folds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.auto.plan import FILE_NAME, Plan, read_plan
from medmamba_monai.bundle.find_bundle import find_bundle
from medmamba_monai.bundle.new_bundle import propose_bundle, write_bundle
from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.defaults import NUM_FOLDS
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.data import (
    FoldList,
    Sample,
    default_dataset_dir,
    default_fold_list,
    prepare_dataset,
    read_fold_list,
)
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.layouts import find_data
from medmamba_monai.data.folds.hold_out import hold_out_test
from medmamba_monai.data.folds.make import find_largest_number_of_folds
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels

_NOT_COPIED = ("output", "models", "eval", "data", "__pycache__")


@dataclass(frozen=True)
class Dataset:
    """A dataset whose bundle is in the folder of a search.

    Attributes:
        card: its card.
        bundle: folder of the bundle.
        folder: of the images.
        samples: what was found there.
    """

    card: DatasetCard
    bundle: Path
    folder: DatasetFolder
    samples: tuple[Sample, ...]


def take_images(output: Path, name: str, images: Path, labels: Labels, options: Options) -> Dataset:
    """Make a card and a bundle for a folder of images, and say what was found.

    Args:
        output: folder of the search.
        name: short name of the dataset.
        images: their folder.
        labels: where the labels are.
        options: what is known of the images.

    Raises:
        UserError: the images or labels do not fit.
    """
    proposal = propose_bundle(name, images, labels, options, output, overwrite=True)
    card = proposal.card
    found = f"{card.title}: {len(proposal.found.samples)} images, {card.task}, {card.channels} channel(s)"
    print(*map(format_path, (found, *(f"  {remark}" for remark in proposal.remarks))), sep="\n", flush=True)
    folder = DatasetFolder(proposal.dataset_dir.absolute(), options.allow_links)
    return Dataset(card, write_bundle(card, output), folder, tuple(proposal.found.samples))


def take_bundle(output: Path, bundle: str, dataset_dir: str | None) -> Dataset:
    """Copy a bundle, without its runs, and find its images.

    Args:
        output: folder of the search.
        bundle: folder of a bundle, or name of a dataset.
        dataset_dir: folder of its images; by default where the bundle looks for them.

    Raises:
        UserError: there is no such bundle, or its images are not found.
    """
    local = output / "bundles" / bundle
    known = any((place / "configs" / "card.json").is_file() for place in (Path(bundle), Path("bundles") / bundle))
    source = find_bundle(bundle) if known else find_bundle(bundle, local)
    card = load_card(source / "configs" / "card.json")
    target = output / "bundles" / card.name
    if source != target.resolve():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)
    listed = output / "data_lists" / card.name / "card.json"
    listed.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(target / "configs" / "card.json", listed)
    folder = DatasetFolder(Path(dataset_dir or default_dataset_dir(source, card.name)).absolute())
    return Dataset(card, target, folder, find_data(card, folder).samples)


def find_dataset_name(bundle: str) -> str:
    """Return the short name of a bundle's dataset, or what was given where that is a dataset's name."""
    cards = (place / "configs" / "card.json" for place in (Path(bundle), Path("bundles") / bundle))
    return next((load_card(card).name for card in cards if card.is_file()), bundle)


def take_search(output: Path, plan: Path, dataset_dir: str | None) -> Dataset:
    """Copy the bundle of another search, and find its images where that search found them.

    Args:
        output: folder of the new search.
        plan: ``plan.json`` in the folder of the other one.
        dataset_dir: folder of the images; by default that of the other search.

    Raises:
        UserError: no bundle is beside the plan, or its images are not found.
    """
    if plan.is_file() and plan.name != FILE_NAME:
        raise UserError(
            f"--plan {plan}: is no {FILE_NAME} in the folder of a search, which tells its images; give --images or "
            "--bundle, too"
        )
    found = read_plan(plan.parent)
    bundle = plan.parent / found.bundle
    if not (bundle / "configs" / "card.json").is_file():
        raise UserError(f"--plan {plan}: the bundle {bundle} is not there; give --images or --bundle, too")
    return take_bundle(output, str(bundle), dataset_dir or found.dataset_dir or None)


def count_possible_folds(dataset: Dataset, hold_out: float | None, seed: int) -> int:
    """Return how many folds can be made of what is not kept out: five, or fewer where a class has few groups.

    Raises:
        UserError: not even two can be made, or nothing can be kept out.
    """
    samples, names = dataset.samples, dataset.card.class_names
    marked = samples if hold_out is None else hold_out_test(samples, hold_out, seed, names)
    most = find_largest_number_of_folds(marked, NUM_FOLDS, seed, names)
    if most is None:
        raise UserError(
            f"{dataset.card.name}: not even two folds with every class in each can be made of {len(samples)} images"
            f"{'' if hold_out is None else f', {hold_out:g} of them kept out as a test set'}; add images"
        )
    return most


def prepare_folds(output: Path, plan: Plan, allow_links: bool = False) -> FoldList:
    """Return the folds that a plan asks for; those that are there, or new ones where it was edited.

    Args:
        output: folder of the search.
        plan: says how many folds, their seed and what is kept out.
        allow_links: whether images may be links that leave their folder.

    Raises:
        UserError: they cannot be made, or candidates were trained on other folds already.
    """
    bundle = output / plan.bundle
    path = Path(default_fold_list(bundle, plan.dataset))
    folder = Path(plan.dataset_dir or default_dataset_dir(bundle, plan.dataset))
    there = read_fold_list(path, folder) if path.is_file() else None
    if there is not None and _fits(there, plan):
        return there
    if there is not None and any(bundle.glob("output/*/fold_*")):
        raise UserError(
            f"{output / FILE_NAME}: num_folds {plan.num_folds}, fold_seed {plan.fold_seed}, hold_out {plan.hold_out} "
            f"are not those of the folds that candidates in {bundle / 'output'} were trained on; give another --output"
        )
    return prepare_dataset(
        bundle / "configs" / "card.json",
        folder,
        path,
        num_folds=plan.num_folds,
        seed=plan.fold_seed,
        overwrite=True,
        allow_links=allow_links or (there is not None and there.allow_links),
        hold_out=plan.hold_out,
        hold_out_seed=plan.fold_seed,
    )


def _fits(folds: FoldList, plan: Plan) -> bool:
    share = folds.hold_out.share if folds.hold_out else None
    return (folds.num_folds, folds.seed, share) == (plan.num_folds, plan.fold_seed, plan.hold_out)

"""What a cross-validation will do: dataset, folds, configs and options, read and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Flag
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.launchers import make_scheduler
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.cross_validation.overrides import check_overrides
from medmamba_monai.cross_validation.recipes import PAPER, find_recipe_files, split_recipe
from medmamba_monai.cross_validation.starting_weights import identify_starting_weights
from medmamba_monai.data import FoldList, read_fold_list
from medmamba_monai.evaluation.results.comparison import INPUTS, Inputs
from medmamba_monai.networks import BAG_NETWORKS, NETWORKS
from medmamba_monai.networks.transformers_encoder import load_encoder
from medmamba_monai.tracking.mlflow_store import check_tracking_uri
from medmamba_monai.training.options import TrainingOptions
from medmamba_monai.training.precision import read_precision
from medmamba_monai.training.probes import TITLES

_OF_A_TRAINING = (
    *("epochs", "learning_rate", "weight_decay", "drop_path_rate", "precise_batch_norm", "grad_checkpointing"),
    *("patience", "amp", "compile", "recipe"),
)


@dataclass(frozen=True)
class Plan:
    """A cross-validation that is to be run.

    Attributes:
        bundle_root: folder of the bundle.
        output_dir: folder of the cross-validation.
        card: the dataset.
        card_path: its file.
        fold_list: its folds.
        folds: numbers of those that are asked for.
        recipe: names of the recipes, with commas.
        config_files: files of the training, in the order of merging.
        evaluate_files: files of the evaluation, merged after them.
        training: options of the training, as the configs and the user give them.
        options: of the cross-validation itself.
        inputs: what the network is given of a case.
        pretrained: what the folds start from, without its name, see `identify_starting_weights`; None for nothing.
        encoder: what makes frozen features, without its name; None for the network of the configs.
    """

    bundle_root: Path
    output_dir: Path
    card: DatasetCard
    card_path: Path
    fold_list: FoldList
    folds: tuple[int, ...]
    recipe: str
    config_files: tuple[str, ...]
    evaluate_files: tuple[str, ...]
    training: TrainingOptions
    options: CrossValidationOptions
    inputs: Inputs = "image"
    pretrained: str | None = None
    encoder: str | None = None

    @property
    def starts_afresh(self) -> bool:
        """Whether every fold is trained anew, so that nothing of what was there before remains."""
        return not self.training.resume and set(self.folds) == set(range(self.fold_list.num_folds))

    def parameters(self) -> dict[str, Any]:
        """Return the options of every fold's training, by name."""
        return self.training.leave_out(Flag.PER_FOLD)

    def logged_parameters(self) -> dict[str, Any]:
        """Return the options that say what was trained, without folders, servers and switches."""
        chosen = self.training.leave_out(Flag.PER_FOLD, Flag.FREE, Flag.PRIVATE, Flag.UNLOGGED)
        chosen |= {"pretrained": self.pretrained, "recipe": self.recipe}
        if self.options.probe is not None:
            left = {name: value for name, value in chosen.items() if name not in _OF_A_TRAINING}
            chosen = {**left, "probe": self.options.probe, "encoder": self.encoder}
        return {name: value for name, value in chosen.items() if value is not None}

    @property
    def model(self) -> str:
        """What is trained, for readers."""
        network = (NETWORKS | BAG_NETWORKS)[self.training.network_name]
        if self.options.probe is None:
            return network
        return f"{TITLES[self.options.probe]} on frozen {network if self.encoder is None else self.encoder.split()[0]}"

    def settings(self) -> dict[str, Any]:
        """Return what must be the same when the cross-validation goes on."""
        return {
            **self.training.leave_out(Flag.PER_FOLD, Flag.FREE),
            "config_files": self.options.config_files,
            "recipe": self.recipe,
            "overrides": self.options.overrides,
            "pretrained": self.pretrained,
            "probe": self.options.probe,
            "encoder": self.encoder,
            "fold_digest": self.fold_list.digest,
        }


def make_plan(bundle_root: str | Path, options: CrossValidationOptions, training_options: Mapping[str, Any]) -> Plan:
    """Read and check everything that a cross-validation needs; nothing is written.

    Args:
        bundle_root: folder of the bundle.
        options: of the cross-validation.
        training_options: options of the training that differ from those of the configs; None leaves it to them.

    Raises:
        UserError: a file is missing, or an option does not fit.
    """
    root = Path(bundle_root).resolve()
    configs = [*options.config_files, *find_recipe_files(options.recipe, root)]
    config_files = tuple(str(_find_config(root, name)) for name in configs)
    evaluate_files = tuple(str(_find_config(root, name)) for name in options.evaluate_files)
    check_overrides(options.overrides, (*config_files, *evaluate_files))
    card_path = root / "configs" / "card.json"
    card = load_card(card_path)
    given = {name: value for name, value in training_options.items() if value is not None}
    settled, there = _settle_device(options, given)
    settled = {**settled, "run_name": options.run_name, **options.overrides}
    training = read_training_options(root, config_files, settled).model_copy(update=there)
    inputs = _read_inputs(config_files)
    _check_probe(options, training.pretrained, inputs, card)
    if options.probe is not None and "epochs" in given:
        raise UserError(f"--epochs {given['epochs']}: --probe {options.probe} trains no network; leave one of them out")
    fold_list = read_fold_list(training.data_list, training.dataset_dir, name=card.name)
    folds = _choose_folds(options.folds, fold_list.num_folds)
    return Plan(
        bundle_root=root,
        output_dir=Path(options.output_dir).resolve(),
        card=card,
        card_path=card_path,
        fold_list=fold_list,
        folds=folds,
        recipe=",".join(split_recipe(options.recipe)) or PAPER,
        config_files=config_files,
        evaluate_files=evaluate_files,
        training=training,
        options=options,
        inputs=inputs,
        pretrained=identify_starting_weights(training.pretrained, fold_list, folds),
        encoder=None if options.encoder is None else load_encoder(options.encoder).identity,
    )


def read_training_options(root: Path, config_files: Sequence[str], overrides: Mapping[str, Any]) -> TrainingOptions:
    """Return the options of a training as its configs and the overrides make them, with paths that hold anywhere.

    Args:
        root: folder of the bundle.
        config_files: configs to merge, from left to right.
        overrides: values of them by id.
    """
    parser = ConfigParser()
    parser.read_config(list(config_files))
    parser.read_meta(str(root / "configs" / "metadata.json"))
    parser.update({"bundle_root": str(root), **overrides})
    options: TrainingOptions = parser.get_parsed_content("options")
    places: dict[str, Any] = {
        name: str(Path(getattr(options, name)).resolve()) for name in ("dataset_dir", "data_list")
    }
    if options.pretrained:
        places["pretrained"] = str(Path(options.pretrained).resolve())
    if options.tracking_uri:
        places["tracking_uri"] = check_tracking_uri(options.tracking_uri)
    return options.model_copy(update=places)


def _read_inputs(config_files: Sequence[str]) -> Inputs:
    """Return what a recipe says that the network is given; the image where none says anything."""
    parser = ConfigParser()
    parser.read_config(list(config_files))
    return check_choice(parser.get("inputs", "image"), INPUTS, "inputs")


def _settle_device(
    options: CrossValidationOptions, given: Mapping[str, Any]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Let no device of this machine count for folds that run elsewhere.

    Returns:
        The options of the training as they are to be read here, and those that stay as they were given.

    Raises:
        UserError: the precision would depend on a GPU that is not here, or a GPU is asked for that jobs have not.
    """
    check_precision(options, given)
    scheduler = make_scheduler(options, RunFolder(options.output_dir))
    if scheduler is None:
        return given, {}
    if scheduler.gpus:
        return {**given, "device": "cpu", "amp": False}, {"amp": read_precision(given["amp"])}
    if str(given.get("device", "")).startswith("cuda"):
        raise UserError(
            f"--device {given['device']}: the jobs of {scheduler.title} have no GPU; add --{options.launcher}_gpus 1"
        )
    return {**given, "device": "cpu"}, {}


def check_precision(options: CrossValidationOptions, given: Mapping[str, Any]) -> None:
    """Check that the precision of folds that run elsewhere does not depend on the device of this machine.

    Args:
        options: of the cross-validation.
        given: options of the training that were given.

    Raises:
        UserError: it does.
    """
    scheduler = make_scheduler(options, RunFolder(options.output_dir))
    if scheduler is not None and scheduler.gpus and given.get("amp", "auto") == "auto":
        raise UserError(
            f"--{options.launcher}_gpus {scheduler.gpus}: which precision is auto depends on the GPU, which is not "
            "here; say --amp bfloat16 (compute capability 8.0 and later), --amp float16 or --amp False"
        )


def _check_probe(options: CrossValidationOptions, pretrained: str | None, inputs: Inputs, card: DatasetCard) -> None:
    """Check what is to make frozen features, and what is to learn from them."""
    if options.encoder is not None and options.probe is None:
        raise UserError(f"--encoder {options.encoder}: only makes features; add --probe linear or --probe knn")
    if options.encoder is not None and card.spatial_dims != 2:
        raise UserError(f"--encoder {options.encoder}: takes images, and {card.name} has volumes; use --pretrained")
    if options.encoder is not None and pretrained is not None:
        raise UserError("--encoder and --pretrained: both make features; give one of them")
    if options.probe is not None and card.cutting is not None:
        raise UserError(f"--probe {options.probe}: learns from features of images, these are {inputs}; leave it out")
    if options.probe is not None and options.encoder is None and pretrained is None:
        raise UserError(f"--probe {options.probe}: needs features that were learnt; add --pretrained or --encoder")
    if options.probe is not None and inputs != "image":
        raise UserError(
            f"--probe {options.probe} and --recipe {options.recipe}: a probe learns from features of images alone, and "
            f"this recipe gives the network {inputs}; leave the recipe out, and add the records to the scores of the "
            "probe with medmamba-monai fuse"
        )


def _choose_folds(folds: int | Sequence[int] | None, num_folds: int) -> tuple[int, ...]:
    known = range(num_folds)
    if folds is None:
        return tuple(known)
    chosen = [folds] if isinstance(folds, int) else list(dict.fromkeys(folds))
    for fold in chosen:
        if fold not in known:
            raise UserError(f"--folds {fold} does not exist: the list has folds 0 to {len(known) - 1}")
    return tuple(chosen)


def _find_config(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_file():
        raise UserError(f"no config {path}: run in the bundle's folder, or pass --bundle_root")
    return path

"""The console script ``medmamba-monai``: shorter names for what the modules do."""

from __future__ import annotations

import argparse
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import ends_with_user_errors


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 where something is left to do, 2 for what the user can fix."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return int(options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medmamba-monai", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    send = commands.add_parser("send", help="send to MLflow what a run could not send while it trained")
    send.add_argument("directory", help="folder of a run or of a cross-validation")
    send.set_defaults(run=_send)
    demo = commands.add_parser("demo", help="five folds of a small MedMamba on chest X-rays, in the current folder")
    demo.add_argument("--network", default="medmamba", help="another network on the same folds, such as resnet18")
    demo.set_defaults(run=_demo)
    review = commands.add_parser("review", help="review a cross-validation again, from its predictions alone")
    review.add_argument("directory", type=Path, help="folder of the cross-validation, such as output/first")
    _add_bootstrap(review)
    shown = "show images of mistakes; by default where the store is a local file. What was sent already stays there"
    review.add_argument("--images", action=argparse.BooleanOptionalAction, default=None, help=shown)
    review.set_defaults(run=_review)
    _add_compare(commands.add_parser("compare", help="compare cross-validations on the same folds, with tests"))
    bundle = commands.add_parser("bundle", help="generate a bundle from a dataset's card")
    bundle.add_argument("card", help="the dataset's card.json")
    bundle.add_argument("directory", help="folder of the bundle")
    bundle.set_defaults(run=_bundle)
    _add_new_bundle(commands.add_parser("new-bundle", help="make a card and a bundle for your own images"))
    return parser


def _add_bootstrap(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", help="name or id of a parent run; several of one model: with commas between")
    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlruns.db")
    parser.add_argument("--tracking-uri", "--tracking_uri", default=uri, help="the store that holds them")
    parser.add_argument("--titles", nargs="+", default=[], help="of the models, for readers")
    parser.add_argument("--output-dir", "--output_dir", type=Path, help="folder of the files; output/comparisons/NAMES")
    _add_bootstrap(parser)
    parser.set_defaults(run=_compare)


_NEW_BUNDLE_OPTIONS: dict[str, dict[str, Any]] = {
    "images": {"required": True, "type": Path, "help": "folder of images, with a folder for each class"},
    "table": {"type": Path, "help": "labels in a table instead: a CSV file with a row for each image"},
    "image_column": {"help": "column of the file names"},
    "label_column": {
        "nargs": "+",
        "default": [],
        "help": "column of the classes; several columns of 0 and 1: several labels for one image",
    },
    "label_separator": {"help": "between the labels in one cell, where an image may have several"},
    "group_column": {"help": "column of patients: one patient stays in one fold"},
    "group_pattern": {
        "help": "regular expression whose parentheses match the patient in the path below a class folder"
    },
    "split_column": {"help": "column of the official split: train, validation, test"},
    "separator": {"help": "between the cells of the table"},
    "encoding": {"default": "utf-8-sig", "help": "of the table's text, such as latin-1 or utf-16"},
    "no_label": {"nargs": "+", "default": [], "help": "what stands for no label, such as 'No Finding'"},
    "title": {"help": "name for readers"},
    "modality": {"help": "what made the images, such as X-ray"},
    "spatial_dims": {"type": int, "choices": (2, 3), "help": "2: images, 3: volumes"},
    "channels": {"type": int, "choices": (1, 3), "help": "1: gray, 3: color"},
    "image_size": {"type": int, "help": "side in pixels that the network is given"},
    "classes": {
        "nargs": "+",
        "default": [],
        "help": "the classes in label order; of two, the second is the positive one",
    },
    "ordinal": {"action": "store_true", "help": "the classes have an order"},
    "background": {"type": int, "nargs": "+", "help": "gray, or red, green, blue, under transparent images"},
    "intensity_range": {
        "type": float,
        "nargs": 2,
        "metavar": ("LOW", "HIGH"),
        "help": "stored values that become black and white; what is beyond is clipped",
    },
    "window": {"type": float, "nargs": 2, "metavar": ("CENTER", "WIDTH"), "help": "DICOM window"},
    "frame": {"type": int, "help": "which frame to take of files with several, from 0"},
    "fill_non_finite": {"type": float, "help": "what stands for NaN and infinity"},
    "group_tag": {
        "choices": ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "none"),
        "help": "DICOM tag of what stays in one fold; PatientID by default",
    },
    "allow_links": {"action": "store_true", "help": "links may lead out of the folder of images"},
    "overwrite": {"action": "store_true", "help": "replace a card of this name"},
}


def _add_new_bundle(parser: argparse.ArgumentParser) -> None:
    """Options with hyphens, as in a shell, and with underscores, as in a config."""
    parser.add_argument("name", help="short name: lower-case letters, digits and _")
    for name, arguments in _NEW_BUNDLE_OPTIONS.items():
        parser.add_argument(*dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}")), **arguments)
    parser.set_defaults(run=_new_bundle)


def _new_bundle(options: argparse.Namespace) -> int:
    from medmamba_monai.bundle.new_bundle import new_bundle
    from medmamba_monai.data.propose.card import Options
    from medmamba_monai.data.propose.layout import Labels

    said = vars(options)
    labels = Labels(
        **{
            **{field.name: said[field.name] for field in fields(Labels)},
            "label_column": tuple(options.label_column),
            "no_label": tuple(options.no_label),
        }
    )
    known = {field.name: said[field.name] for field in fields(Options) if field.name != "reading"}
    given = Options(**known, reading=_reading(options))
    new_bundle(options.name, options.images, labels, given, Path.cwd(), options.overwrite)
    return 0


def _reading(options: argparse.Namespace) -> dict[str, Any]:
    """What of the card's ``reading`` is given on the command line."""
    reading: dict[str, Any] = {}
    if options.background is not None:
        reading["background"] = options.background[0] if len(options.background) == 1 else options.background
    if options.intensity_range is not None:
        reading |= {"intensity_range": options.intensity_range, "clip": True}
    given = {"window": options.window, "frame": options.frame, "fill_non_finite": options.fill_non_finite}
    return reading | {name: value for name, value in given.items() if value is not None}


def _send(options: argparse.Namespace) -> int:
    from medmamba_monai.tracking import send_pending

    pending = send_pending(options.directory)
    print(f"{pending} entries are still pending" if pending else "everything is in MLflow")
    return 1 if pending else 0


def _review(options: argparse.Namespace) -> int:
    from medmamba_monai.cross_validation import review_again

    chosen = {"resamples": options.resamples, "seed": options.seed, "with_images": options.images}
    print(f"report {review_again(options.directory, **chosen)}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from medmamba_monai.cross_validation import compare_runs

    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "_vs_".join(options.titles or options.runs))[:100]
    directory = options.output_dir or Path("output") / "comparisons" / name
    shared = {"titles": options.titles, "resamples": options.resamples, "seed": options.seed}
    print(compare_runs(options.runs, options.tracking_uri, directory, **shared))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from medmamba_monai.cli.demo import main as run_demo

    return run_demo(options.network)


def _bundle(options: argparse.Namespace) -> int:
    from medmamba_monai.bundle import generate_bundle

    for path in generate_bundle(options.card, options.directory):
        print(path)
    return 0

"""The console script ``medmamba-monai``: shorter names for what the modules do."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medmamba_monai.errors import UserError, error_message


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 where something is left to do, 2 for what the user can fix."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        return int(options.run(options))
    except UserError as error:
        print(error_message(error), file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medmamba-monai", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    send = commands.add_parser("send", help="send to MLflow what a run could not send while it trained")
    send.add_argument("directory", help="folder of a run or of a cross-validation")
    send.set_defaults(run=_send)
    demo = commands.add_parser("demo", help="five folds of a small MedMamba on chest X-rays, in the current folder")
    demo.set_defaults(run=_demo)
    bundle = commands.add_parser("bundle", help="generate a bundle from a dataset's card")
    bundle.add_argument("card", help="the dataset's card.json")
    bundle.add_argument("directory", help="folder of the bundle")
    bundle.set_defaults(run=_bundle)
    _add_new_bundle(commands.add_parser("new-bundle", help="make a card and a bundle for your own images"))
    return parser


def _add_new_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="short name: lower-case letters, digits and _")
    parser.add_argument("--images", required=True, type=Path, help="folder of images, with a folder for each class")
    parser.add_argument("--table", type=Path, help="labels in a table instead: a CSV file with a row for each image")
    parser.add_argument("--image-column", "--image_column", help="column of the file names")
    parser.add_argument(
        "--label-column",
        "--label_column",
        nargs="+",
        default=[],
        help="column of the classes; several columns of 0 and 1: multi-label",
    )
    parser.add_argument(
        "--label-separator", "--label_separator", help="between several labels in one cell: multi-label"
    )
    parser.add_argument("--group-column", "--group_column", help="column of patients: one patient stays in one fold")
    parser.add_argument(
        "--group-pattern",
        "--group_pattern",
        help="regular expression: its parentheses match the patient in the path below a class folder",
    )
    parser.add_argument(
        "--split-column", "--split_column", help="column of the official split: train, validation, test"
    )
    parser.add_argument("--separator", help="between the cells of the table")
    parser.add_argument("--title", help="name for readers")
    parser.add_argument("--modality", help="what made the images, such as X-ray")
    parser.add_argument("--spatial-dims", "--spatial_dims", type=int, choices=(2, 3), help="2: images, 3: volumes")
    parser.add_argument("--channels", type=int, choices=(1, 3), help="1: gray, 3: color")
    parser.add_argument("--image-size", "--image_size", type=int, help="side in pixels that the network is given")
    parser.add_argument("--ordinal", action="store_true", help="the classes have an order")
    parser.add_argument("--background", type=int, nargs="+", help="gray, or red, green, blue, under transparent images")
    parser.add_argument(
        "--intensity-range",
        "--intensity_range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="stored values that become black and white; what is beyond is clipped",
    )
    parser.add_argument("--window", type=float, nargs=2, metavar=("CENTER", "WIDTH"), help="DICOM window")
    parser.add_argument("--overwrite", action="store_true", help="replace a card of this name")
    parser.set_defaults(run=_new_bundle)


def _new_bundle(options: argparse.Namespace) -> int:
    from medmamba_monai.bundle_template.new_bundle import new_bundle
    from medmamba_monai.data.proposal import Options
    from medmamba_monai.data.proposed_layout import Labels

    names = ("table", "image_column", "label_separator", "group_column", "split_column", "separator", "group_pattern")
    labels = Labels(label_column=tuple(options.label_column), **{name: getattr(options, name) for name in names})
    known = ("title", "modality", "spatial_dims", "channels", "image_size", "ordinal")
    given = Options(**{name: getattr(options, name) for name in known}, reading=_reading(options))
    new_bundle(options.name, options.images, labels, given, Path.cwd(), options.overwrite)
    return 0


def _reading(options: argparse.Namespace) -> dict[str, Any]:
    """What of the card's ``reading`` is given on the command line."""
    reading: dict[str, Any] = {}
    if options.background is not None:
        reading["background"] = options.background[0] if len(options.background) == 1 else options.background
    if options.intensity_range is not None:
        reading |= {"intensity_range": options.intensity_range, "clip": True}
    if options.window is not None:
        reading["window"] = options.window
    return reading


def _send(options: argparse.Namespace) -> int:
    from medmamba_monai.training import send_pending

    pending = send_pending(options.directory)
    print(f"{pending} entries are still pending" if pending else "everything is in MLflow")
    return 1 if pending else 0


def _demo(options: argparse.Namespace) -> int:
    from medmamba_monai.demo import main as run_demo

    return run_demo()


def _bundle(options: argparse.Namespace) -> int:
    from medmamba_monai.bundle_template import generate_bundle

    for path in generate_bundle(options.card, options.directory):
        print(path)
    return 0

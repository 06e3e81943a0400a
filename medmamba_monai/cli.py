"""The console script ``medmamba-monai``: shorter names for what the modules do."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

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
    return parser


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

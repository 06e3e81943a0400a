"""The configs of a bundle as a workflow of MONAI, in a process that they leave as it was."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from medmamba_monai.core.errors import UserError, find_user_error
from medmamba_monai.core.suggestions import suggest_name


def open_workflow(
    root: Path, configs: Sequence[str], run_id: str, values: Mapping[str, Any], overrides: Mapping[str, Any]
) -> ConfigWorkflow:
    """Return a workflow that is ready to be initialized; the caller's logging stays as it is.

    Args:
        root: folder of the bundle.
        configs: names of its configs, merged from left to right.
        run_id: what to run.
        values: top-level values by name.
        overrides: values or objects by the id of what they replace, such as ``{"loss": FocalLoss()}``.

    Raises:
        UserError: an id begins with something that the configs do not have.
    """
    workflow = ConfigWorkflow(
        config_file=[str(root / "configs" / f"{name}.json") for name in configs],
        meta_file=str(root / "configs" / "metadata.json"),
        logging_file=False,
        run_id=run_id,
        bundle_root=str(root),
        **values,
    )
    known = set(workflow.parser.get())
    for name in overrides:
        check_name(re.split("[#:]", name)[0], known, f"overrides: {name}: the configs have no")
    workflow.parser.update(dict(overrides))
    return workflow


def run_workflow(workflow: ConfigWorkflow) -> Any:
    """Run a workflow from its beginning to its end, and return what its last expression gave."""
    workflow.initialize()
    results = workflow.run()
    workflow.finalize()
    return results[-1]


def check_name(name: str, known: Collection[str], problem: str) -> None:
    """Refuse a name that is not known, with the nearest that is.

    Raises:
        UserError: it is not known.
    """
    if name not in known:
        raise UserError(f"{problem} {name}; {suggest_name(name, known)}")


@contextlib.contextmanager
def contain_workflow() -> Iterator[None]:
    """Undo what MONAI and the configs change in their process, and raise a wrapped `UserError` as it was.

    They set the hook for uncaught errors, add the bundle to the folders of modules, and tell that logging was left
    alone.
    """
    logger = logging.getLogger("monai.bundle.workflows")
    hook, folders, level = sys.excepthook, list(sys.path), logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:
        known = find_user_error(error)
        if known is None or known is error:
            raise
        raise known from error
    finally:
        sys.excepthook, sys.path[:] = hook, folders
        logger.setLevel(level)

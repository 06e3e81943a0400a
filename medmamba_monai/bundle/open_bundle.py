"""A bundle with the options that hold for each of its calls, and how they open its configs."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from medmamba_monai.bundle.commands import COMMANDS, INFER, INFER_WITH_ALL, Command
from medmamba_monai.bundle.find_bundle import find_bundle, list_fold_weights, refuse_probe
from medmamba_monai.bundle.workflow import check_name, contain_workflow, open_workflow, run_workflow
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import make_file_name
from medmamba_monai.core.options import Flag
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.training.options import NetworkOptions
from medmamba_monai.training.weights import read_description


class Held(enum.Enum):
    """What stands where a call is not told."""

    HELD = "what the bundle was given"


HELD = Held.HELD


class OpenBundle:
    """What `Bundle` runs its calls with; its arguments and attributes are described there."""

    def __init__(self, bundle: str | Path, folder: str | Path | None = None, **options: Any) -> None:
        known = {name for command in COMMANDS.values() for name in command.rows}
        for name in options:
            check_name(name, known, "there is no option")
        if "overrides" in options:
            raise UserError("overrides: give them to each call, not to Bundle; each command has configs of its own")
        if options.get("fold", 0) is None:
            raise UserError("fold None: give Bundle a number; the mean of all folds is for infer and predict")
        self._bundle = bundle
        self._folder = folder
        self.options = dict(options)
        self.prepared: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Name the bundle and the options that hold for each call."""
        return f"Bundle({', '.join([repr(str(self._bundle)), *(f'{k}={v!r}' for k, v in self.options.items())])})"

    @cached_property
    def root(self) -> Path:
        """Folder of the bundle.

        Raises:
            UserError: there is none, and no dataset has this name.
        """
        return find_bundle(self._bundle, self._folder)

    def _run(self, command: Command, options: Mapping[str, Any]) -> Any:
        with contain_workflow():
            return run_workflow(self._open(command, options))

    def _open(
        self, command: Command, options: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
    ) -> ConfigWorkflow:
        options_held = self.options if command in (INFER, INFER_WITH_ALL) else {**self.options, **self.prepared}
        held = {name: value for name, value in options_held.items() if name in command.rows}
        values = command.check({**held, **options})
        workflow = open_workflow(self.root, command.configs, command.run_id, values, overrides or {})
        if "ckpt_path" in command.rows:
            _take_architecture(workflow, values)
        return workflow

    def _open_weights(
        self, fold: int | Held | None, run_name: str | None, options: Mapping[str, Any]
    ) -> ConfigWorkflow:
        """Open an inference with the weights of a fold, or of all folds, or with those that the bundle was given."""
        if isinstance(fold, Held) and run_name is None and self.options.get("ckpt_path"):
            return self._open(INFER, options)
        number: int | None = self.options.get("fold", 0) if isinstance(fold, Held) else fold
        if run_name is None and "run_name" in self.options:
            raise UserError(
                f"run_name {self.options['run_name']}: Bundle holds it, but a training leaves weights in models and "
                "a cross-validation in output/<run_name>; give run_name to the calls, not to Bundle"
            )
        folder = RunFolder(
            self.root / "models" if run_name is None else self.root / "output" / make_file_name(run_name)
        )
        refuse_probe(folder)
        paths = list_fold_weights(folder) if number is None else [folder.fold(number).weights]
        weights = [str(path) for path in paths]
        if len(weights) == 1:
            return self._open(INFER, {"ckpt_path": weights[0], **options})
        return self._open(INFER_WITH_ALL, {"ckpt_path": None, **options}, {"ckpt_paths": weights})


def _take_architecture(workflow: ConfigWorkflow, given: Mapping[str, Any]) -> None:
    """Build the network that the weights are of, where nobody says otherwise."""
    weights = workflow.parser.get_parsed_content("ckpt_path") or workflow.parser["ckpt_paths"][0]
    described = read_description(weights)
    names = [name for name in NetworkOptions.names(Flag.WEIGHTS) if name in described and name not in given]
    workflow.parser.update({name: described[name] for name in names})

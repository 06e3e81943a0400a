"""What can be done with a bundle: the configs of each command, what they run, and which options they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import pandas as pd
from pydantic import create_model
from pydantic.fields import FieldInfo

from medmamba_monai.bundle.workflow import check_name
from medmamba_monai.core.config_text import check_config_text
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Flag, Options, expected
from medmamba_monai.cross_validation.options import OF_LAUNCHERS, CrossValidationOptions
from medmamba_monai.data import PrepareOptions
from medmamba_monai.training.options import EvaluationOptions, InferenceOptions, TrainingOptions
from medmamba_monai.training.self_supervised.options import PretrainingOptions

_EVALUATED = ("$", "@", "%")


@dataclass(frozen=True)
class Command:
    """One thing to do with a bundle.

    Attributes:
        name: its name in Python.
        configs: names of the configs, merged from left to right.
        run_id: the list of theirs that is run.
        tables: the tables of its options.
        without: flags of options that are not a user's to choose here.
        only: names of the options, where these are a part of the tables.
    """

    name: str
    configs: tuple[str, ...]
    run_id: str
    tables: tuple[type[Options], ...]
    without: tuple[Flag, ...] = ()
    only: tuple[str, ...] = ()

    @cached_property
    def rows(self) -> dict[str, FieldInfo]:
        """The rows of the options, by name."""
        first, *others = reversed(self.tables)
        left_out = {name for table in others for name in table.names(*self.without)} if self.without else set()
        rows = {name: row for table in others for name, row in table.model_fields.items() if name not in left_out}
        rows |= first.model_fields
        return {name: rows[name] for name in self.only} if self.only else rows

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return some of the options, checked and brought to their types, as JSON holds them.

        Raises:
            UserError: there is no such option, naming the nearest; or a value does not fit.
        """
        for name, value in given.items():
            check_name(name, self.rows, f"{self.name}: there is no option")
            _check_value(name, value)
        fields: Any = {name: (row.annotation, row) for name, row in self.rows.items() if name in given}
        table: type[Options] = create_model(self.name, __base__=Options, **fields)
        return table(**given).values()

    def describe(self) -> pd.DataFrame:
        """Return a row for each option: what it ``accepts``, and its ``description``."""
        cells = {name: (expected(row), row.description) for name, row in self.rows.items()}
        return pd.DataFrame.from_dict(cells, orient="index", columns=["accepts", "description"])


def _check_value(name: str, value: Any) -> None:
    """Refuse what MONAI would not take as it is written."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_plain(f"{name}: {key}", {key: part})
    elif isinstance(value, (list, tuple)):
        for part in value:
            _check_value(name, part)
    elif isinstance(value, (str, PurePath)):
        _check_text(name, str(value))


def _check_text(name: str, text: str) -> None:
    if text.startswith(_EVALUATED):
        raise UserError(f"{name} {text}: begins with {text[0]}, which MONAI evaluates; give another, or use overrides")
    try:
        check_config_text(text)
    except ValueError as error:
        raise UserError(f"{name} {text}: {error}") from error


def _check_plain(name: str, value: Any) -> None:
    """Refuse what cannot be given to the processes of the folds."""
    if isinstance(value, Mapping) and "_target_" not in value:
        parts = list(value.values())
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    elif value is None or (isinstance(value, (str, int, float)) and not str(value).startswith(_EVALUATED)):
        parts = []
    else:
        raise UserError(
            f"{name} is {value!r}; each fold has a process of its own and takes plain values: put it into a config "
            "file of the bundle, and give config_files=['configs/train.json', 'configs/my_change.json']"
        )
    for part in parts:
        _check_plain(name, part)


PREPARE = Command("prepare", ("data",), "prepare", (PrepareOptions,))
TRAIN = Command("train", ("train",), "training", (TrainingOptions,))
PRETRAIN = Command("pretrain", ("train", "pretrain"), "pretraining", (TrainingOptions, PretrainingOptions))
EVALUATE = Command("evaluate", ("train", "evaluate"), "evaluating", (TrainingOptions, EvaluationOptions))
INFER = Command("infer", ("inference",), "inference", (InferenceOptions,))
INFER_WITH_ALL = Command("infer", ("inference", "ensemble_inference"), "inference", (InferenceOptions,))
CROSS_VALIDATE = Command(
    "cross_validate",
    ("cross_validation",),
    "cross_validation",
    (TrainingOptions, CrossValidationOptions),
    without=(Flag.PER_FOLD,),
)
SEARCH = Command(
    "auto",
    CROSS_VALIDATE.configs,
    CROSS_VALIDATE.run_id,
    CROSS_VALIDATE.tables,
    only=("launcher", "jobs", "amp", *OF_LAUNCHERS),
)
"""Where the folds of a search run, in the words of a cross-validation."""
COMMANDS = {command.name: command for command in (PREPARE, TRAIN, PRETRAIN, EVALUATE, CROSS_VALIDATE, INFER)}
"""The commands by name."""

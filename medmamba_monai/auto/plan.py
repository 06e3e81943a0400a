"""The plan of a search: what is trained, how, and why; a document that people read and edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from medmamba_monai.core.documents import check_relative, read_document
from medmamba_monai.core.files import write_json
from medmamba_monai.networks import NETWORKS
from medmamba_monai.training.probes import Method

FILE_NAME = "plan.json"
PLACES_NAME = "places.json"
"""Where this machine keeps images and starting weights: beside the plan, which may be given away."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _check_network(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"there is no such network; choose one of {', '.join(NETWORKS)}")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Places(_Strict):
    """What differs between machines."""

    dataset_dir: str
    pretrained: str = ""


class Costs(_Strict):
    """What was measured beside the epochs, in seconds."""

    start: Seconds = Field(description="of a process that trains or evaluates, until its first batch")
    evaluation: Seconds = Field(description="of one fold's model on its test part, once")
    review: Seconds = Field(description="of putting the folds of a cross-validation together")
    imports: Seconds = Field(default=0.0, description="of the process that those of all folds are forked from, once")
    package: Seconds = Field(description="of the report and the package at the end")


class Candidate(_Strict):
    """A network to be tried; a value that is null is the plan's.

    The names of the values are those of the options of a cross-validation.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
    network_name: Annotated[str, AfterValidator(_check_network)]
    depths: list[Count] | None = None
    channels: list[Count] | None = None
    image_size: Count | None = None
    batch_size: Count | None = None
    epochs: Count | None = None
    recipe: str | None = None
    learning_rate: Rate | None = None
    weight_decay: Rate | None = None
    pretrained: bool = Field(default=False, description="begins with the starting weights of the plan")
    probe: Method | None = Field(
        default=None, description="linear or knn: learns from features of the starting weights, in place of a training"
    )
    overrides: dict[str, Any] = Field(default_factory=dict, description="further values of the training config, by id")
    seconds_per_epoch: Seconds = Field(description="of a training with its validation, measured where it trains")
    reason: str = ""

    @model_validator(mode="after")
    def _probe_trains_nothing(self) -> Candidate:
        if self.probe is None:
            return self
        if not self.pretrained:
            raise ValueError(f"probe {self.probe!r} needs features that were learnt: set pretrained to true")
        if set_anyway := [name for name in OF_A_TRAINING if getattr(self, name) is not None]:
            raise ValueError(f"probe {self.probe!r} trains no network: leave {set_anyway[0]} null")
        return self

    def options(self, plan: Plan) -> dict[str, Any]:
        """Return the options of this candidate's cross-validation.

        Args:
            plan: holds the values that the candidate leaves open.

        Returns:
            Options of a cross-validation by name, with ``run_name`` and ``overrides``; None leaves one to the recipe.
            Those of a training are missing where there is none.
        """
        names = [name for name in SHARED if self.probe is None or name not in OF_A_TRAINING]
        shared = {name: getattr(plan, name) for name in names}
        own = {name: value for name in names if (value := getattr(self, name)) is not None}
        start = {"pretrained": plan.pretrained_place} if self.pretrained else {}
        views = {"tta": True} if plan.views and self.probe is None else {}
        sizes = {"network_name": self.network_name, "depths": self.depths, "channels": self.channels}
        return {
            "run_name": self.name,
            "dataset_dir": plan.dataset_dir or None,
            **sizes,
            **shared,
            **own,
            **start,
            **({} if self.probe is None else {"probe": self.probe}),
            "overrides": {**views, **self.overrides},
        }


OF_A_TRAINING = ("epochs", "recipe", "learning_rate", "weight_decay")
SHARED = ("image_size", "batch_size", *OF_A_TRAINING)
"""Values that a plan gives to all candidates, and a candidate may have for itself."""


class Plan(_Strict):
    """What a search does with its time; the values of `SHARED` hold for each candidate that says nothing else."""

    dataset: str
    bundle: Annotated[str, AfterValidator(check_relative)] = Field(description="folder of the bundle, from the plan's")
    dataset_dir: str = Field(default="", exclude=True, description="folder of the images; empty: the bundle's own")
    pretrained: str | None = Field(
        default=None, description="kind and SHA-256 of the weights that candidates may begin with; null: none"
    )
    pretrained_place: str = Field(default="", exclude=True, description="where these weights are")
    budget_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    looked_seconds: Seconds = Field(default=0.0, description="of the budget, spent on looking and planning")
    hold_out: Share | None = Field(description="share kept out of every choice; null: the dataset has a test set")
    num_folds: Annotated[int, Field(ge=2)]
    fold_seed: Annotated[int, Field(ge=0, lt=2**32)]
    views: bool = Field(description="average the prediction over views of each image; probes look once")
    image_size: Count
    batch_size: Count
    epochs: Count
    recipe: str
    learning_rate: Rate
    weight_decay: Rate | None = Field(description="null: the recipe's")
    candidates: Annotated[list[Candidate], Field(min_length=1)]
    rounds: list[Share] = Field(description="shares of the epochs after which the worse half of the candidates leaves")
    finalists: Count = Field(description="candidates that are trained on all folds")
    baselines: list[Candidate] = Field(description="compared with the winner at the end; never chosen")
    at_once: Count = Field(default=1, description="trainings that run at a time, on a cluster, as the times count on")
    planned_folds: Count | None = Field(
        default=None, description="that there is time for; more are trained where it goes faster; null: all"
    )
    planned_baselines: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="that there is time for; more are trained where it goes faster; null: all"
    )
    costs: Costs
    reasons: dict[str, str] = Field(description="why, by the name of a field")
    chosen: dict[str, Any] = Field(default_factory=dict, description="values that the reasons are of; not to be edited")

    @field_validator("rounds")
    @classmethod
    def _rounds_rise(cls, rounds: list[float]) -> list[float]:
        if rounds != sorted(set(rounds)):
            raise ValueError("must rise, such as [0.2, 0.5]")
        return rounds

    @field_validator("reasons")
    @classmethod
    def _reasons_are_of_fields(cls, reasons: dict[str, str]) -> dict[str, str]:
        if unknown := [name for name in reasons if name not in cls.model_fields]:
            raise ValueError(f"{unknown[0]!r} is no field of a plan")
        return reasons

    @model_validator(mode="after")
    def _names_differ(self) -> Plan:
        names = [candidate.name for candidate in (*self.candidates, *self.baselines)]
        if twice := _find_repeated(names):
            raise ValueError(f"candidates and baselines: two have the name {twice!r}; rename one")
        if self.finalists > len(self.candidates):
            raise ValueError(
                f"finalists: {self.finalists} of {len(self.candidates)} candidates; give at most as many as there are"
            )
        return self

    @model_validator(mode="after")
    def _starting_weights_are_there(self) -> Plan:
        if any(baseline.probe for baseline in self.baselines):
            raise ValueError("baselines: a probe is no baseline; make it a candidate")
        begun = [one.name for one in (*self.candidates, *self.baselines) if one.pretrained]
        if begun and self.pretrained is None:
            raise ValueError(f"pretrained: {begun[0]} begins with starting weights, and the plan has none")
        return self

    @property
    def trained_candidates(self) -> list[Candidate]:
        """The candidates that are trained; the others are probes."""
        return [candidate for candidate in self.candidates if candidate.probe is None]

    @property
    def folds_in_time(self) -> int:
        """How many folds of each finalist the time was planned for."""
        return min(self.planned_folds or self.num_folds, self.num_folds)

    @property
    def baselines_in_time(self) -> list[Candidate]:
        """The baselines that the time was planned for."""
        return self.baselines[: self.planned_baselines]

    def explain(self) -> dict[str, str]:
        """Return why, by the name of a field; of a value that was edited, what the rules would have had instead."""
        now = self.model_dump(mode="json")
        return {
            name: f"Edited; the rules chose {self.chosen[name]}. {reason}"
            if name in self.chosen and self.chosen[name] != now[name]
            else reason
            for name, reason in self.reasons.items()
        }

    def write(self, folder: Path) -> Path:
        """Write the plan into a folder, and return its file; where the images are is written into another one."""
        self.write_places(folder)
        write_json(folder / FILE_NAME, self.model_dump(mode="json"))
        return folder / FILE_NAME

    def write_places(self, folder: Path) -> None:
        """Write down where the images and the starting weights are."""
        places = {"pretrained": self.pretrained_place} if self.pretrained_place else {}
        write_json(folder / PLACES_NAME, {"dataset_dir": self.dataset_dir, **places})


def read_plan(folder: Path) -> Plan:
    """Read the plan of a search's folder, as a person may have edited it.

    Raises:
        UserError: it is missing or does not fit; names the file, the fields, the values and what is allowed.
    """
    places = folder / PLACES_NAME
    known = read_document(places, _Places) if places.is_file() else _Places(dataset_dir="")
    here = {"dataset_dir": known.dataset_dir, "pretrained_place": known.pretrained}
    return read_document(folder / FILE_NAME, Plan, here)


def _find_repeated(names: Sequence[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)

"""The options of a cross-validation beside those of its trainings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, model_validator

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Expects, Flag, Options, Switch, Text, Whole, WholeFrom0, WholeFrom1
from medmamba_monai.cross_validation.review import check_review_options
from medmamba_monai.cross_validation.slots import check_jobs
from medmamba_monai.training.probes import METHODS, Method


def _check_probe(value: Any) -> Method | None:
    known: dict[Any, Method | None] = {None: None, "linear": "linear", "knn": "knn"}
    if value not in known:
        raise UserError(f"--probe {value!r}: give {' or '.join(METHODS)}, or leave it out to train")
    return known[value]


LOCAL = "local"
LAUNCHERS = (LOCAL, "slurm", "ray")
"""Where the processes of folds run: on this machine, or as jobs of a scheduler."""


def _check_launcher(value: Any) -> str:
    if value not in LAUNCHERS:
        raise UserError(f"--launcher {value!r}: give {' or '.join(LAUNCHERS)}")
    return str(value)


LauncherName = Annotated[str, PlainValidator(_check_launcher), Expects(" or ".join(LAUNCHERS))]
Folds = Annotated[list[int], Expects("numbers of folds, such as [0,1]")]
Jobs = Annotated[int | str, PlainValidator(check_jobs), Expects("auto or a whole number from 1")]
ProbeMethod = Annotated[Method | None, PlainValidator(_check_probe), Expects("linear, knn or None")]
Names = Annotated[list[str], Expects("a list of config files")]


class CrossValidationOptions(Options):
    """What a cross-validation adds; the defaults stand at the top of a bundle's ``configs/cross_validation.json``."""

    run_name: Text = Field(description="name of the run and of its folder")
    output_dir: Annotated[Text, Flag.PRIVATE] = Field(description="folder of the cross-validation")
    folds: Folds | Whole | None = Field(description="folds to run; None: all")
    jobs: Jobs = Field(description="folds that run at a time; auto: one on a CPU, as many as fit on a GPU")
    launcher: LauncherName = Field(
        default=LOCAL, description="local: on this machine; slurm, ray: each fold as a job of a cluster"
    )
    slurm_partition: Text | None = Field(default=None, description="partition of the jobs; None: the cluster's default")
    slurm_gpus: WholeFrom0 = Field(default=0, description="GPUs of a fold's job")
    slurm_cpus: WholeFrom1 = Field(default=2, description="CPU cores of a fold's job")
    slurm_minutes: WholeFrom1 = Field(
        default=240, description="time limit of a job; a fold that reaches it is queued again and goes on"
    )
    slurm_parameters: Annotated[dict[str, Any], Expects("a dictionary")] = Field(
        default_factory=dict, description="further parameters of sbatch, such as {'account': 'a', 'mem': '16GB'}"
    )
    ray_address: Annotated[Text, Flag.PRIVATE] = Field(
        default="auto", description="address of the Ray cluster; auto: the one that this machine belongs to"
    )
    ray_gpus: WholeFrom0 = Field(default=0, description="GPUs of a fold on a Ray cluster")
    ray_cpus: WholeFrom1 = Field(default=2, description="CPU cores of a fold on a Ray cluster")
    ray_resources: Annotated[dict[str, Any], Expects("a dictionary")] = Field(
        default_factory=dict, description="further resources that a fold takes of a Ray node, such as {'big': 1}"
    )
    recipe: Text = Field(description="recipe of the training, or several with commas")
    config_files: Names = Field(description="training configs, relative to the bundle")
    evaluate_files: Names = Field(description="evaluation overlays, relative to the bundle")
    probe: ProbeMethod = Field(
        default=None, description="fit this to frozen features in place of a training: linear or knn; None: train"
    )
    encoder: Annotated[Text | None, Flag.PRIVATE] = Field(
        default=None, description="encoder of transformers that makes the features, a name or a folder"
    )
    overrides: Annotated[dict[str, Any], Expects("a dictionary")] = Field(
        description="further values of the training config, by id"
    )
    bootstrap_resamples: Whole = Field(description="resamples of the review's bootstrap")
    bootstrap_seed: Whole = Field(description="seed of the review's bootstrap")
    report_images: Switch | None = Field(
        description="show images in the report; None: where results stay on this machine"
    )

    @model_validator(mode="after")
    def _check_review(self) -> CrossValidationOptions:
        check_review_options(self.review)
        return self

    @model_validator(mode="after")
    def _check_cluster(self) -> CrossValidationOptions:
        if self.launcher != LOCAL and self.probe is not None:
            raise UserError(f"--probe {self.probe}: is fitted in one process; leave out --launcher {self.launcher}")
        return self

    @property
    def review(self) -> dict[str, Any]:
        """The options of the review, see `check_review_options`."""
        return {
            "resamples": self.bootstrap_resamples,
            "seed": self.bootstrap_seed,
            "with_images": self.report_images,
        }


OF_LAUNCHERS = tuple(name for name in CrossValidationOptions.model_fields if name.startswith(("slurm_", "ray_")))
"""Names of the options that one launcher has."""

"""The options of a training, an evaluation and an inference, each with its type, its help text and its flags."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PlainSerializer, PlainValidator, ValidationInfo, model_validator

from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import (
    Expects,
    Flag,
    Fraction,
    NumberFrom0,
    Options,
    Scales,
    Switch,
    Text,
    Whole,
    WholeFrom0,
    WholeFrom1,
    WholeNumbers,
)
from medmamba_monai.data import check_cache
from medmamba_monai.networks import BAG_NETWORKS, NETWORKS
from medmamba_monai.networks.registry import check_sizes
from medmamba_monai.tracking.private_values import hide_quoted_paths
from medmamba_monai.training.precision import EXPECTED, Precision, read_precision, resolve_precision

FREE, SAME, WEIGHTS, PER_FOLD, PRIVATE, UNLOGGED = (
    Flag.FREE,
    Flag.SAME,
    Flag.WEIGHTS,
    Flag.PER_FOLD,
    Flag.PRIVATE,
    Flag.UNLOGGED,
)


def _check_network(name: Any) -> str:
    if name not in NETWORKS | BAG_NETWORKS:
        raise UserError(f"--network_name {name}: does not exist; choose one of {', '.join(NETWORKS)}")
    return str(name)


def _check_cache(cache: Any) -> str | float:
    try:
        return check_cache(float(cache) if isinstance(cache, str) else cache)
    except ValueError:
        return check_cache(cache)


def _resolve_precision(amp: Any, info: ValidationInfo) -> Precision | Literal["auto"]:
    """Settle the precision for the device, or leave it open where only some options are checked, without a device."""
    device = info.data.get("device")
    return read_precision(amp) if device is None else resolve_precision(amp, device)


def _check_cuda_graphs(value: Any) -> bool | str:
    switches: dict[str, bool | str] = {"auto": "auto", "true": True, "false": False}
    try:
        return switches[str(value).lower()]
    except KeyError as error:
        raise UserError(f"--cuda_graphs {value!r}: give auto, True or False") from error


Device = Annotated[
    torch.device, PlainValidator(resolve_device), PlainSerializer(str), Expects("auto, cpu, cuda or cuda:0")
]
NetworkName = Annotated[str, PlainValidator(_check_network), Expects("the name of a network")]
Cache = Annotated[
    str | float, PlainValidator(_check_cache), Expects("auto, gpu, memory, disk, none or a number from 0 to 1")
]
Amp = Annotated[Precision, PlainValidator(_resolve_precision), Expects(EXPECTED)]
CudaGraphs = Annotated[bool | str, PlainValidator(_check_cuda_graphs), Expects("auto, True or False")]


class NetworkOptions(Options):
    """What a training and an inference have in common: the network, and where it computes."""

    network_name: Annotated[NetworkName, SAME, WEIGHTS] = Field(description="network to train or to use")
    depths: Annotated[WholeNumbers | None, SAME, WEIGHTS] = Field(description="blocks of each stage of a MedMamba")
    channels: Annotated[WholeNumbers | None, SAME, WEIGHTS] = Field(description="width of each stage of a MedMamba")
    image_size: Annotated[WholeFrom1, SAME, WEIGHTS] = Field(description="side in pixels that the network is given")
    scan_backend: Text = Field(description="what computes the selective scan")
    device: Annotated[Device, FREE] = Field(description="where to compute")
    amp: Annotated[Amp, SAME] = Field(description="mixed precision; auto: bfloat16 on a GPU that has it")
    compile: Switch = Field(description="torch.compile the network, which takes minutes at the start")
    cuda_graphs: Annotated[CudaGraphs, FREE] = Field(description="launch the network as one CUDA graph; auto: on a GPU")
    batch_size: Annotated[WholeFrom1, SAME] = Field(description="images in a batch")
    num_workers: Annotated[WholeFrom0, FREE] = Field(description="processes that load images")
    progress_bar: Annotated[Switch, FREE] = Field(description="a bar for each pass over the images")

    @model_validator(mode="after")
    def _check_sizes(self) -> NetworkOptions:
        check_sizes(self.network_name, self.depths, self.channels)
        return self


class TrainingOptions(NetworkOptions):
    """The options of a training; their defaults stand at the top of a bundle's ``configs/train.json``."""

    dataset_dir: Annotated[Text, FREE, PRIVATE] = Field(description="folder of the dataset")
    data_list: Annotated[Text, FREE, PRIVATE] = Field(description="file of the folds, which prepare wrote")
    fold: Annotated[WholeFrom0, SAME, PER_FOLD] = Field(description="fold to validate on, from 0")
    seed: Annotated[Whole, SAME] = Field(description="seed of everything random")
    epochs: WholeFrom1 = Field(description="passes over the training part")
    learning_rate: Annotated[NumberFrom0, SAME] = Field(description="learning rate of the optimizer")
    weight_decay: Annotated[NumberFrom0, SAME] = Field(description="weight decay of the optimizer")
    drop_path_rate: Annotated[Fraction | None, SAME] = Field(description="stochastic depth; None: the network's own")
    precise_batch_norm: Annotated[Switch, SAME] = Field(
        default=False, description="compute the statistics of batch norms anew before each validation"
    )
    grad_checkpointing: Switch = Field(description="recompute the scan branches in the backward pass to save memory")
    pretrained: Annotated[Text | None, FREE, PRIVATE] = Field(
        default=None, description="weights to start from: a file, or the folder of a run; None: from scratch"
    )
    patience: WholeFrom0 = Field(description="validations without improvement before the training stops; 0: never")
    pause_after: Annotated[WholeFrom1 | None, FREE] = Field(
        description="epochs after which the training stops, to go on later; None: never"
    )
    val_interval: Annotated[WholeFrom1, UNLOGGED] = Field(description="epochs from one validation to the next")
    cache: Annotated[Cache, FREE] = Field(description="where decoded images are kept")
    resume: Annotated[Switch, FREE] = Field(description="go on after the last epoch; False starts afresh")
    tensorboard: Annotated[Switch, FREE] = Field(description="log to TensorBoard, too")
    tracking_uri: Annotated[Text, FREE, PRIVATE] = Field(description="MLflow store; empty for none")
    experiment_name: Annotated[Text, UNLOGGED] = Field(description="MLflow experiment")
    run_name: Annotated[Text, UNLOGGED] = Field(description="name of the run and of its folder")
    output_dir: Annotated[Text, FREE, PER_FOLD, PRIVATE] = Field(description="folder of logs and checkpoints")
    ckpt_dir: Annotated[Text, FREE, PER_FOLD, PRIVATE] = Field(description="folder of the best weights")


class ViewOptions(Options):
    """How often, and how, a network looks at each image."""

    tta: Switch = Field(description="average over views of each image")
    scales: Scales = Field(description="average over these scales, each cut into windows of the size of the network")

    @property
    def views(self) -> str:
        """What probabilities are means over, for people; nothing where a network looks once."""
        scaled = [f"scales {', '.join(self._named_scales)}"] if self._is_scaled else []
        return ", ".join([*(["test-time augmentation"] if self.tta else []), *scaled])

    @property
    def views_folder(self) -> str:
        """The same as the name of a folder."""
        scaled = [f"scales_{'_'.join(self._named_scales)}"] if self._is_scaled else []
        return "_".join([*(["tta"] if self.tta else []), *scaled])

    @property
    def _is_scaled(self) -> bool:
        return self.scales != [1]

    @property
    def _named_scales(self) -> list[str]:
        return [f"{scale:g}" for scale in self.scales]


class EvaluationOptions(ViewOptions):
    """What an evaluation adds to the options of its training."""

    ckpt_path: Annotated[Text | None, PRIVATE] = Field(description="file of the weights")


class InferenceOptions(NetworkOptions, ViewOptions):
    """The options of an inference; their defaults stand at the top of a bundle's ``configs/inference.json``."""

    dataset_dir: Annotated[Text, PRIVATE] = Field(description="folder of images")
    output_dir: Annotated[Text, PRIVATE] = Field(description="folder of the predictions")
    ckpt_path: Annotated[Text | None, PRIVATE] = Field(description="file of the weights")
    skip_unreadable: Switch = Field(description="leave out images that cannot be read, with a warning")


def collect_settings(options: TrainingOptions, **more: Any) -> dict[str, Any]:
    """Return what must be the same for a training to go on.

    Args:
        options: of the training.
        more: further plain values, such as what a recipe changes.
    """
    return {**options.select(SAME), **more}


def collect_parameters(options: TrainingOptions, **more: Any) -> dict[str, Any]:
    """Return what is logged of a training: the options that say what was trained, and further plain values.

    Of texts, such as one that describes what a user gave in Python, the paths that they quote are left out.
    """
    shown = {name: hide_quoted_paths(value) if isinstance(value, str) else value for name, value in more.items()}
    return {**options.leave_out(FREE, PRIVATE, UNLOGGED), **shown}


def describe_weights(options: NetworkOptions, **more: Any) -> dict[str, Any]:
    """Return what is kept with weights and compared when they are loaded, see `load_weights`."""
    return {**options.select(WEIGHTS), **more}

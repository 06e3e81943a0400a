"""Resumable checkpoints: they survive crashes and full disks, and training goes on from them bit for bit."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator, Trainer
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import remove_leftovers
from medmamba_monai.networks.tensor_files import read_torch_file
from medmamba_monai.training.distributed import check_same_epoch
from medmamba_monai.training.handlers.early_stop import EarlyStop
from medmamba_monai.training.handlers.finite_loss import TrainingDiverged, describe_kept_checkpoint
from medmamba_monai.training.handlers.given_weights import GivenWeights
from medmamba_monai.training.weights import read_state_dict, unwrap, write_torch, write_weights

FORMAT = 1
_KEYS = frozenset(
    ("format", "epoch", "iteration", "stateful", "scaler", "early_stop", "best_metric", "best_epoch", "settings")
)
_NAME = re.compile(r"checkpoint_epoch=(\d+)\.pt$")


def find_checkpoints(directory: str | Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest epoch first."""
    return sorted(
        (path for path in Path(directory).glob("checkpoint_epoch=*.pt") if _NAME.search(path.name)), key=read_epoch
    )


def read_epoch(checkpoint: Path) -> int:
    """Return the epoch in the name of a checkpoint."""
    match = _NAME.search(checkpoint.name)
    if match is None:
        raise ValueError(f"{checkpoint} is not named as a checkpoint")
    return int(match[1])


def count_saved_epochs(directory: str | Path) -> int:
    """Return the epoch of the newest checkpoint in a folder, from which a training goes on; 0 where there is none."""
    saved = find_checkpoints(directory)
    return read_epoch(saved[-1]) if saved else 0


class ResumableCheckpoint:
    """Save everything an exact resume needs after each epoch, and the best weights; go on from there at the start.

    What is saved is copied at the end of the epoch and written in a thread of its own while the next one trains; an
    error of it ends the training at the end of that epoch. Training and process end when all is written.

    Together with `EpochSeeding`, a training that was stopped after any epoch and started again ends with bit-identical
    weights on the CPU. Files are replaced atomically, the last ``keep`` remain, and they are read with
    ``weights_only=True``. Attach it after `ValidationHandler` and `EarlyStop`.

    A trainer that runs again, as a client of federated learning does in each round, goes on as it is: nothing is
    restored, and the patience of `early_stop` begins anew. One that was given weights before its first start keeps
    them and takes all the rest from the checkpoint.

    Args:
        directory: folder of the checkpoints.
        best_path: file (``.pt``) of the best weights; a ``.safetensors`` file is written beside it.
        stateful: what is saved and restored by name: the network, the optimizer, a scheduler.
        validated: the network that is validated and whose best weights are kept, where it is not the trained one itself
            (an exponential moving average of it).
        evaluator: the validation engine; its key metric decides what is best.
        early_stop: its counter is saved too.
        settings: plain values that must be the same when training goes on, else it would not be the same training.
        description: plain values written into the safetensors header of the best weights.
        resume: go on from the newest checkpoint; when False, older checkpoints in the folder are removed.
        keep: number of checkpoints that remain.
        given_weights: what knows whether the trainer was given weights; None where none are given.
    """

    def __init__(
        self,
        directory: str | Path,
        best_path: str | Path,
        stateful: Mapping[str, Any],
        evaluator: Evaluator,
        early_stop: EarlyStop | None = None,
        settings: Mapping[str, Any] | None = None,
        description: Mapping[str, Any] | None = None,
        resume: bool = True,
        keep: int = 2,
        validated: nn.Module | None = None,
        given_weights: GivenWeights | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.best_path = Path(best_path)
        self.stateful = dict(stateful)
        self.evaluator = evaluator
        self.early_stop = early_stop
        self.settings = dict(settings or {})
        self.description = dict(description or {})
        self.resume = resume
        self.keep = keep
        self.validated = self.stateful["network"] if validated is None else validated
        self.given_weights = given_weights
        self.logger = logging.getLogger("medmamba_monai.training")
        self._completed = False
        self._found: tuple[dict[str, Any], Path] | None = None
        self._writing: Future[object] | None = None

    def attach(self, engine: Trainer) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.STARTED, self._check_together)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self.ensure_best)
        engine.add_event_handler(Events.COMPLETED, self._note_completion)
        engine.add_event_handler(Events.STARTED, self._come_last)

    def check(self) -> None:
        """Read the checkpoint to go on from, if any, before anything is changed.

        Raises:
            UserError: it is of other settings, or none can be read.
        """
        files = find_checkpoints(self.directory) if self.resume else []
        if files and self._found is None and not self._completed:
            content, path = self._read_newest(files)
            self._check_settings(content["settings"], path)
            self._found = content, path

    def restore(self, engine: Trainer) -> None:
        """Go on from the newest readable checkpoint, if any, or as the trainer is where it has run already."""
        again, self._completed = self._completed and engine.state.epoch > 0, False
        if again:
            self._renew_patience()
            return
        files = find_checkpoints(self.directory)
        if idist.get_rank() == 0:
            for folder in (self.directory, self.best_path.parent):
                remove_leftovers(folder)
        if not self.resume:
            if idist.get_rank() == 0:
                for path in files:
                    path.unlink()
            return
        self.check()
        if self._found is None:
            return
        (content, path), self._found = self._found, None
        given = self.given_weights is not None and self.given_weights.found
        if given:
            engine.state.max_epochs += content["epoch"]
        self._load(engine, content, but="network" if given else "")
        self._repair_best(content)
        weights = ", with the weights that it was given" if given else ""
        self.logger.info(f"going on after epoch {content['epoch']} of {engine.state.max_epochs} ({path.name}){weights}")
        if given:
            self._renew_patience()
        if self.early_stop is not None and self.early_stop.exhausted:
            engine.terminate()

    def _check_together(self, engine: Trainer) -> None:
        check_same_epoch(engine.state.epoch, self.directory)

    def save(self, engine: Trainer) -> None:
        """Save the best weights if this epoch's are, then the checkpoint; a crash between the two repeats the epoch.

        Raises:
            UserError: what the last epoch left could not be written.
            TrainingDiverged: a weight is not finite.
        """
        if idist.get_rank() > 0:
            return
        self._check_finite(engine.state.epoch)
        self.wait()
        best = self._make_best(engine) if self.evaluator.state.best_metric_epoch == engine.state.epoch else None
        path, content = self._make_path(engine.state.epoch), copy_to_host(self._collect(engine))
        self._write_aside(partial(self._write, path, content, best))

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            UserError: it could not be.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def settle(self) -> None:
        """Wait until everything is written, where an error is told already: one of writing is only logged."""
        try:
            self.wait()
        except UserError as error:
            self.logger.error(str(error))

    def _come_last(self, engine: Engine) -> None:
        """Handle errors after all other handlers: one that raises the error again keeps it from those behind it."""
        if not engine.has_event_handler(self._pass_on, Events.EXCEPTION_RAISED):
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._pass_on)

    def _pass_on(self, engine: Engine, error: BaseException) -> None:
        self.settle()
        raise error

    def _write_aside(self, work: Callable[[], object]) -> None:
        """Begin work in a thread that ends with it; the interpreter waits for it before it exits."""
        thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing = thread.submit(work)
        thread.shutdown(wait=False)

    def _write(self, path: Path, content: dict[str, Any], best: Callable[[], object] | None) -> None:
        if best is not None:
            best()
        write_torch(path, content)
        for old in find_checkpoints(self.directory)[: -self.keep]:
            old.unlink()

    def ensure_best(self, engine: Trainer) -> None:
        """Keep the last weights where no validation ever chose any (``val_interval`` above ``epochs``)."""
        self.wait()
        if idist.get_rank() == 0 and self.evaluator.state.best_metric_epoch == -1:
            self.logger.warning(f"no validation ran; {self.best_path} holds the weights of the last epoch")
            self._make_best(engine)()

    def _note_completion(self, engine: Trainer) -> None:
        self._completed = True

    def _renew_patience(self) -> None:
        if self.early_stop is not None:
            self.early_stop.renew()

    def _make_path(self, epoch: int) -> Path:
        return self.directory / f"checkpoint_epoch={epoch:04d}.pt"

    def _make_best(self, engine: Trainer) -> Callable[[], object]:
        """Copy the weights that are now the best, and return what writes them."""
        state = {
            name: tensor.contiguous() for name, tensor in copy_to_host(unwrap(self.validated).state_dict()).items()
        }
        metric = float(self.evaluator.state.best_metric)
        description = {**self.description, "epoch": engine.state.epoch, "validation_score": metric}
        return partial(write_weights, state, self.best_path, description)

    def _repair_best(self, content: Mapping[str, Any]) -> None:
        """Make the files of the best weights again where one is gone, from the other or from a checkpoint.

        Raises:
            UserError: nothing holds them any more.
        """
        safe_path = self.best_path.with_suffix(".safetensors")
        epoch = content["best_epoch"]
        if idist.get_rank() > 0 or epoch < 1 or (self.best_path.is_file() and safe_path.is_file()):
            return
        best = self._find_best_state(epoch)
        if best is None:
            raise UserError(
                f"{self.best_path} is gone, and no checkpoint holds the weights of the best epoch, {epoch}: put the "
                "file back, or pass --resume False to train anew"
            )
        source, state = best
        description = {**self.description, "epoch": epoch, "validation_score": float(content["best_metric"])}
        write_weights(state, self.best_path, description)
        self.logger.warning(f"{self.best_path} was made again from {source.name}")

    def _find_best_state(self, epoch: int) -> tuple[Path, dict[str, torch.Tensor]] | None:
        """Find the weights of the best epoch, and the file that still holds them."""
        for path in (self.best_path, self.best_path.with_suffix(".safetensors")):
            if path.is_file():
                return path, read_state_dict(path)
        name = next((name for name, item in self.stateful.items() if item is self.validated), None)
        path = self._make_path(epoch)
        if name is None or not path.is_file():
            return None
        content, _ = self._read_newest([path])
        return path, dict(content["stateful"][name])

    def _collect(self, engine: Trainer) -> dict[str, Any]:
        objects = {name: unwrap(item) if isinstance(item, nn.Module) else item for name, item in self.stateful.items()}
        return {
            "format": FORMAT,
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "stateful": {name: item.state_dict() for name, item in objects.items()},
            "scaler": engine.scaler.state_dict() if engine.scaler is not None else None,
            "early_stop": self.early_stop.state_dict() if self.early_stop is not None else None,
            "best_metric": float(self.evaluator.state.best_metric),
            "best_epoch": int(self.evaluator.state.best_metric_epoch),
            "settings": self.settings,
        }

    def _load(self, engine: Trainer, content: dict[str, Any], but: str) -> None:
        for name, item in self.stateful.items():
            if name == but:
                continue
            (unwrap(item) if isinstance(item, nn.Module) else item).load_state_dict(content["stateful"][name])
        if engine.scaler is not None and content["scaler"] is not None:
            engine.scaler.load_state_dict(content["scaler"])
        if self.early_stop is not None and content["early_stop"] is not None:
            self.early_stop.load_state_dict(content["early_stop"])
        engine.state.epoch = content["epoch"]
        engine.state.iteration = content["epoch"] * engine.state.epoch_length
        self.evaluator.state.best_metric = content["best_metric"]
        self.evaluator.state.best_metric_epoch = content["best_epoch"]

    def _read_newest(self, files: list[Path]) -> tuple[dict[str, Any], Path]:
        problem: Exception | None = None
        for path in reversed(files):
            try:
                content = _check_content(read_torch_file(path), set(self.stateful))
            except UserError as error:
                self.logger.warning(f"{path} cannot be read ({error}); trying the one before")
                problem = error
                continue
            if content["format"] != FORMAT:
                raise UserError(f"{path} has checkpoint format {content['format']}, this version reads {FORMAT}")
            return content, path
        raise UserError(
            f"none of the checkpoints in {self.directory} can be read; delete them, or pass --resume False"
        ) from problem

    def _check_settings(self, saved: dict[str, Any], path: Path) -> None:
        for key in sorted(saved.keys() | self.settings.keys()):
            if not _is_same(key, saved, self.settings):
                raise UserError(
                    f"{path} was trained with {key} {saved.get(key)!r}, but {self.settings.get(key)!r} is configured. "
                    "Use the same value to go on, choose another --run_name or --output_dir, or pass --resume False to "
                    "start afresh."
                )

    def _check_finite(self, epoch: int) -> None:
        network = unwrap(self.stateful["network"])
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise TrainingDiverged(
                    f"{name} holds NaN or infinity after epoch {epoch}. {describe_kept_checkpoint(epoch)} "
                    "Lower --learning_rate and start again."
                )


def copy_to_host(content: Any) -> Any:
    """Return a copy of nested values with every tensor in memory of its own on the CPU."""
    if isinstance(content, torch.Tensor):
        return content.detach().to("cpu", copy=True)
    if isinstance(content, dict):
        copied = copy.copy(content)  # keeps what a state dict carries beside its keys
        copied.update({name: copy_to_host(value) for name, value in content.items()})
        return copied
    return type(content)(map(copy_to_host, content)) if isinstance(content, (list, tuple)) else content


def _is_same(key: str, saved: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Say whether a setting is the same; an option is off where it did not exist yet."""
    if key in saved and key in settings:
        return bool(saved[key] == settings[key])
    known = saved.get(key, settings.get(key))
    return known is None or known is False


def _check_content(content: Any, stateful: Collection[str]) -> dict[str, Any]:
    """Return the content of a file if it is that of a checkpoint.

    Raises:
        UserError: it is not; says what it lacks.
    """
    if not isinstance(content, dict) or not isinstance(content.get("stateful", {}), dict):
        raise UserError("it is no checkpoint of a training")
    if content.get("format") == FORMAT and (
        missing := sorted(_KEYS - content.keys()) + sorted(set(stateful) - content.get("stateful", {}).keys())
    ):
        raise UserError(f"it has no {missing[0]}")
    return {"format": None, **content}

"""The parts that run a bundle from end to end, with a tiny training where a command would begin a process."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer

from benchmarks.gpu import bundle, launches
from benchmarks.gpu.bars import GOALS, OWN, job_of, part_of
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.clock import StepClock, find_precision
from benchmarks.gpu.launches import count_launches, profile_kernels
from medmamba_monai.core.errors import UserError

IMAGES, BATCH = 6, 2


def make_trainer(handler: Any, epochs: int = 1) -> SupervisedTrainer:
    network = torch.nn.Linear(3, 2)
    loader = [{"image": torch.ones(BATCH, 3), "label": torch.zeros(BATCH, dtype=torch.long)}] * (IMAGES // BATCH)
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=torch.nn.functional.cross_entropy,
        train_handlers=[handler],
        decollate=False,
    )


def train_in_this_process(command: list[str], folder: Path, variables: Mapping[str, str], seconds: Any) -> None:
    """Run the handlers that the config files of a command bring, as the bundle would, on a trainer of this process."""
    options = dict(zip(command[7::2], command[8::2], strict=True))
    files = ast.literal_eval(options["--config_file"])
    parser = ConfigParser(ConfigParser.load_config_files(files))
    (handler,) = parser.get_parsed_content("train::more_handlers")
    make_trainer(handler, int(options["--epochs"])).run()


@pytest.fixture
def prepared(tmp_path: Path) -> bundle.Prepared:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.json").write_text('{"train": {"more_handlers": []}}')
    return bundle.Prepared(tmp_path, tmp_path, tmp_path / "folds.json", "PneumoniaMNIST, here")


def test_a_bundle_is_timed_from_its_start_to_its_end(prepared: bundle.Prepared, tmp_path: Path, capsys: Any) -> None:
    found = bundle.measure_bundle(prepared, tmp_path, train_in_this_process, Budget(), epochs=3)
    assert (found["precision"], found["images"]) == ("float32", 2 * IMAGES)
    assert 0 < found["cold_seconds_to_first_step"] < found["cold_seconds"] < 60
    assert 0 < found["images_per_second"] <= found["step_images_per_second"]
    assert "cold: first step after" in capsys.readouterr().out
    bare = job_of(OWN, training=True, bfloat16=False)
    rows = [{"name": bare.title, "task": bare.task, "images_per_second": 2 * found["images_per_second"]}]
    parts = {"bundle": {"found": found}, part_of(bare): {"found": rows}}
    figures = {goal.text: goal.figure(parts) for goal in GOALS}
    assert figures["images a second of `training`, of the bare step"] == pytest.approx(50)
    assert figures["start to first step, when kernels are cached"] == found["warm_seconds_to_first_step"]


def test_only_the_whole_recipe_on_real_images_counts(prepared: bundle.Prepared, tmp_path: Path) -> None:
    asked = []

    def remember(command: list[str], *_: Any) -> None:
        asked.append(command)

    whole = bundle.measure_cross_validation(prepared, tmp_path, remember, Budget())
    short = bundle.measure_cross_validation(prepared, tmp_path, remember, Budget(), epochs=2)
    generated = prepared._replace(images="generated")
    others = bundle.measure_cross_validation(generated, tmp_path, remember, Budget())
    assert [found["whole_recipe"] for found in (whole, short, others)] == [True, False, False]
    assert "--epochs" not in asked[0]
    assert asked[1][-2:] == ["--epochs", "2"]
    minutes = [goal.figure({"cross_validation": {"found": found}}) for found in (whole, short) for goal in GOALS[-1:]]
    assert minutes == [whole["seconds"] / 60, None]


def test_images_are_generated_where_there_are_none(tmp_path: Path) -> None:
    counts = {"train": (5, 15), "val": (5, 5), "test": (5, 5)}
    made = bundle.prepare_bundle(tmp_path, tmp_path / "nothing", counts)
    arrays = np.load(made.dataset_dir / bundle.FILES[0])
    assert arrays["train_images"].shape == (20, 224, 224)
    assert arrays["train_labels"].sum() == 15
    assert made.images.startswith("generated")
    assert made.data_list.is_file()
    assert (made.root / "configs" / "train.json").is_file()


def test_a_command_that_fails_tells_its_last_lines(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo out of memory; exit 3", "", "", "the training"]
    with pytest.raises(UserError, match="the training failed: out of memory"):
        bundle.run_command(command, tmp_path, {}, 10)
    with pytest.raises(UserError, match="was stopped: the time was up"):
        bundle.run_command(["/bin/sh", "-c", "sleep 5", "", "", "the training"], tmp_path, {}, 0.1)


@pytest.mark.parametrize(
    ("amp", "options", "precision"),
    [(False, {}, "float32"), (True, {}, "float16"), (True, {"dtype": torch.bfloat16}, "bfloat16")],
)
def test_the_precision_of_a_training_is_told(
    amp: bool, options: dict[str, Any], precision: str, tmp_path: Path
) -> None:
    engine = make_trainer(StepClock(str(tmp_path / "clock.json")))
    engine.amp, engine.amp_kwargs = amp, options
    assert find_precision(engine) == precision


@pytest.mark.apart
def test_launches_are_counted_in_both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launches, "WARM_UPS", 0)
    found = count_launches("resnet50", 32, 2, "cpu")
    parts = {"launches": {"found": found}}
    figures = [goal.figure(parts) for goal in GOALS if goal.text.startswith("kernels launched")]
    assert figures == [found["bfloat16"], found["float32"]] == [0, 0]  # a CPU launches no kernels
    assert profile_kernels(lambda: torch.zeros(1), "cpu") == []


def test_a_budget_ends() -> None:
    now = iter([0.0, 4.0, 6.0, 30.0])
    budget = Budget(10, lambda: next(now))
    assert budget.left() == 6
    assert budget.is_spent(5)
    assert budget.left() == 1
    assert Budget().left() is None
    assert not Budget().is_spent(1e9)

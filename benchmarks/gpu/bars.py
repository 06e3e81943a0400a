"""What is to be reached on a GPU, against what ``benchmarks.gpu`` found: the one list that tables and bars come from.

A goal finds its figure by the same :class:`~benchmarks.networks.Job` that made the row, so that a row's name is spelt
in one place. Goals count at 224 pixels and batch 64, on the device that the result names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from benchmarks.networks import Job
from benchmarks.report import Bar

OWN, OTHER, BASELINE, TRANSFORMER = "medmamba:triton", "medmamba:mamba_ssm", "resnet50", "swin"
BATCH, IMAGE_SIZE = 64, 224
FIRST_STAGE = "stage 1"
PROCESSES = {"cold": "when nothing is cached", "warm": "when kernels are cached"}

Parts = Mapping[str, Any]
Figure = Callable[[Parts], float | None]


class Goal(NamedTuple):
    """One thing to reach.

    Attributes:
        text: what is measured.
        figure: finds it in the parts of a result, None where it was not measured.
        limit: what it is held against.
        unit: ``s``, ``ms``, ``images/s``, ``times``, ``%`` or empty for a count.
        at_least: whether the figure must reach the limit; else it must not exceed it.
    """

    text: str
    figure: Figure
    limit: float
    unit: str
    at_least: bool = False


def gpu_bars(parts: Parts) -> list[Bar]:
    """Hold the goals, and what must not break, against the parts that are there."""
    bars = [Bar(goal.text, goal.figure(parts), goal.limit, goal.at_least) for goal in GOALS]
    finite = find_part(parts, "bfloat16")
    spoiled = None if finite is None else finite["not_finite"] + (not finite["parameters_finite"])
    steps = "200" if finite is None else finite["steps"]
    bars.append(Bar(f"{steps} steps of bfloat16 training, losses that are not finite", spoiled, 0))
    if (accurate := find_part(parts, "accuracy")) is not None:
        missed = sum(entry["met"] is False for entry in accurate["errors"] + accurate["special_values"])
        bars.append(Bar("accuracy against float64, bars missed", missed, 0))
    for name, title in (("checks", "tests that need a GPU, exit code"), ("tests", "test suite, exit code")):
        if (tests := find_part(parts, name)) is not None:
            bars.append(Bar(title, tests["exit_code"], 0))
    return bars


def find_part(parts: Parts, name: str) -> Any:
    """Return what a part found, None where it was not measured."""
    return parts[name]["found"] if name in parts else None


def job_of(network: str, training: bool, bfloat16: bool, compiled: bool = False) -> Job:
    """Return the job whose row a goal looks for."""
    return Job(network, IMAGE_SIZE, BATCH, training, bfloat16, "cuda", compiled=compiled)


def part_of(job: Job) -> str:
    """Return the name of the part that measures a job."""
    return f"{'compiled' if job.compiled else 'networks'}: {job.task}"


def find_entry(parts: Parts, job: Job) -> dict[str, Any]:
    """Return the row of a job, an empty one where it was not measured or failed."""
    found = find_part(parts, part_of(job)) or []
    return next((entry for entry in found if entry["name"] == job.title and "failed" not in entry), {})


def _value(job: Job, name: str) -> Figure:
    return lambda parts: find_entry(parts, job).get(name)


def _milliseconds(job: Job) -> Figure:
    seconds = _value(job, "median")
    return lambda parts: None if (found := seconds(parts)) is None else 1000 * found


def _ratio(one: Job, other: Job, name: str) -> Figure:
    """Divide the figure of one job by that of another, None where one of them is missing."""

    def divide(parts: Parts) -> float | None:
        above, below = (find_entry(parts, job).get(name) for job in (one, other))
        return None if above is None or not below else float(above / below)

    return divide


def _scan_share(task: str) -> Figure:
    def find(parts: Parts) -> float | None:
        entries = find_part(parts, "scan") or []
        wanted = (f"{FIRST_STAGE}, batch {BATCH}, {task}", "triton")
        shares = [entry["of_limit"] for entry in entries if (entry["task"], entry["name"]) == wanted]
        return 100 * shares[0] if shares and shares[0] is not None else None

    return find


def _launched(name: str) -> Figure:
    return lambda parts: (find_part(parts, "launches") or {}).get(name)


def _of_bare_step(parts: Parts) -> float | None:
    """Divide the bundle's images a second by those of the bare training step in the same precision, in percent."""
    bundle = find_part(parts, "bundle")
    if bundle is None or bundle["precision"] not in ("float32", "bfloat16"):
        return None
    bare = find_entry(parts, job_of(OWN, True, bundle["precision"] == "bfloat16")).get("images_per_second")
    return 100 * bundle["images_per_second"] / bare if bare else None


def _first_step(process: str) -> Figure:
    return lambda parts: (find_part(parts, "bundle") or {}).get(f"{process}_seconds_to_first_step")


def _whole_recipe(parts: Parts) -> float | None:
    """Return the minutes of a cross-validation by the whole recipe; one with fewer epochs does not count."""
    found = find_part(parts, "cross_validation")
    return found["seconds"] / 60 if found is not None and found["whole_recipe"] else None


def _collect_goals() -> Iterator[Goal]:
    """Yield the goals in the order of their table."""
    step, step32 = job_of(OWN, True, True), job_of(OWN, True, False)
    look, look32 = job_of(OWN, False, True), job_of(OWN, False, False)
    compiled = job_of(OWN, True, True, compiled=True)
    yield Goal("training step, bfloat16", _milliseconds(step), 30, "ms")
    yield Goal("training, bfloat16", _value(step, "images_per_second"), 2100, "images/s", True)
    yield Goal("training step, bfloat16, over ResNet-50's", _against(step, BASELINE, own_first=True), 1, "times")
    yield Goal("training step, bfloat16, Swin-T's over it", _against(step, TRANSFORMER), 2.5, "times", True)
    over = _against(compiled, BASELINE, own_first=True)
    yield Goal("training step, bfloat16, compiled, over ResNet-50's compiled", over, 1, "times")
    yield Goal("inference, bfloat16", _milliseconds(look), 7, "ms")
    yield Goal("inference, bfloat16, Swin-T's over it", _against(look, TRANSFORMER), 2, "times", True)
    yield Goal("training step, float32", _milliseconds(step32), 45, "ms")
    for precision, train, infer in (("bfloat16", step, look), ("float32", step32, look32)):
        against = f"{precision}, mamba_ssm's kernel over it"
        yield Goal(f"training step, {against}", _against(train, OTHER), 5, "times", True)
        yield Goal(f"inference, {against}", _against(infer, OTHER), 3, "times", True)
        for network, name, limit in ((OTHER, "that with mamba_ssm's kernel", 0.5), (TRANSFORMER, "Swin-T's", 1)):
            ratio = _against(train, network, "peak_bytes", own_first=True)
            yield Goal(f"peak memory of training, {precision}, over {name}", ratio, limit, "times")
    yield Goal("scan, first stage, forward, of the limit", _scan_share("forward"), 50, "%", True)
    yield Goal("scan, first stage, forward and backward, of the limit", _scan_share("forward+backward"), 30, "%", True)
    for precision in ("bfloat16", "float32"):
        yield Goal(f"kernels launched by an eager training step, {precision}", _launched(precision), 500, "")
    yield Goal("images a second of `training`, of the bare step", _of_bare_step, 90, "%", True)
    for process, limit in (("cold", 40), ("warm", 10)):
        yield Goal(f"start to first step, {PROCESSES[process]}", _first_step(process), limit, "s")
    yield Goal("five folds of the paper's recipe on PneumoniaMNIST", _whole_recipe, 10, "minutes")


def _against(job: Job, network: str, name: str = "median", own_first: bool = False) -> Figure:
    """Divide the figure of another network at the same task by that of a job, or the other way round."""
    other = job._replace(network=network)
    return _ratio(job, other, name) if own_first else _ratio(other, job, name)


GOALS = tuple(_collect_goals())

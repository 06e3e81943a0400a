"""Folders that stay outside the repository, and what is too slow to make more than once."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.helpers.small_bundle import ROOT, SmallBundle, run_command
from tests.helpers.warm_commands import launch_fold_server

_ANY_SPEED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # workers share the cores
settings.register_profile("suite", max_examples=25, derandomize=True, database=None, **_ANY_SPEED)
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")), **_ANY_SPEED)
settings.load_profile("suite")  # --hypothesis-profile fuzz chooses the other: make fuzz

SHARED_VARIABLE = "MEDMAMBA_SHARED_DIR"

if "PYTEST_XDIST_WORKER" in os.environ:  # the process that hands out the tests has no use for it
    import tests.helpers.quick_monai  # noqa: F401

gc.disable()  # until all tests are collected: what is imported meanwhile stays
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts tests with & has it ignored
os.fsync = lambda _: None  # tests kill processes and no machine: nothing needs to wait for the disk


def _shared_folder(name: str) -> Path:
    root = os.environ.get(SHARED_VARIABLE)
    if not root:
        pytest.skip(f"{SHARED_VARIABLE} is not set: the folder with reference/ and data/ is not in the repository")
    folder = Path(root) / name
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist ({SHARED_VARIABLE})")
    return folder


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Numbers computed with the official network, and the official metadata schema."""
    return _shared_folder("reference")


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The official PneumoniaMNIST file, read-only."""
    return _shared_folder("data")


FIRST = (
    Path("selective_scan", "triton", "test_compile.py"),
    Path("auto", "test_starting_weights.py"),
    Path("networks", "test_baselines.py"),
    Path("bundle", "test_new_bundle.py"),
    Path("selective_scan", "triton", "test_triton.py"),
)
"""Files in the order in which they are handed out, before all others. The second makes what workers share and compiles
Numba's kernels; the others take as long and need none of it: one worker runs them meanwhile."""

WHERE_ASKED_FOR = {
    "apart": "compiles for other machines, measures speed, or runs a notebook: make test-apart, or -m apart",
    "long": "runs for seconds what faster tests hold in parts: make test-long, or -m long",
}
"""Marks of tests that run where a command names the mark alone, and what is said elsewhere."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that no worker is left with one of them when the others have ended.

    What has one of the marks of `WHERE_ASKED_FOR` is skipped where nobody asks for it.
    """
    for mark, reason in WHERE_ASKED_FOR.items():
        for item in items:
            if mark not in config.option.markexpr and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (_find_turn(item.path), item.path not in slow))


def _find_turn(path: Path) -> int:
    return next((turn for turn, first in enumerate(FIRST) if path.match(str(first))), len(FIRST))


def pytest_collection_finish() -> None:
    """Spare what is imported by now every later search for garbage."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@contextlib.contextmanager
def shared_by_workers(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all workers of pytest-xdist share, and whether it must be made, which one of them does."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        made = (folder / "made").exists()
        folder.mkdir(exist_ok=True)
        yield folder, not made
        (folder / "made").touch()


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A copied bundle with generated images in two folds, and an empty MLflow store."""
    from medmamba_monai.data import prepare_dataset, write_phantom
    from medmamba_monai.tracking.mlflow_store import connect

    with shared_by_workers(tmp_path_factory, "small_bundle") as (folder, to_make):
        found = SmallBundle(folder / "bundle", folder / "data", folder / "folds.json", folder / "empty.db")
        if to_make:
            unwanted = shutil.ignore_patterns("output", "models", "eval")
            shutil.copytree(ROOT / "bundles" / "phantom", found.root, ignore=unwanted)
            write_phantom(found.dataset_dir, num_train=40, num_test=20, image_size=32)
            card = found.root / "configs" / "card.json"
            prepare_dataset(card, found.dataset_dir, found.data_list, num_folds=2, allow_count_mismatch=True)
            connect(f"sqlite:///{found.store}")
    return found


@pytest.fixture(scope="session")
def real_folds(real_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folds of the official PneumoniaMNIST file, and what was printed while they were made."""
    from medmamba_monai.data import prepare_dataset

    with shared_by_workers(tmp_path_factory, "real_folds") as (folder, to_make):
        if to_make:
            with (folder / "printed.txt").open("w") as printed, contextlib.redirect_stdout(printed):
                card = ROOT / "data_lists" / "pneumoniamnist" / "card.json"
                prepare_dataset(card, real_data_dir, folder / "folds.json")
    return folder


def _build_wheel(folder: Path) -> None:
    source = folder / "source"  # building in the checkout would leave files there
    for name in ("medmamba_monai", "data_lists"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder), str(source)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "installed")


@pytest.fixture(scope="session")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as a wheel of it installs it, for ``PYTHONPATH``."""
    with shared_by_workers(tmp_path_factory, "wheel") as (folder, to_make):
        if to_make:
            _build_wheel(folder)
    return folder / "installed"


@pytest.fixture(scope="session")
def cross_validated(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a finished cross-validation: ``output``, ``mlruns.db`` and what it printed in ``output.txt``.

    All tests read it at the same time; what changes one works on a copy.
    """
    with shared_by_workers(tmp_path_factory, "cross_validated") as (folder, to_make):
        if to_make:
            command = small_bundle.command("cross_validation", ["cross_validation"], folder)
            code, printed = run_command(command, folder)
            assert code == 0, printed
            shutil.copy(folder / "output" / "tracking.jsonl", folder / "journal_when_made.jsonl")
    yield folder
    journals = [folder / "output" / "tracking.jsonl", folder / "journal_when_made.jsonl"]
    assert len({path.read_bytes() for path in journals}) == 1, "a test changed what all tests share"


@pytest.fixture(scope="session")
def packed(cross_validated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a package of both folds of the cross-validation; what changes it works on a copy."""
    from medmamba_monai.package import write_package

    with shared_by_workers(tmp_path_factory, "packed") as (folder, to_make):
        if to_make:
            write_package(cross_validated / "output", folder / "package")
    return folder / "package"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, as the commands of the tests do."""
    from tests.helpers.threads import compute_with_one_thread

    with compute_with_one_thread():
        yield


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Iterator[None]:
    """Undo what ``monai.bundle.run`` changes in its process: the root logger and the hook for uncaught errors.

    It computes with one thread meanwhile. Folds that it starts find the large packages imported.
    """
    from medmamba_monai.cross_validation.fold_server import FoldServer

    monkeypatch.setattr(FoldServer, "_launch", launch_fold_server)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook

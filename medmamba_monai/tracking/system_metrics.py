"""CPU, memory, disk, network and GPU use of a run, collected with MLflow's own monitors into the journal."""

from __future__ import annotations

import logging
import threading
from typing import Any

import psutil
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.journal import Journal

logger = logging.getLogger("medmamba_monai.tracking")


class SystemMetrics:
    """Log ``system/...`` metrics from a background thread.

    MLflow's own thread asks the tracking server every few seconds and gives up for good when it is away; this one
    writes to the journal.

    Args:
        journal: where the values go.
        interval: seconds between two samples.
    """

    def __init__(self, journal: Journal, interval: float = 10.0) -> None:
        self.journal = journal
        self.interval = interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin sampling."""
        if self._thread is None:
            self._stop.clear()
            first_step = self.journal.find_last_step("system/") + 1
            self._thread = threading.Thread(target=self._run, args=(first_step,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End sampling and wait for the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, step: int) -> None:
        monitors = self._make_monitors()
        while not self._stop.wait(self.interval):
            try:
                self.journal.log_metrics(self._sample(monitors), step)
            except (UserError, OSError, psutil.Error) as error:  # a full disk, or a process that may not be asked
                logger.warning(f"no more system metrics: {error}")
                return
            step += 1

    def _sample(self, monitors: list[Any]) -> dict[str, float]:
        values: dict[str, float] = {}
        for monitor in monitors:
            monitor.collect_metrics()
            values.update({f"system/{key}": value for key, value in monitor.aggregate_metrics().items()})
            monitor.clear_metrics()
        return values

    def _make_monitors(self) -> list[Any]:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        if torch.cuda.is_available():
            from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

            try:
                monitors.append(GPUMonitor())
            except ImportError:
                logger.warning("no GPU metrics: install nvidia-ml-py to log them")
        return monitors

from __future__ import annotations

import threading
import time

from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_file import read_lines
from medmamba_monai.tracking.system_metrics import SystemMetrics


def sample(journal: Journal, count: int) -> None:
    metrics = SystemMetrics(journal, interval=0.01)
    metrics.start()
    first = len(read_lines(journal.path))
    deadline = time.monotonic() + 60
    while len(read_lines(journal.path)) < first + count and time.monotonic() < deadline:
        time.sleep(0.01)
    metrics.stop()


def test_use_of_processor_memory_and_disk_is_journaled(tmp_path):
    journal = Journal(tmp_path)
    sample(journal, 2)
    lines = read_lines(journal.path)
    values = lines[0]["values"]
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= values.keys()
    assert 0 < values["system/system_memory_usage_percentage"] <= 100
    assert [line["step"] for line in lines] == list(range(len(lines)))


def test_a_run_that_goes_on_counts_its_steps_on(tmp_path):
    sample(Journal(tmp_path), 1)
    seen = len(read_lines(tmp_path / "tracking.jsonl"))
    sample(Journal(tmp_path), 1)
    assert read_lines(tmp_path / "tracking.jsonl")[seen]["step"] == seen


def test_stopping_ends_the_thread(tmp_path):
    before = threading.active_count()
    metrics = SystemMetrics(Journal(tmp_path), interval=60)
    metrics.start()
    metrics.start()
    assert threading.active_count() == before + 1
    metrics.stop()
    assert threading.active_count() == before

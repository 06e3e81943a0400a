"""A machine as benchmarks describe it."""

from __future__ import annotations

MACHINE = {
    "date": "2026-01-02T03:04:05+00:00",
    "cpu": "a CPU",
    "threads": 2,
    "revision": "0123456789abcdef",
    "packages": {"torch": "2.13.0"},
}

"""Tests that take a minute of both cores or more, which run where they are asked for."""

from __future__ import annotations

import os

import pytest

VARIABLE = "MEDMAMBA_TEST_MINUTES"

takes_minutes = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set: this takes a minute or more of two cores"
)

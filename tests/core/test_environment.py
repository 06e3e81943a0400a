from __future__ import annotations

import os

import pytest

from medmamba_monai.core.environment import set_environment


def test_variables_hold_meanwhile_and_are_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDMAMBA_OLD", "old")
    monkeypatch.delenv("MEDMAMBA_NEW", raising=False)
    with set_environment({"MEDMAMBA_OLD": "changed", "MEDMAMBA_NEW": "new"}):
        assert (os.environ["MEDMAMBA_OLD"], os.environ["MEDMAMBA_NEW"]) == ("changed", "new")
    assert os.environ["MEDMAMBA_OLD"] == "old"
    assert "MEDMAMBA_NEW" not in os.environ

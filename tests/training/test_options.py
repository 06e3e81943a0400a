from __future__ import annotations

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.training import check_options


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("epochs", True), ("patience", -1), ("learning_rate", -1e-3), ("learning_rate", float("nan"))],
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(UserError, match=f"--{name} {value!r}: give a"):
        check_options({name: value})


def test_numbers_in_range_and_what_is_no_number_pass():
    check_options({"epochs": 1, "patience": 0, "learning_rate": 0.001, "cache": 1, "run_name": "first"})

from __future__ import annotations

import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from medmamba_monai.core.errors import (
    UserError,
    ends_with_user_errors,
    explain_user_errors,
    find_user_error,
    format_error,
    get_first_line,
)
from tests.helpers.small_bundle import run_command

SCRIPT = """
from medmamba_monai.core.errors import UserError, explain_user_errors
explain_user_errors()
try:
    raise UserError('folds.json: run prepare first')
except Exception as error:
    raise RuntimeError("wrapped") from error
"""


def test_a_user_error_is_printed_alone_also_when_wrapped(tmp_path):
    code, printed = run_command([sys.executable, "-c", SCRIPT], tmp_path)
    assert printed == "error: folds.json: run prepare first\n"
    assert code == 1


def test_a_bug_keeps_its_traceback(own_process, capsys):
    explain_user_errors()
    with pytest.raises(KeyError) as caught:
        raise KeyError("bug")
    sys.excepthook(caught.type, caught.value, caught.tb)
    assert "Traceback" in capsys.readouterr().err


def test_an_unrelated_error_is_no_user_error():
    assert find_user_error(RuntimeError("x")) is None


class Fails(Dataset):
    """A data set of one image that cannot be read, or that MONAI says cannot be transformed."""

    def __init__(self, wrapped: bool) -> None:
        self.wrapped = wrapped

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        try:
            raise UserError("a.png: is truncated;\ndownload it again")
        except UserError as error:
            if not self.wrapped:
                raise
            raise RuntimeError("applying transform") from error


def raised_by(loader: DataLoader) -> BaseException:
    batches = iter(loader)
    with pytest.raises((UserError, RuntimeError, TypeError)) as caught:
        next(batches)
    assert list(batches) == []  # ends the workers at once, not when the loader is collected
    return caught.value


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_message_of_a_worker_arrives_without_its_traceback(num_workers, wrapped):
    error = raised_by(DataLoader(Fails(wrapped), num_workers=num_workers))
    assert format_error(find_user_error(error)) == "error: a.png: is truncated;\ndownload it again"


def test_a_bug_in_a_worker_is_no_user_error():
    assert find_user_error(raised_by(DataLoader([None], num_workers=1))) is None


def test_an_exception_without_a_message_is_named_by_its_kind():
    assert get_first_line(EOFError()) == "EOFError"
    assert get_first_line(ValueError("one\ntwo")) == "one"


def test_a_command_prints_what_the_user_can_fix_and_returns_2(capsys):
    @ends_with_user_errors
    def main(code: int) -> int:
        if code < 0:
            raise UserError("code: is negative; give another")
        return code

    assert (main(1), main(-1)) == (1, 2)
    assert capsys.readouterr().err == "error: code: is negative; give another\n"


def test_a_command_finds_what_the_user_can_fix_also_when_wrapped(capsys):
    @ends_with_user_errors
    def main() -> int:
        try:
            raise UserError("fold: is 7; give 0 to 4")
        except UserError as error:
            raise RuntimeError("Failed to evaluate expression") from error

    assert main() == 2
    assert capsys.readouterr().err == "error: fold: is 7; give 0 to 4\n"


def test_a_command_raises_its_bugs():
    @ends_with_user_errors
    def main() -> int:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        main()


def test_a_file_where_a_command_makes_a_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()

    @ends_with_user_errors
    def main() -> int:
        (tmp_path / "file" / "new").mkdir(parents=True, exist_ok=True)
        return 0

    assert main() == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/file/new: Not a directory; choose another folder\n"

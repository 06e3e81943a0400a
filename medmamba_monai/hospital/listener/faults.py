"""What went wrong, in words that quote nothing of a patient."""

from __future__ import annotations

import errno

_OF_MACHINE = frozenset(
    (*(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS), *(errno.ENOMEM, errno.EMFILE, errno.ENFILE))
)


def find_machine_fault(error: BaseException | None) -> OSError | None:
    """Return the fault of the machine, such as a full disk, that an error is or was raised from.

    It may be gone later; nothing is wrong with the study.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_MACHINE:
            return error
        error = error.__cause__
    return None


def describe_failure(error: BaseException) -> str:
    """Return the kind of an unforeseen error and where it arose; its message could quote a patient's name.

    Of a fault of the machine, what the system says.
    """
    if (fault := find_machine_fault(error)) is not None:
        return fault.strerror or type(fault).__name__
    trace, place = error.__traceback__, "at an unknown place"
    while trace is not None:
        place = f"in {trace.tb_frame.f_globals.get('__name__', '')}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"unforeseen {type(error).__name__} {place}"

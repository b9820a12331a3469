"""Shortage: file descriptors or memory ran out, whichever library says so."""

import errno

import apsw

ERRORS: tuple[type[Exception], ...] = (OSError, MemoryError, apsw.CantOpenError, apsw.NoMemError)
"""Types of errors by which a shortage may be reported."""
NUMBERS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
REMEDY = "file descriptors or memory ran out; raise the limits of the process (LimitNOFILE, MemoryMax)"


def is_shortage(error: BaseException) -> bool:
    """Return True if an error, or each one of a group, says that descriptors or memory ran out."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_shortage, error.exceptions))
    if isinstance(error, OSError):
        return error.errno in NUMBERS
    return isinstance(error, ERRORS)

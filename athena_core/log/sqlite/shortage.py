"""Shortage: file descriptors or memory ran out, whichever library says so."""

import errno

import apsw

ERRORS: tuple[type[Exception], ...] = (
    OSError,
    MemoryError,
    apsw.CantOpenError,
    apsw.IOError,
    apsw.NoMemError,
)
"""Types of errors by which a shortage may be reported."""
RESOURCES = frozenset(
    (
        apsw.SQLITE_IOERR_NOMEM,
        apsw.SQLITE_IOERR_MMAP,
        apsw.SQLITE_IOERR_LOCK,
        apsw.SQLITE_IOERR_RDLOCK,
        apsw.SQLITE_IOERR_SHMLOCK,
        apsw.SQLITE_IOERR_SHMMAP,
        apsw.SQLITE_IOERR_SHMOPEN,
        apsw.SQLITE_IOERR_SHMSIZE,
    )
)
"""Kinds of ``apsw.IOError`` where the machine gave no memory, mapping or lock; the file itself is as it was."""
NUMBERS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
REMEDY = "file descriptors or memory ran out; raise the limits of the process (LimitNOFILE, MemoryMax)"


def is_shortage(error: BaseException) -> bool:
    """Return True if an error, or each one of a group, says that descriptors or memory ran out."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_shortage, error.exceptions))
    if isinstance(error, OSError):
        return error.errno in NUMBERS
    if isinstance(error, apsw.IOError):
        return getattr(error, "extendedresult", None) in RESOURCES
    return isinstance(error, ERRORS)

"""Detection of errors caused by a shortage of file descriptors or memory."""

import errno

import apsw

ERRORS: tuple[type[Exception], ...] = (
    OSError,
    MemoryError,
    apsw.CantOpenError,
    apsw.IOError,
    apsw.NoMemError,
)
"""Exception types that may report a shortage."""
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
"""Extended codes of ``apsw.IOError`` for a lack of memory, mappings or locks. The file itself is intact."""
NUMBERS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
REMEDY = "file descriptors or memory ran out; raise the limits of the process (LimitNOFILE, MemoryMax)"


def is_shortage(error: BaseException) -> bool:
    """Return True if an error, or every error of a group, reports a shortage."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_shortage, error.exceptions))
    if isinstance(error, OSError):
        return error.errno in NUMBERS
    if isinstance(error, apsw.IOError):
        return getattr(error, "extendedresult", None) in RESOURCES
    return isinstance(error, ERRORS)

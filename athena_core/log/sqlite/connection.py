"""The connections to a database of SQLite: their settings, what they distrust, and the errors they raise."""

from pathlib import Path

import apsw

from athena_core.errors import ConfigError
from athena_core.log.port import ROW_BYTES_MAX, ErrorKinds
from athena_core.system import private_file

SQLITE_VERSION_MIN = (3, 51, 3)  # before it a WAL reset could corrupt the file
BUSY_MS = 5_000

DISTRUST = (
    (apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1),
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
)
"""Settings of every connection. A file may come from elsewhere: no SQL that it holds runs, and no view stands for a
table. With QPSG SQLite keeps the plans of statements. Else it plans one anew whenever its values might make another
plan better, which costs a join or the rows of a stream 10 µs each time; there are no statistics that values could
speak to."""

ERROR_KINDS: ErrorKinds = (
    ((apsw.ConstraintError,), "IntegrityError"),
    ((apsw.BusyError, apsw.FullError, apsw.IOError), "OperationalError"),
    ((apsw.ConnectionClosedError, apsw.ThreadingViolationError), "InterfaceError"),
    ((apsw.Error,), "DatabaseError"),
    ((UnicodeError, OverflowError), "DataError"),
)
DISK_ERRORS = (apsw.FullError, apsw.IOError)
DAMAGE_ERRORS = (apsw.CorruptError, apsw.NotADBError)
DatabaseError = apsw.Error
"""Whatever SQLite says about a file."""


def open_writer(path: Path, synchronous: str) -> apsw.Connection:
    """A connection for writing: WAL, explicit checkpoints, erasure on; every setting is read back."""
    if not path.exists():  # to close any descriptor of a file that is open here would drop SQLite's locks on it
        private_file.create(path)  # SQLite gives the WAL and the rest the mode that it finds
    connection = _opened(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    if connection.readonly("main"):
        connection.close()
        raise ConfigError(f"ATHENA_STATE_DIR: {path.name} is not writable")
    wanted: dict[str, tuple[int | str, int | str]] = {
        "journal_mode": ("WAL", "wal"),
        "synchronous": (synchronous, {"FULL": 2, "NORMAL": 1}[synchronous]),
        "wal_autocheckpoint": (0, 0),
        "secure_delete": ("ON", 1),
        "cache_size": (-16_384, -16_384),
    }
    for name, (value, expected) in wanted.items():
        connection.pragma(name, value)
        found = connection.pragma(name)
        if found != expected:
            connection.close()
            raise ConfigError(f"ATHENA_STATE_DIR: {path.name}: {name} is {found}, not {value}")
    connection.transaction_mode = "IMMEDIATE"
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """A connection that can only read."""
    connection = _opened(path, apsw.SQLITE_OPEN_READONLY)
    connection.pragma("query_only", True)
    return connection


def _opened(path: Path, flags: int) -> apsw.Connection:
    """A connection that distrusts what it opens."""
    connection = apsw.Connection(str(path), flags=flags)
    distrust(connection)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def distrust(connection: apsw.Connection) -> None:
    """Run no SQL of the file, and refuse rows that are larger than any of ours."""
    for option, value in DISTRUST:
        connection.config(option, value)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX)
    connection.pragma("cell_size_check", True)


def check_library() -> str:
    """The version of SQLite. Raises ConfigError for one that may lose a log."""
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")) < SQLITE_VERSION_MIN:
        raise ConfigError(f"SQLite {found} can corrupt a WAL; 3.51.3 or newer is needed: update apsw")
    return found

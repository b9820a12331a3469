"""The check of a log file's pages: every table and index, named where it is damaged."""

import re
import time
from collections.abc import Iterator

import apsw

from athena_core.log.port import Inspection, StoreFault

TREES = "SELECT rootpage, tbl_name, iif(type = 'index', name, NULL) FROM sqlite_schema WHERE rootpage > 0"
TREE = re.compile(r"^Tree (\d+) ")
INDEX = re.compile(r" index (\w+)$")
PROGRESS_STEPS = 1_000
"""The number of SQLite instructions (some microseconds) between two checks of the time."""


def inspect(connection: apsw.Connection, seconds: float | None = None) -> Inspection:
    """Check the pages of all tables, and each index against its table. Stop after ``seconds``.

    This evaluates the expressions of indexes, so the schema must be trusted.
    """
    faults: dict[tuple[str, str | None], StoreFault] = {}
    until = None if seconds is None else time.monotonic() + seconds
    connection.set_progress_handler(lambda: until is not None and time.monotonic() > until, PROGRESS_STEPS)
    try:
        trees = {int(root): (str(table), index) for root, table, index in connection.execute(TREES)}
        for table in sorted({table for table, _ in trees.values()} | {"sqlite_schema"}, key="log".__eq__):  # log last
            for line in _lines(connection, table):
                tree, index = TREE.match(line), INDEX.search(line)
                place = (table, index[1] if index else None) if tree is None else trees.get(int(tree[1]), (table, None))
                faults.setdefault(place, StoreFault(*place, line))
    except apsw.InterruptError:
        return Inspection(_sorted(faults), f"the check of pages did not end in {seconds:g} s")
    except apsw.Error as error:
        faults["sqlite_schema", None] = StoreFault("sqlite_schema", None, str(error))
    finally:
        connection.set_progress_handler(None)
    return Inspection(_sorted(faults))


def _lines(connection: apsw.Connection, table: str) -> Iterator[str]:
    """Yield the lines of an integrity check of a table and its indexes. The check may end with an error."""
    lines = 0
    try:
        for (text,) in connection.execute(f"PRAGMA integrity_check('{table}')"):
            for line in str(text).splitlines():
                if line != "ok" and not line.startswith("***"):
                    lines += 1
                    yield line
    except (apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
        if not lines:
            yield str(error)


def _sorted(faults: dict[tuple[str, str | None], StoreFault]) -> tuple[StoreFault, ...]:
    """Return the faults without damaged indexes of damaged tables: they only follow from the table."""
    return tuple(fault for place, fault in faults.items() if place[1] is None or (place[0], None) not in faults)

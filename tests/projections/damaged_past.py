"""A long history, and damage to the earlier versions of rows that views keep of it."""

import random

from athena_core.protocols import Connection
from projections.engine.projection import BLOCK_EVENTS, PAST, SINCE, UNTIL, Table
from projections.engine.replay import TableDifference
from tests.projections.history import MOVES, History


def long_history() -> History:
    """Return a history of every kind of record, longer than two blocks."""
    history, choice = History(), random.Random(1)
    while history.head() <= 2 * BLOCK_EVENTS:
        history.play([(choice.randrange(MOVES), choice.randrange(100)) for _ in range(50)])
    return history


def damage_the_past(connection: Connection, table: Table) -> TableDifference | None:  # type: ignore[type-arg]
    """Remove the first earlier version of a table, edit the second, and add one. Return the difference."""
    name, key = table.name + PAST, (*table.key, UNTIL)
    order, where = ", ".join(key), " AND ".join(f"{column} = ?" for column in key)
    versions = list(connection.execute(f"SELECT {order} FROM {name} ORDER BY {order}"))
    if len(versions) < 2:
        return None
    others = ", ".join(column for column in (*table.columns, SINCE))
    connection.execute(f"DELETE FROM {name} WHERE {where}", versions[0])
    connection.execute(f"UPDATE {name} SET {SINCE} = {SINCE} - 1 WHERE {where}", versions[1])
    connection.execute(
        f"INSERT INTO {name} ({others}, {UNTIL}) SELECT {others}, {UNTIL} + 9 FROM {name} WHERE {where}", versions[1]
    )
    return TableDifference(table=name, first=tuple(map(str, versions[0])), missing=1, edited=1, extra=1)

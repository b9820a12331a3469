"""The check of a database's pages by PostgreSQL's extension ``amcheck``, and the repair of indexes."""

from contextlib import closing

from psycopg import errors as pg
from psycopg import sql

from athena_core.log.port import Inspection, StoreFault
from athena_core.log.postgres.session import SCHEMA, PostgresSession, connect, error_text

SELECT_AMCHECK = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'amcheck'"
SELECT_INDEXES = (
    "SELECT owner.relname, part.relname FROM pg_class AS owner LEFT JOIN pg_index ON indrelid = owner.oid"
    " LEFT JOIN pg_class AS part ON part.oid = indexrelid"
    " WHERE owner.relkind = 'r' AND owner.relnamespace = %s::regnamespace ORDER BY 1, 2"
)
SET_TIMEOUT = "SELECT set_config('statement_timeout', %s, false)"
NO_AMCHECK = "the database has no extension amcheck; 'CREATE EXTENSION amcheck' as a superuser adds it"


def inspect(session: PostgresSession, seconds: float | None = None) -> Inspection:
    """Check the pages of all tables, and each index against its table. Stop a check after ``seconds``."""
    found = session.read(SELECT_AMCHECK)
    if not found:
        return Inspection(unchecked=NO_AMCHECK)
    ((before,),) = session.read("SELECT current_setting('statement_timeout')")
    checks = {
        False: f"SELECT msg FROM {found[0][0]}.verify_heapam(%s::regclass, check_toast => true) LIMIT 1",
        True: f"SELECT NULL FROM {found[0][0]}.bt_index_check(%s::regclass, true)",
    }
    rows = [(str(table), index) for table, index in session.read(SELECT_INDEXES, (SCHEMA,))]
    places = [*dict.fromkeys((table, None) for table, _ in rows), *(row for row in rows if row[1] is not None)]
    faults: list[StoreFault] = []
    session.read(SET_TIMEOUT, (f"{int((seconds or 0) * 1_000)}ms",))
    try:
        for table, index in places:
            try:
                flaws = session.read(checks[index is not None], (f"{SCHEMA}.{index or table}",))
            except (pg.IndexCorrupted, pg.DataCorrupted) as error:
                flaws = [(error_text(error),)]
            faults += [StoreFault(table, index, str(reason)) for (reason,) in flaws if reason is not None]
    except (pg.InsufficientPrivilege, pg.QueryCanceled, pg.UndefinedFunction) as error:
        return Inspection(tuple(faults), f"amcheck: {error_text(error)}")
    finally:
        session.read(SET_TIMEOUT, (before,))
    return Inspection(tuple(faults))


def reindex(url: str, faults: tuple[StoreFault, ...]) -> None:
    """Rebuild damaged indexes from their tables. Writes wait meanwhile. Raise psycopg.Error."""
    with closing(connect(url, {})) as connection:
        for fault in faults:
            connection.execute(sql.SQL("REINDEX INDEX {}").format(sql.Identifier(SCHEMA, str(fault.index_name))))

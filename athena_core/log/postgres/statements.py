"""The statements of the log for PostgreSQL."""

from athena_core.log.sql import statements
from athena_core.log.sql.statements import Statements

PAGE = statements.PAGE.replace("?", "%s")

SQL = Statements(
    holding="""
        SELECT position, public FROM (
            SELECT log.position, text, words,
                position(words IN data) > 0 OR position(words IN coalesce(extra, '')) > 0 AS public
            FROM log, (SELECT ?::bytea AS words) AS wanted WHERE log.position > ? AND log.position <= ?) AS found
        WHERE public OR position(words IN text) > 0
    """,
    has_token_uses="SELECT coalesce(has_table_privilege(to_regclass('token_use'), 'SELECT'), FALSE)",
).written("%s", names="= ANY(?::text[])", positions="= ANY(?::bigint[])", given="?::text[]", stream="stream")

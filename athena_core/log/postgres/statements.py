"""The statements of the log for PostgreSQL."""

from athena_core.log.sql import statements
from athena_core.log.sql.statements import COLUMNS, Statements, formatted

LISTED = "= ANY(?::text[])"
PAGE = statements.PAGE.replace("?", "%s")

SQL = formatted(
    Statements(
        guards_of="SELECT kind, key, value FROM guard WHERE kind = ANY(?) ORDER BY position, kind, key",
        of_types=f"SELECT {COLUMNS} {statements.PAGE}".replace("ORDER BY", "AND type = ANY(?::text[]) ORDER BY"),
        touched=statements.TOUCHED.format(listed=LISTED, given="?::text[]", stream="stream"),
        turns=statements.TURNS.format(listed=LISTED),
        envelopes=statements.ENVELOPES.format(listed="= ANY(?::bigint[])"),
        holding="""
            SELECT position, public FROM (
                SELECT log.position, text, words,
                    position(words IN data) > 0 OR position(words IN coalesce(extra, '')) > 0 AS public
                FROM log, (SELECT ?::bytea AS words) AS wanted WHERE log.position > ? AND log.position <= ?) AS found
            WHERE public OR position(words IN text) > 0
        """,
        has_token_uses="SELECT coalesce(has_table_privilege(to_regclass('token_use'), 'SELECT'), FALSE)",
        token_uses="SELECT token_id, used_at FROM token_use WHERE token_id = ANY(?::text[])",
    )
)

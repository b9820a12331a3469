"""The statements of the log for SQLite."""

from athena_core.log.sql.statements import COLUMNS, ENVELOPES, PAGE, TOUCHED, TURNS, Statements

LISTED = "IN (SELECT value FROM json_each(?))"

SQL = Statements(
    guards_of=f"SELECT kind, key, guard.value FROM guard WHERE kind {LISTED} ORDER BY position, kind, key",
    of_types=f"SELECT {COLUMNS} {PAGE}".replace("ORDER BY", f"AND type {LISTED} ORDER BY"),
    touched=TOUCHED.format(listed=LISTED, given="?", stream="+stream"),  # not by the index of all streams
    turns=TURNS.format(listed=LISTED),
    envelopes=ENVELOPES.format(listed=LISTED),
    holding="""
        SELECT position, public FROM (
            SELECT position, instr(data, ?1) > 0 OR instr(coalesce(extra, x''), ?1) > 0 AS public, text FROM log
            WHERE position > ?2 AND position <= ?3)
        WHERE public OR instr(text, ?1) > 0
    """,
    has_token_uses="SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'token_use')",
    token_uses=f"SELECT token_id, used_at FROM token_use WHERE token_id {LISTED}",
)

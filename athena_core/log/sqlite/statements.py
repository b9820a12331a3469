"""The statements of the log for SQLite."""

from athena_core.log.sql.statements import Statements

LISTED = "IN (SELECT value FROM json_each(?))"

SQL = Statements(
    holding="""
        SELECT position, public FROM (
            SELECT position, instr(data, ?1) > 0 OR instr(coalesce(extra, x''), ?1) > 0 AS public, text FROM log
            WHERE position > ?2 AND position <= ?3)
        WHERE public OR instr(text, ?1) > 0
    """,
    has_token_uses="SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'token_use')",
).written("?", names=LISTED, positions=LISTED, given="?", stream="+stream")  # not by the index of all streams

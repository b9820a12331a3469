"""Statements of the log for both databases; lists and the placeholder ``?`` are translated at import."""

from typing import NamedTuple

from athena_core.decider import UNKEYED_BYTES
from athena_core.protocols import PublicRow, Row

COLUMNS = ", ".join(Row._fields)
SHOWN = ", ".join(PublicRow._fields)
PAGE = "FROM log WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
STREAM = f"SELECT {COLUMNS} FROM log WHERE stream = ? AND version > ? AND version <= ? ORDER BY version"
STORED = (
    "SELECT originator_id, originator_version, topic, state FROM stored WHERE purpose = ? AND originator_id = ?"
    " AND originator_version > ? AND originator_version <= ? ORDER BY originator_version"
)
TOUCHED = (
    "SELECT stream, min(version), max(version), min(position), max(position), count(*),"
    " max(CASE WHEN version = 1 THEN type END),"
    " max(CASE WHEN type {names} THEN position END), max(CASE WHEN type {names} THEN position END)"
)
SCOPED = "({given} IS NULL OR session_id {names}) AND ({given} IS NULL OR run_id {names})"
"""The condition of a scope: sessions twice, runs twice."""
KEY_COLUMNS = "key_hash, fingerprint, recorded_at, first_position, count, subject, answer"


class Statements(NamedTuple):
    """The statements of one database. Statements without a default differ between databases."""

    holding: str
    """The positions of rows that contain some bytes, and whether the public payload does: bytes, after, until."""
    has_token_uses: str
    """True if the table of token uses exists and may be read."""

    guards_of: str = "SELECT kind, key, guard.value FROM guard WHERE kind {names} ORDER BY position, kind, key"
    """The guard rows of a list of kinds, oldest first."""
    of_types: str = f"SELECT {COLUMNS} {PAGE}".replace("ORDER BY", "AND type {names} ORDER BY")
    """The rows of a list of types: after, until, types, limit."""
    touched: str = f"{TOUCHED} FROM log WHERE position > ? AND position <= ? AND {SCOPED} GROUP BY {{stream}}"
    """The streams with rows between two positions: begins, ends, after, until, scope."""
    latest: str = (
        "SELECT stream, version, position, type FROM log WHERE position > ? AND position <= ?"
        f" AND {SCOPED} AND coalesce((SELECT later.position FROM log AS later WHERE later.stream = log.stream"
        " AND later.version > log.version AND later.version <= log.version + (? - log.position)"
        f" AND {SCOPED.replace('OR ', 'OR later.')} ORDER BY later.version LIMIT 1) > ?, TRUE)"
        " ORDER BY position DESC LIMIT ?"
    )
    """The last rows of streams until an end, newest first: after, until, scope, end, scope, end, limit."""
    firsts: str = (
        "WITH RECURSIVE search (stream, position, low, high) AS ("
        "SELECT stream, position, version - version, version FROM log WHERE position {positions} UNION ALL"
        " SELECT search.stream, search.position, CASE WHEN middle.position > ? THEN low ELSE middle.version END,"
        " CASE WHEN middle.position > ? THEN middle.version ELSE high END FROM search CROSS JOIN log AS middle"
        " WHERE high - low > 1 AND middle.stream = search.stream AND middle.version = (low + high) / 2)"
        " SELECT search.position, first.stream, first.version, first.position, first.type"
        " FROM search CROSS JOIN log AS first"
        " WHERE high - low = 1 AND first.stream = search.stream AND first.version = high"
    )
    """The first row after a position in the stream of each of some rows, by halving: rows, that position twice."""
    part_touched: str = (
        f"{TOUCHED} FROM log WHERE stream = ? AND version >= ? AND version <= ? AND {SCOPED} GROUP BY stream"
    )
    """The same of a part of one stream: begins, ends, stream, first and last version, scope."""
    turns: str = (
        "SELECT position, type FROM log WHERE stream = ? AND version > ? AND version <= ? AND type {names}"
        " ORDER BY version DESC LIMIT ?"
    )
    """The last rows of a list of types in a stream: stream, after, until, types, limit."""
    envelopes: str = "SELECT position, type, recorded_at, correlation, actor, chain FROM log WHERE position {positions}"
    """The envelopes of a list of positions."""
    token_uses: str = "SELECT token_id, used_at FROM token_use WHERE token_id {names}"
    """The last uses of a list of tokens."""
    meta: str = "SELECT value FROM meta WHERE name = ?"
    insert_meta: str = "INSERT INTO meta (name, value) VALUES (?, ?)"
    put_meta: str = (
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    raise_format: str = "UPDATE meta SET value = ? WHERE name = 'format'"
    head: str = "SELECT position, recorded_at, chain FROM log ORDER BY position DESC LIMIT 1"
    position: str = "SELECT max(position) FROM log"
    row: str = f"SELECT {COLUMNS} FROM log WHERE position = ?"
    page: str = f"SELECT {COLUMNS} {PAGE}"
    stream: str = STREAM
    part: str = f"{STREAM} LIMIT ?"
    part_backwards: str = f"{STREAM} DESC LIMIT ?"
    last_version: str = "SELECT max(version) FROM log WHERE stream = ?"
    newest_key: str = "SELECT max(recorded_at) FROM command"
    guards: str = "SELECT kind, key, value FROM guard ORDER BY position, kind, key"
    checkpoint: str = "SELECT position FROM checkpoint WHERE name = ?"
    put_checkpoint: str = (
        "INSERT INTO checkpoint (name, position) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET position = excluded.position"
        " WHERE checkpoint.position < excluded.position RETURNING position"
    )
    put_token_use: str = (
        "INSERT INTO token_use (token_id, used_at) VALUES (?, ?)"
        " ON CONFLICT (token_id) DO UPDATE SET used_at = excluded.used_at WHERE token_use.used_at < excluded.used_at"
    )
    expire_token_uses: str = "DELETE FROM token_use WHERE used_at < ?"
    erase_text: str = "UPDATE log SET text = NULL WHERE position = ?"
    any_unkeyed: str = f"SELECT EXISTS (SELECT 1 FROM command WHERE length(fingerprint) = {UNKEYED_BYTES})"
    insert_stored: str = (
        "INSERT INTO stored (purpose, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?)"
    )
    stored: str = f"{STORED} LIMIT ?"
    stored_backwards: str = f"{STORED} DESC LIMIT ?"

    def written(self, mark: str, **lists: str) -> "Statements":
        """Return the statements with the placeholder and the lists of one database."""
        return Statements(*(text.format_map(lists).replace("?", mark) for text in self))

"""Statements of the log for both databases; the placeholder ``?`` is translated at import."""

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
    " max(CASE WHEN type {listed} THEN position END), max(CASE WHEN type {listed} THEN position END)"
    " FROM log WHERE position > ? AND position <= ?"
    " AND ({given} IS NULL OR session_id {listed}) AND ({given} IS NULL OR run_id {listed}) GROUP BY {stream}"
)
TURNS = (
    "SELECT position, type FROM log WHERE stream = ? AND version > ? AND version <= ? AND type {listed}"
    " ORDER BY version DESC LIMIT ?"
)
ENVELOPES = "SELECT position, type, recorded_at, correlation, actor, chain FROM log WHERE position {listed}"
KEY_COLUMNS = "key_hash, fingerprint, recorded_at, first_position, count, subject, answer"


class Statements(NamedTuple):
    """The statements of one database. Statements without a default differ between databases."""

    guards_of: str
    """The guard rows of a list of kinds, oldest first."""
    of_types: str
    """The rows of a list of types: after, until, types, limit."""
    touched: str
    """The streams with rows between two positions: begins, ends, after, until, sessions twice, runs twice."""
    turns: str
    """The last rows of a list of types in a stream: stream, after, until, types, limit."""
    envelopes: str
    """The envelopes of a list of positions."""
    holding: str
    """The positions of rows that contain some bytes, and whether the public payload does: bytes, after, until."""
    has_token_uses: str
    """True if the table of token uses exists and may be read."""
    token_uses: str
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


def formatted(statements: Statements) -> Statements:
    """Return the statements with psycopg placeholders."""
    return Statements(*(text.replace("?", "%s") for text in statements))

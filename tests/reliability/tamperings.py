"""The tamperings: changes by anybody who can write the files or the database of a log, and who notices them.

Each is done to a copy of a log that a server of release 0.1 began and one of this release continued.
``docs/why/reliability.md`` shows the table; ``test_tampering.py`` proves each row of it, on files and on PostgreSQL.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec
import psycopg

from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.errors import ConfigError
from athena_core.event import Position
from athena_core.log import chain
from athena_core.log.anchor import Anchor, read_anchor, write_anchor
from athena_core.log.engine import open_archive
from athena_core.protocols import Row
from athena_core.services.proof import verify
from athena_core.services.proof.bundle import BYTES, HEX
from athena_core.services.proof.verify import NO_ANCHOR, NOT_LOOKED_AT, VerifyReport
from athena_core.services.proof.witnesses import Witness, Witnesses
from athena_core.settings import load
from tests.support.records import CODEC, guard_rows

VIEWS, KEYS, _, _, LIAR = NOT_LOOKED_AT
ELSEWHERE = "kept elsewhere"
ERASED = "erased.text"
"""The file with the text that was erased last."""

BOTH = ("files", "database")
FILES = ("files",)
COLUMNS = ", ".join(Row._fields)
HOLES = ", ".join("?" * len(Row._fields))
DEEP = b"[" * 5_000_000
ALONE = "stopped"
"""A session that no other one refers to."""


class Copy:
    """A copy of a log, in a state directory or in a database, and the anchor beside it."""

    def __init__(self, state_dir: Path, url: str | None = None) -> None:
        self.state_dir = state_dir
        self.url = url
        with closing(open_archive(state_dir, url)) as archive:
            self.anchor = archive.anchor

    # Tampering by a stranger

    def execute(self, statement: str, *values: Any) -> None:
        with self._cursor() as execute:
            execute(statement, values)

    def rows(self) -> list[Row]:
        with self._cursor() as execute:
            return [Row(*row) for row in execute(f"SELECT {COLUMNS} FROM log ORDER BY position", ())]

    def rewrite(self, rows: Sequence[Row]) -> None:
        """Put other rows in the place of those that are there, number and chain them anew, and mend the guards."""
        rows, before = mended(rows), self.rows()
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(rows, before, strict=False)))
        with self._cursor() as execute:
            execute("DELETE FROM log WHERE position > ?", (same,))
            execute("DELETE FROM guard", ())
            for row in rows[same:]:
                execute(f"INSERT INTO log ({COLUMNS}) VALUES ({HOLES})", row)
            for position, kind, key, value in guard_rows(rows):
                words = msgspec.json.encode(value).decode()
                execute(
                    "INSERT INTO guard (kind, key, value, position) VALUES (?, ?, ?, ?)", (kind, key, words, position)
                )

    def vouch(self) -> None:
        """Write an anchor that fits."""
        write_anchor(self.anchor, self.kept())

    @property
    def log_id(self) -> str:
        with self._cursor() as execute:
            return str(next(iter(execute("SELECT value FROM meta WHERE name = 'log_id'", ())))[0])

    @contextmanager
    def _cursor(self) -> Iterator[Callable[[str, Sequence[Any]], Any]]:
        if self.url is None:
            with closing(apsw.Connection(str(self.state_dir / "log.db"))) as files, files:
                yield files.execute
            return
        with psycopg.connect(self.url) as session:
            session.execute("SET search_path = athena")
            yield lambda statement, values: session.execute(statement.replace("?", "%s").encode(), tuple(values))

    # Detection

    def kept(self) -> Anchor:
        """Return the anchor that is kept elsewhere."""
        last = self.rows()[-1]
        return Anchor(log_id=self.log_id, position=last.position, chain=last.chain.hex())

    def verified(self, kept: Anchor | None = None) -> VerifyReport | None:
        """Return what ``athena verify`` reports, also against a kept anchor; None where it refuses to begin."""
        archive = open_archive(self.state_dir, self.url)
        try:
            anchor = read_anchor(archive.anchor)
        except ConfigError:
            archive.close()
            return None
        reader = archive.reader()
        try:
            *_, last = verify.verify(
                reader,
                CODEC,
                SystemClock(),
                meta=archive.meta,
                anchor=anchor,
                against=None if kept is None else Witnesses([Witness(ELSEWHERE, 1, kept)]),
                keys=reader.keys(),
            )
            return last.report
        finally:
            reader.close()
            archive.close()

    def starts(self) -> bool:
        """Return True if a server opens it."""
        environment = {"ATHENA_STATE_DIR": str(self.state_dir), "ATHENA_DATABASE_URL": self.url or ""}
        try:
            parts = wire(load(environment, self.state_dir), SystemClock(), SystemIds())
        except ConfigError:
            return False
        parts.close()
        return True


def mended(rows: Sequence[Row]) -> list[Row]:
    """Return the rows numbered, hashed and chained as if they had been written so."""
    found: list[Row] = []
    previous = chain.GENESIS
    for position, row in enumerate(rows, 1):
        text_hash = row.text_hash if row.text is None else chain.digest(row.text)
        hashed = row._replace(position=position, data_hash=chain.digest(row.data), text_hash=text_hash)
        previous = chain.link(previous, hashed[: chain.LEAF_COLUMNS])
        found.append(hashed._replace(chain=previous))
    return found


def edited(copy: Copy, row: Row, **columns: Any) -> None:
    """Change a row, mend everything that follows from it, and fix the anchor."""
    rows = copy.rows()
    rows[row.position - 1] = row._replace(**columns)
    copy.rewrite(rows)
    copy.vouch()


def appended(copy: Copy, kind: str, stream: str, payload: Any, *, actor: str = "local", **columns: Any) -> None:
    """Append an event rightly chained, mend the guards, and fix the anchor."""
    rows = copy.rows()
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    copy.rewrite([*rows, following(rows, kind, stream, data)._replace(actor=actor, **columns)])
    copy.vouch()


def following(rows: Sequence[Row], kind: str, stream: str, data: bytes) -> Row:
    """Return a row that may follow others, except for its hashes."""
    version = 1 + sum(row.stream == stream for row in rows)
    shape = next((row.schema_version for row in reversed(rows) if row.type == kind), 1)
    envelope = (shape, rows[-1].recorded_at, "cmd_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "trace", None, "local", None, None)
    return Row(len(rows) + 1, stream, version, kind, *envelope, data, None, b"", None, b"", None)


def first(copy: Copy, kind: str, holds: Callable[[Row], bool] = lambda row: True) -> Row:
    return next(row for row in copy.rows() if row.type == kind and holds(row))


def last(copy: Copy, kind: str) -> Row:
    return next(row for row in reversed(copy.rows()) if row.type == kind)


def with_text(copy: Copy) -> list[Row]:
    """Return the rows that still have their text."""
    return [row for row in copy.rows() if row.text is not None]


# Rows and anchors


def actor_edited(copy: Copy) -> None:
    copy.execute("UPDATE log SET actor = 'somebody' WHERE position = 700")


def rewritten(copy: Copy) -> None:
    rows = copy.rows()
    copy.rewrite([*rows[:699], rows[699]._replace(actor="somebody"), *rows[700:]])


def rewritten_with_the_anchor(copy: Copy) -> None:
    rewritten(copy)
    copy.vouch()


def rewritten_without_the_anchor(copy: Copy) -> None:
    rewritten(copy)
    copy.anchor.unlink()


def rewritten_under_another_id(copy: Copy) -> None:
    rewritten(copy)
    copy.execute("UPDATE meta SET value = '0123456789abcdef' WHERE name = 'log_id'")


def cut(copy: Copy) -> None:
    """Cut whole commands off the end, with their guards and keys."""
    rows = copy.rows()
    commands = list(dict.fromkeys(row.command_id for row in rows))
    kept = [row for row in rows if row.command_id not in commands[-3:]]
    copy.rewrite(kept)
    copy.execute("DELETE FROM command WHERE first_position + count - 1 > ?", len(kept))


def cut_with_the_anchor(copy: Copy) -> None:
    cut(copy)
    copy.vouch()


def cut_without_the_anchor(copy: Copy) -> None:
    cut(copy)
    copy.anchor.unlink()


def cut_with_a_torn_anchor(copy: Copy) -> None:
    cut(copy)
    copy.anchor.write_bytes(b"{}")


def cut_under_another_id(copy: Copy) -> None:
    cut(copy)
    copy.execute("UPDATE meta SET value = '0123456789abcdef' WHERE name = 'log_id'")


def anchor_as_a_pipe(copy: Copy) -> None:
    copy.anchor.unlink()
    os.mkfifo(copy.anchor)


def anchor_as_a_directory(copy: Copy) -> None:
    copy.anchor.unlink()
    copy.anchor.mkdir()


def session_cut_out(copy: Copy) -> None:
    """Cut out a session with its run, to which nothing else refers."""
    rows = copy.rows()
    commands = {row.command_id for row in rows if row.session_id == ALONE}
    kept = [row for row in rows if row.command_id not in commands]
    assert len(kept) < len(rows) - 5
    place = {row.position: number for number, row in enumerate(kept, 1)}
    copy.rewrite([_moved(row, place) for row in kept])
    copy.vouch()


def _moved(row: Row, place: dict[Position, Position]) -> Row:
    """Return a row whose references follow the moved rows."""
    data = row.data
    if row.type == "payload.redacted":
        payload = json.loads(data)
        data = json.dumps(payload | {"target": place[payload["target"]]}).encode()
    return row._replace(causation=row.causation and place[row.causation], data=data)


def session_cut_out_with_the_keys(copy: Copy) -> None:
    session_cut_out(copy)
    copy.execute("DELETE FROM command")


# Texts


def texts_swapped(copy: Copy) -> None:
    one, other = with_text(copy)[:2]
    copy.execute("UPDATE log SET text = ? WHERE position = ?", one.text, other.position)
    copy.execute("UPDATE log SET text = ? WHERE position = ?", other.text, one.position)


def text_gone(copy: Copy) -> None:
    copy.execute("UPDATE log SET text = NULL WHERE position = ?", with_text(copy)[-1].position)


def all_texts_gone(copy: Copy) -> None:
    copy.execute("UPDATE log SET text = NULL")


def text_put_back(copy: Copy) -> None:
    erased = json.loads(last(copy, "payload.redacted").data)["target"]
    text = (copy.state_dir / ERASED).read_bytes()  # as a backup had it
    copy.execute("UPDATE log SET text = ? WHERE position = ?", text, erased)


# Beside the rows


def key_of_another(copy: Copy) -> None:
    run_id = last(copy, "run.created").stream
    copy.execute("UPDATE command SET subject = ? WHERE substr(subject, 1, 4) = 'run_'", run_id)


def key_moved_to_another(copy: Copy) -> None:
    columns = "recorded_at, first_position, count, subject, answer"
    bound = "FROM command WHERE count > 0 ORDER BY first_position"
    copy.execute(
        f"UPDATE command SET ({columns}) = (SELECT {columns} {bound} DESC LIMIT 1)"
        f" WHERE key_hash = (SELECT key_hash {bound} LIMIT 1)"
    )


def fingerprints_and_answers(copy: Copy) -> None:
    copy.execute("UPDATE command SET fingerprint = ?, answer = ?", bytes(33), b"{}")


def keys_gone(copy: Copy) -> None:
    copy.execute("DELETE FROM command")


def guard_edited(copy: Copy) -> None:
    copy.execute("UPDATE guard SET value = ? WHERE kind = 'turn'", '["run_somebody"]')


def guard_out_of_nothing(copy: Copy) -> None:
    statement = "INSERT INTO guard (kind, key, value, position) VALUES ('slot', 'run_ghost', ?, 7)"
    copy.execute(statement, '[7,"default","provider:mock"]')


def guards_in_another_order(copy: Copy) -> None:
    with_two = "SELECT min(position) FROM guard WHERE kind = 'waiting'"
    copy.execute(f"UPDATE guard SET position = 1000000 WHERE kind = 'waiting' AND position = ({with_two})")


def index_dropped(copy: Copy) -> None:
    copy.execute("DROP INDEX log_stream")


def hidden_copies(copy: Copy) -> None:
    copy.execute("CREATE TABLE hidden (text TEXT)")
    act = "INSERT INTO hidden VALUES ('a text')"
    if copy.url is None:
        copy.execute(f"CREATE TRIGGER copier AFTER UPDATE ON log BEGIN {act}; END")
        return
    copy.execute(f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act}; RETURN NEW; END $$")
    copy.execute("CREATE TRIGGER copier AFTER UPDATE ON log FOR EACH ROW EXECUTE FUNCTION act()")


def views_edited(copy: Copy) -> None:
    if copy.url is None:
        for path in (copy.state_dir / "views").glob("*.db"):
            with closing(apsw.Connection(str(path))) as views:
                views.execute("DELETE FROM run")
    else:
        with psycopg.connect(copy.url) as session:
            (schema,) = session.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'run'").fetchall()[0]
            session.execute(f"DELETE FROM {schema}.run".encode())


# Made-up events


def policy_of_another(copy: Copy) -> None:
    _policy(copy, json.loads(last(copy, "policy.updated").data)["after"])


def _policy(copy: Copy, before: Any) -> None:
    after = {"schemaVersion": 1, "maxConcurrentRuns": 5}
    payload = {"schemaVersion": 1, "updatedAt": "2026-01-09T00:00:00.000Z", "before": before, "after": after}
    appended(copy, "policy.updated", "policy", payload, actor="somebody")


def caused_by_the_future(copy: Copy) -> None:
    row = last(copy, "usage.recorded")
    edited(copy, row, causation=row.position + 1)


def too_deep(copy: Copy) -> None:
    rows = copy.rows()
    deep = mended([*rows, following(rows, "AUTHZ_MODE_ACTIVE", "plane", DEEP)])[-1]
    copy.execute(f"INSERT INTO log ({COLUMNS}) VALUES ({HOLES})", *deep)
    copy.vouch()


# The table


class Case(NamedTuple):
    """A tampering: its number in the review that found it, the change, and who notices.

    ``verify`` names the rules; ``refused`` says that the command refuses to begin. ``unseen`` is the sentence of
    the report that names it as unchecked; ``start`` are the stores on which a server refuses to start.
    """

    number: str
    what: str
    tamper: Callable[[Copy], None]
    verify: frozenset[str] = frozenset()
    refused: bool = False
    against: bool = False
    start: tuple[str, ...] = ()
    unseen: str | None = None


def rules(*names: str) -> frozenset[str]:
    return frozenset(names)


CASES: tuple[Case, ...] = (
    Case("1", "the actor of a row edited", actor_edited, rules("chain")),
    Case("2", "the actor edited, the chain recomputed", rewritten, rules("anchor"), against=True, start=BOTH),
    Case("3", "the actor edited, chain and `log.anchor` rewritten", rewritten_with_the_anchor, against=True),
    Case(
        *("4", "the actor edited, the chain recomputed, `log.anchor` deleted", rewritten_without_the_anchor),
        against=True,
        start=FILES,
        unseen=NO_ANCHOR,
    ),
    Case(
        *("5", "the actor edited, another id in `meta`", rewritten_under_another_id, rules("anchor")),
        against=True,
        start=BOTH,
    ),
    Case("6", "the texts of two events swapped", texts_swapped, rules("chain")),
    Case("7", "a text removed without `payload.redacted`", text_gone, rules("erasure")),
    Case("S9", "all texts removed without `payload.redacted`", all_texts_gone, rules("erasure")),
    Case("8", "an erased text put back", text_put_back, rules("erasure")),
    Case(
        *("9", "a session and its runs removed, the rest renumbered and rechained", session_cut_out, rules("keys")),
        against=True,
    ),
    Case(
        "9b",
        "a session and its runs removed, the keys deleted",
        session_cut_out_with_the_keys,
        against=True,
        unseen=KEYS,
    ),
    Case("10", "the last commands removed, with guards, keys and anchor", cut_with_the_anchor, against=True),
    Case(
        *("S10a", "the last commands removed, `log.anchor` deleted", cut_without_the_anchor),
        against=True,
        start=FILES,
        unseen=NO_ANCHOR,
    ),
    Case("S10b", "the last commands removed, `log.anchor` torn", cut_with_a_torn_anchor, refused=True, start=BOTH),
    Case(
        *("S10c", "the last commands removed, another id in `meta`", cut_under_another_id, rules("anchor")),
        against=True,
        start=BOTH,
    ),
    Case("W11a", "a pipe in place of `log.anchor`", anchor_as_a_pipe, refused=True, start=BOTH),
    Case("W11b", "a directory in place of `log.anchor`", anchor_as_a_directory, refused=True, start=BOTH),
    Case("11", "an idempotency key bound to another run", key_of_another, rules("keys")),
    Case("11b", "an idempotency key moved to the command of another key", key_moved_to_another, rules("keys")),
    Case("12", "fingerprints and answers of keys replaced", fingerprints_and_answers, unseen=KEYS),
    Case("13", "the keys deleted", keys_gone, unseen=KEYS),
    Case("14", "the value of a guard edited", guard_edited, rules("guards")),
    Case("15", "the order of guards edited", guards_in_another_order, rules("guards")),
    Case("16", "an invented guard", guard_out_of_nothing, rules("guards")),
    Case("18", "a unique index dropped", index_dropped, rules("schema"), start=BOTH),
    Case("19", "a trigger that copies texts into a hidden table", hidden_copies, rules("schema"), start=BOTH),
    Case("W9d", "5 MB of nested JSON in an event", too_deep, rules("decodable")),
    Case("20", "rows of views edited", views_edited, unseen=VIEWS),
    Case("21", "a `policy.updated` of another actor appended, correctly chained", policy_of_another, unseen=LIAR),
    Case("27", "an event caused by a later one", caused_by_the_future, rules("envelope"), against=True),
)


class BundleCase(NamedTuple):
    """A tampering of the lines of a run's bundle, and the words with which `athena verify --bundle` refuses it."""

    number: str
    what: str
    tamper: Callable[[list[bytes]], list[bytes]]
    reason: str


def event_behind_its_leaf(lines: list[bytes]) -> list[bytes]:
    place = len(lines) // 2
    while b'"row"' not in lines[place]:
        place += 1
    row = json.loads(lines[place])["row"]
    columns = tuple(_column(name, value) for name, value in row.items())
    part = {"leaves": [chain.leaf(columns[: chain.LEAF_COLUMNS]).hex()]}
    return [*lines[:place], json.dumps(part).encode() + b"\n", *lines[place + 1 :]]


def _column(name: str, value: Any) -> Any:
    if value is None or name not in {*HEX, *BYTES}:
        return value
    return bytes.fromhex(value) if name in HEX else value.encode()


def end_cut_off(lines: list[bytes]) -> list[bytes]:
    """End after the last event but one, as if the bundle had ended there."""
    kept = lines[:-2]
    while b'"row"' not in kept[-1]:
        kept.pop()
    row = json.loads(kept[-1])["row"]
    end = {"end": row["position"], "chain": row["chain"]}
    return [*kept, json.dumps(end).encode() + b"\n"]


BUNDLE_CASES: tuple[BundleCase, ...] = (
    BundleCase("S15a", "bundle of a run: an event replaced by its leaf", event_behind_its_leaf, "version . is missing"),
    BundleCase("S15b", "bundle of a run: its end cut off, with a matching last line", end_cut_off, "end"),
)

STARTS = {BOTH: "refused", FILES: "refused; on PostgreSQL recorded as the first on this machine", (): "–"}


def table() -> str:
    lines = [
        "| # | tampering | `athena verify` | `verify --against` | start |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in CASES:
        found = ", ".join(f"`{rule}`" for rule in sorted(case.verify))
        other = "refuses the anchor" if case.refused else "reports that this is not checked" if case.unseen else "–"
        against = "`anchor`" if case.against else "–"
        lines.append(f"| {case.number} | {case.what} | {found or other} | {against} | {STARTS[case.start]} |")
    for bundle in BUNDLE_CASES:
        lines.append(f"| {bundle.number} | {bundle.what} | `--bundle` does not verify | – | – |")
    return "\n".join(lines)

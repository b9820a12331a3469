"""Tests of both ends of a move: everything that a log can hold arrives unchanged, or nothing does."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import psycopg
import pytest

from athena_core.clock import CountingIds
from athena_core.domain import EVENTS
from athena_core.errors import ConfigError
from athena_core.event import Guard
from athena_core.log.chain import GENESIS, digest, link
from athena_core.log.engine import open_store
from athena_core.log.port import KEY_CLOCK, MOVED_TO, StoreReader
from athena_core.log.tools.move import TABLES, copy, digests, pages
from athena_core.log.tools.move_database import without_secrets
from athena_core.log.tools.move_ends import open_move
from athena_core.protocols import Row

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def every_kind() -> list[Row]:
    """Return a chained row of each kind of event, with columns at their limits."""
    rows: list[Row] = []
    chain = GENESIS
    files = sorted(SAMPLES.glob("events-*.jsonl"))
    samples = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    for number, sample in enumerate(samples, start=1):
        data, extra, text = (
            None if sample[name] is None else str(sample[name]).encode() for name in ("data", "extra", "text")
        )
        assert data is not None
        columns = (
            *(number, f"stream_{number % 7}", number // 7 + 1, sample["type"], sample["schema_version"]),
            *(2**53 + number, f"cmd_{number}", "trace-1", None if number % 2 else number - 1, "ada\u0301 \U0001f989"),
            *(None if number % 3 else "s", None if number % 5 else "run_1", data, extra, digest(data)),
            None if text is None else digest(text),
        )
        chain = link(chain, columns)
        rows.append(Row(*columns, chain, None if number % 11 == 0 else text))  # some texts were erased
    return rows


@pytest.fixture
def url(database: str) -> str:
    return database


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a state directory whose log, of release 0.1, holds every kind of event, keys, guards and checkpoints."""
    directory = tmp_path / "state"
    with closing(open_store(directory, None, CountingIds())) as store, store.exclusive():
        rows = every_kind()
        store.insert(rows)
        keys = [(bytes([number]) * 32, bytes(32), number, 1, number % 3) for number in range(256)]
        store.put_keys(
            [(*key, None if key[2] % 2 else "run_1", None if key[2] % 4 else b'{"id":"\xc3\xa9"}') for key in keys]
        )
        guards = [Guard(kind="slot", key=f"run_{number}", value=("one", number, "")) for number in range(9)]
        store.put_guards([(guard, 1 + number // 2) for number, guard in enumerate(guards)])
        store.put_checkpoint("projection:é", len(rows))
        store.put_checkpoint("another", 0)
        store.put_token_uses({"tok_1": 1, "tok_2": 2})
        store.put_key_stamp("stamp")
    with closing(apsw.Connection(str(directory / "log.db"))) as database:
        database.execute("UPDATE meta SET value = '1' WHERE name = 'format'")
    return directory


def moved(origin: Path, origin_url: str | None, to: str) -> dict[str, str]:
    """Move a log. Return its digests, which are equal on both sides."""
    left, arrived = open_move(origin, origin_url, to)
    with closing(left), closing(arrived):
        arrived.begin({name: value for name, value in left.meta.items() if name != MOVED_TO})
        progress = list(copy(left, arrived))
        assert (progress[0].position, progress[-1].position) == (0, progress[0].head)
        arrived.commit()
        left.retire(arrived.place)
    left, arrived = open_move(origin, origin_url, to)
    with closing(left), closing(arrived):
        assert arrived.occupied
        assert left.meta[MOVED_TO] == arrived.place
        assert left.meta["format"] == arrived.meta["format"] == "1"
        assert left.meta[KEY_CLOCK] == arrived.meta[KEY_CLOCK] == "stamp"
        assert [rows for table in TABLES for rows in pages(left, table)] == [
            rows for table in TABLES for rows in pages(arrived, table)
        ]
        assert digests(left) == digests(arrived)
        return digests(arrived)


def everything(reader: StoreReader) -> list[object]:
    return [
        *reader.rows(0, 10_000),
        *sorted(reader.keys()),
        *sorted(reader.guards()),
        *(reader.checkpoint(name) for name in ("projection:é", "another", "none")),
        *reader.token_uses(["tok_1", "tok_2"]).items(),
    ]


def test_every_kind_of_event_moves_to_a_database_and_back_byte_by_byte(filled: Path, url: str, tmp_path: Path) -> None:
    assert {row.type for row in every_kind()} == {kind.TYPE for kind in EVENTS}
    with closing(open_store(filled, None, CountingIds())) as store, closing(store.reader()) as reader:
        log_id, before = store.log_id, everything(reader)
    there = moved(filled, None, url)
    with closing(open_store(tmp_path, url, CountingIds())) as store, closing(store.reader()) as reader:
        assert (store.log_id, everything(reader)) == (log_id, before)
    assert moved(tmp_path, url, str(tmp_path / "back")) == there
    with closing(open_store(tmp_path / "back", None, CountingIds())) as store, closing(store.reader()) as reader:
        assert (store.log_id, everything(reader)) == (log_id, before)
    for directory, origin_url in (filled, None), (tmp_path, url):
        with pytest.raises(ConfigError, match="was moved to"):
            open_store(directory, origin_url, CountingIds())


@pytest.fixture(params=["to a database", "to files"])
def ends(
    request: pytest.FixtureRequest, filled: Path, url: str, tmp_path: Path
) -> Iterator[tuple[Path, str | None, str]]:
    """Return where a log is, and where it is moved to."""
    if request.param == "to a database":
        yield filled, None, url
    else:
        moved(filled, None, url)
        yield tmp_path, url, str(tmp_path / "back")


def test_a_move_that_is_cut_short_at_any_page_leaves_nothing(ends: tuple[Path, str | None, str]) -> None:
    for steps in range(1, len(TABLES) + 1):
        left, arrived = open_move(*ends)
        with closing(left), closing(arrived):
            assert not arrived.occupied
            arrived.begin({name: value for name, value in left.meta.items() if name != MOVED_TO})
            going = copy(left, arrived)
            for _ in range(steps):
                next(going)
    moved(*ends)


@pytest.mark.heavy
def test_a_running_process_on_either_end_is_not_disturbed(filled: Path, url: str, tmp_path: Path) -> None:
    left, arrived = open_move(filled, None, url)
    with closing(left), closing(arrived), pytest.raises(ConfigError, match="stop it first"):
        open_move(filled, None, url)
    other = tmp_path / "other"
    left, arrived = open_move(filled, None, url)
    with closing(arrived):
        left.close()
        open_store(other, None, CountingIds()).close()
        with pytest.raises(ConfigError, match="--to: a process is writing"):
            open_move(other, None, url)


def test_a_database_with_the_rest_of_a_log_is_refused(filled: Path, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE SCHEMA athena_views_3")
    with pytest.raises(ConfigError, match="athena_views_3 of another log"):
        open_move(filled, None, url)


def test_passwords_are_not_shown() -> None:
    shown = without_secrets("postgresql://ada:se%40cret@db.example.org:5433/athena?sslmode=require&password=secret")
    assert shown == "postgresql://ada@db.example.org:5433/athena?sslmode=require"
    assert without_secrets("postgres:///athena?host=/run/pg") == "postgres:///athena?host=/run/pg"

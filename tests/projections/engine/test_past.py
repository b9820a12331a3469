"""The past of the views: at each position it is what a fold of the log up to there gives."""

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_core.clock import FixedClock
from athena_core.domain.directive import DirectiveCreated
from athena_core.errors import CursorInvalid
from athena_core.event import Position, Recorded
from athena_core.log.postgres.views import PostgresGenerations
from athena_core.log.sqlite.views import SqliteViewConnection
from athena_core.protocols import Cell, Connection, Generations
from athena_core.system.signal import Signal
from projections import ALL, asks, evidence, runs, sessions, workflows
from projections.engine import generation
from projections.engine.generation import GenerationFiles
from projections.engine.past import ERASING, erasures, state_of
from projections.engine.past_reader import PastReader
from projections.engine.projection import BLOCK_EVENTS, ONLY_ROW, PAST, UNTIL, Projection, Rows, Table
from projections.engine.projector import Projector
from projections.engine.views import Views
from tests.projections.history import CODEC, HISTORIES, MOVES, History, folder
from tests.projections.support import DATABASES, Plane
from tests.support.all_records import erasable

BLOCK = 8
EDGE_MOVES = 30
"""Number of moves of a history whose blocks all have their edges read."""
NAMES = tuple(projection.name for projection in ALL)


def projector(connection: Connection, history: History, block_events: int = BLOCK) -> Projector:
    generation.create(connection, ALL, history.log_id, 0)
    return Projector(connection, ALL, history, CODEC.decode, FixedClock(), block_events=block_events)


def catch_up(projector: Projector, until: Position | None = None) -> None:
    while projector.step(until) is not None:
        pass
    assert all(checkpoint.error is None for checkpoint in projector.checkpoints.values())


@contextmanager
def live(generations: Generations, history: History) -> Iterator[tuple[Projector, PastReader]]:
    """Yield the projector of a current generation, and a reader of its past."""
    lock = generations.updater_lock()
    assert lock.acquire()
    name = generations.fresh()
    found = projector(generations.write(name, lock), history)
    generations.switch(name, lock)
    reader = PastReader(Views(generations, lambda: history, CODEC.decode, FixedClock(), ALL, Signal()), history, BLOCK)
    yield found, reader
    reader.close()
    found.connection.close()
    lock.release()


class Unrecorded(Rows):
    """Rows in which an erasure erases, but is not recorded."""

    def append(self, table: Table, row: object) -> None:  # type: ignore[type-arg]
        pass


def shown(connection: Connection) -> dict[str, list[tuple[Cell, ...]]]:
    """Return all rows, but for the positions of changes that only the search of the present follows."""
    rows = {table.name: list(connection.execute(table.scan)) for projection in ALL for table in projection.tables}
    return rows | {"memory_entry": [(*row[:2], *row[3:]) for row in rows["memory_entry"]]}


def folded(history: History, position: Position) -> dict[str, list[tuple[Cell, ...]]]:
    """Fold the log up to a position, then erase what was erased later."""
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    catch_up(projector(connection, history), position)
    later = {
        CODEC.decode(row).event.target  # type: ignore[attr-defined]
        for row in history.written[position:]
        if row.type == ERASING
    }
    for projection in ALL:
        rows = Unrecorded(connection)
        for handler, recorded in erasures(projection, (target for target in later if target <= position), position):
            handler(rows, recorded)
        rows.flush()
    return shown(connection)


def check(generations: Generations, moves: list[tuple[int, int]], pauses: list[int], data: st.DataObject) -> None:
    history = History()
    with live(generations, history) as (following, reader):
        for number, move in enumerate(moves):
            history.play([move])
            if number in pauses:
                catch_up(following)
        catch_up(following)
        head = history.head()
        blocks = {1, head // BLOCK} | data.draw(st.sets(st.integers(0, head // BLOCK), max_size=1))
        edges = {block * BLOCK + beside for block in blocks for beside in (-1, 0, 1)}
        drawn = data.draw(st.sets(st.integers(0, head), max_size=3))
        for position in {1, 2, head} | edges | drawn:
            if not 0 <= position <= head:
                continue
            assert reader.query_at(position, NAMES, shown) == folded(history, position)


@given(HISTORIES, st.lists(st.integers(1, 60)), st.data())
@settings(max_examples=10)
def test_every_position_shows_what_a_fold_up_to_it_shows(
    moves: list[tuple[int, int]], pauses: list[int], data: st.DataObject
) -> None:
    with folder() as directory:
        check(GenerationFiles(directory, DATABASES), moves, pauses, data)


def test_the_edges_of_all_blocks_show_what_a_fold_up_to_them_shows(tmp_path: Path) -> None:
    draw, history = random.Random(5), History()
    history.play((draw.randrange(MOVES + 1), draw.randrange(100)) for _ in range(EDGE_MOVES))
    with live(GenerationFiles(tmp_path, DATABASES), history) as (following, reader):
        catch_up(following)
        for position in (edge + beside for edge in range(BLOCK, history.head(), BLOCK) for beside in (-1, 0, 1)):
            assert reader.query_at(position, NAMES, shown) == folded(history, position)


ONE_OBJECT = (
    f"{sessions.SELECT_ENTRIES} LIMIT 1",
    runs.SELECT_RUN,
    runs.SELECT_OUTPUT,
    evidence.SELECT_ONE,
    f"{workflows.SELECT_WORKFLOWS} WHERE workflow_id = ?",
    f"{asks.SELECT_WHOLE} WHERE ask.ask_id = ?",
)


@pytest.mark.parametrize("statement", ONE_OBJECT)
def test_one_object_of_the_past_is_found_by_indexes(statement: str) -> None:
    def plan(connection: Connection) -> str:
        cells = (1,) * statement.count("?")
        return "\n".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", cells))

    history = History()
    history.play([(move % MOVES, move) for move in range(BLOCK * 3)])
    with folder() as directory, live(GenerationFiles(directory, DATABASES), history) as (following, reader):
        catch_up(following)
        found = reader.query_at(BLOCK + 1, NAMES, plan)
    assert "SEARCH" in found and "MATERIALIZE" not in found, found  # no join reads a whole table


@pytest.mark.heavy
@given(moves=HISTORIES, pauses=st.lists(st.integers(1, 60)), data=st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_position_shows_the_same_in_postgresql(
    engine: None, schemas: PostgresGenerations, moves: list[tuple[int, int]], pauses: list[int], data: st.DataObject
) -> None:
    check(schemas, moves, pauses, data)


def holding(connection: Connection, texts: set[str]) -> set[tuple[str, str]]:
    """Return the tables, and their twins, in which one of these texts stands."""
    names = [f"{table.name}{twin}" for projection in ALL for table in projection.tables for twin in ("", PAST)]
    return {
        (name, text)
        for name in names
        for row in connection.execute(f"SELECT * FROM {name}")
        for cell in row
        if isinstance(cell, (str, bytes))
        for text in texts
        if (text in cell if isinstance(cell, str) else text.encode() in cell)
    }


def erased(history: History) -> set[tuple[str, str]]:
    """Erase all texts of a history. Return those that still stand in a row or in an earlier version, with the table."""
    texts = erasable(history.written)
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    following = projector(connection, history, block_events=1)  # so that each change keeps a version
    catch_up(following)
    for row in list(history.written):
        if row.text is not None:
            history.redact(row.position)
    catch_up(following)
    return holding(connection, texts - erasable(history.written))


def test_erased_text_leaves_an_overlay_that_was_read_before(tmp_path: Path) -> None:
    history = History()
    for _ in range(BLOCK):
        history.deny("read")
    run_id = history.request("s")
    history.start(run_id)
    position = history.answer(run_id, "a text to erase")
    with live(GenerationFiles(tmp_path, DATABASES), history) as (following, reader):
        catch_up(following)
        assert "a text to erase" in str(reader.query_at(position, NAMES, shown))
        history.redact(position)
        catch_up(following)
        found = reader.query_at(position, NAMES, shown)
    assert "a text to erase" not in str(found)
    assert found == folded(history, position)  # which marks it as erased


@given(HISTORIES)
@settings(max_examples=20)
def test_no_version_of_a_row_has_a_text_that_was_erased(moves: list[tuple[int, int]]) -> None:
    history = History()
    for _ in range(2):  # the past begins with the second block
        history.deny("read")
    assert erased(history.play(moves)) == set()


def test_a_text_leaves_all_versions_that_only_an_earlier_row_leads_to() -> None:
    """The rows with the positions of these texts are deleted before the texts are erased."""
    history = History()
    history.queues.enqueue("s", "a payload that is drained")
    history.queues.drain("s")
    history.queues.do("s")
    run_id = history.request("s")
    history.start(run_id)
    for said in ("a first answer", "a second answer"):
        history.answer(run_id, said)
        history.pay(run_id)
        history.pay(run_id)
    assert erased(history) == set()


def versions(connection: Connection) -> dict[str, list[tuple[Cell, ...]]]:
    """Return all earlier versions, with the blocks in which they held."""
    if not state_of(connection)[0]:
        return {}
    return {
        table.name: list(
            connection.execute(f"SELECT * FROM {table.name}{PAST} ORDER BY {', '.join((*table.key, UNTIL))}")
        )
        for projection in ALL
        for table in projection.tables
    }


@given(HISTORIES, st.lists(st.integers(1, 60)))
@settings(max_examples=20)
def test_a_rebuild_gives_the_same_past(moves: list[tuple[int, int]], pauses: list[int]) -> None:
    history = History()
    followed, rebuilt = (SqliteViewConnection(apsw.Connection(":memory:")) for _ in range(2))
    following = projector(followed, history)
    for number, move in enumerate(moves):
        history.play([move])
        if number in pauses:
            catch_up(following)
    catch_up(following)
    catch_up(projector(rebuilt, history))
    assert versions(followed) == versions(rebuilt)


class CountRow(msgspec.Struct):
    """The only row: a number that grows with each directive."""

    key: int
    number: int = 0


COUNT = Table("count", CountRow, key=("key",))


def counting(version: int) -> Projection:
    """Return a projection that counts by another step in each version."""
    found = Projection("counts", version=version, tables=(COUNT,))

    @found.handler
    def directive_created(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        rows.tally(COUNT, ONLY_ROW).number += version

    return found


def test_a_raised_version_rebuilds_the_past_with_it(tmp_path: Path) -> None:
    history = History()
    for _ in range(3):
        history.directive("do it")
        for _ in range(BLOCK_EVENTS - 1):
            history.deny("read")
    for version in (1, 2):
        plane = Plane(tmp_path, history, (counting(version),))
        plane.keep()
        with closing(PastReader(plane.views, history)) as past:
            for block in (1, 2, 3):
                for position in (block * BLOCK_EVENTS - 1, block * BLOCK_EVENTS):
                    assert past.query_at(position, ("counts",), counted) == version * block
        plane.updater.close()


def counted(connection: Connection) -> Cell:
    return next(connection.execute(COUNT.all))[1]


def test_a_reader_keeps_its_overlays_after_a_refusal_and_counts_them_once(tmp_path: Path) -> None:
    history = History()
    for _ in range(20):
        history.directive("do it")
    plane = Plane(tmp_path, history)
    plane.keep()

    def refused(connection: Connection) -> None:
        raise CursorInvalid("no cursor")

    def failed(connection: Connection) -> None:
        raise RuntimeError

    names = ("catalog",)

    with closing(PastReader(plane.views, history)) as past:
        assert past.query_at(20, names, shown_directives) == 20
        held = past.held
        assert past.query_at(10, names, shown_directives) == 10
        assert 0 < past.held < held
        assert past.query_at(20, names, shown_directives) == 20
        assert past.held == held
        with pytest.raises(CursorInvalid):
            past.query_at(20, names, refused)
        assert past.held == held
        with pytest.raises(RuntimeError):
            past.query_at(20, names, failed)
        assert past.held == 0
    plane.updater.close()


def shown_directives(connection: Connection) -> int:
    return len(list(connection.execute("SELECT position FROM directive")))

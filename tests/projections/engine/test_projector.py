"""The projector: any batch size, any crash, any poison."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_core.clock import FixedClock
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.plane import AuthzModeActive
from athena_core.domain.run import RunCompleted
from athena_core.event import Recorded
from projections import ALL
from projections.engine import generation
from projections.engine.projection import Projection, Rows, Table
from projections.engine.projector import Projector
from tests.projections.history import CODEC, HISTORIES, History, folder
from tests.projections.support import Paged, catch_up, digests, new_generation, reopened


@settings(deadline=None, max_examples=60)
@pytest.mark.heavy
@given(HISTORIES, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_every_batch_size_gives_the_same_digest(moves: list[tuple[int, int]], sizes: list[int]) -> None:
    history = History().play(moves)
    with folder() as path:
        whole = new_generation(path / "whole.db", history)
        catch_up(whole)
        assert all(checkpoint.error is None for checkpoint in whole.checkpoints.values())
        paged = new_generation(path / "paged.db", Paged(history.written, sizes))
        catch_up(paged)
        assert digests(paged.connection) == digests(whole.connection)
        whole.connection.close()
        paged.connection.close()


@settings(deadline=None, max_examples=60)
@pytest.mark.heavy
@given(HISTORIES, HISTORIES)
def test_following_live_gives_the_digest_of_a_replay(first: list[tuple[int, int]], then: list[tuple[int, int]]) -> None:
    """Redactions in the second half erase rows that were shown, and text that a replay never reads."""
    history = History().play(first)
    with folder() as path:
        live = new_generation(path / "live.db", history)
        catch_up(live)
        for move in then:
            history.play([move])
            catch_up(live)
        replayed = new_generation(path / "replayed.db", history)
        catch_up(replayed)
        assert digests(live.connection) == digests(replayed.connection)
        live.connection.close()
        replayed.connection.close()


class Crash(BaseException):
    """A crash of the process."""


@settings(deadline=None, max_examples=60)
@pytest.mark.heavy
@given(HISTORIES, st.data())
def test_a_crash_between_any_two_statements_changes_nothing(moves: list[tuple[int, int]], data: st.DataObject) -> None:
    history = History().play([*moves, (12, 0)])
    with folder() as path:
        whole = new_generation(path / "whole.db", history)
        catch_up(whole)
        statements = count_statements(path / "counted.db", history)
        projector = new_generation(path / "crashed.db", Paged(history.written, [3]))
        fuse = Fuse(projector, data.draw(st.integers(0, statements)))
        try:
            catch_up(projector)
        except Crash:
            fuse.connection.close()  # the transaction that was open is gone
            projector = reopened(path / "crashed.db", history)
            catch_up(projector)
        fuse.left = 1_000_000  # a process that got through is only read from now on
        assert digests(projector.connection) == digests(whole.connection)
        projector.connection.close()
        whole.connection.close()


class Fuse:
    """A connection that fails at the n-th statement."""

    def __init__(self, projector: Projector, statements: int) -> None:
        self.connection = projector.connection
        self.left = statements
        projector.connection = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> object:
        if name in {"execute", "executemany", "transaction"}:
            self.left -= 1
            if self.left < 0:
                raise Crash
        return getattr(self.connection, name)


def count_statements(path: Path, history: History) -> int:
    projector = new_generation(path, Paged(history.written, [3]))
    fuse = Fuse(projector, 1_000_000)
    catch_up(projector)
    fuse.connection.close()
    return 1_000_000 - fuse.left


class Seen(msgspec.Struct):
    position: int


SEEN = Table("seen", Seen, key=("position",))


class Count(msgspec.Struct):
    name: str
    events: int = 0


COUNT = Table("count", Count, key=("name",), cached=True)


def fragile(breaks: Callable[[Recorded[DirectiveCreated]], bool]) -> Projection:
    projection = Projection("fragile", version=1, tables=(SEEN,))

    @projection.handler
    def seen(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        rows.append(SEEN, Seen(recorded.position))
        if breaks(recorded):
            raise RuntimeError("cannot")

    return projection


def seen(projector: Projector) -> list[int]:
    return [SEEN.load(row).position for row in projector.connection.execute(SEEN.scan)]


def test_an_event_that_cannot_be_applied_stops_its_projection_alone(tmp_path: Path) -> None:
    history, clock, broken = History(), FixedClock(), {3}
    for number in range(5):
        history.directive(str(number))
    projections = (*ALL, fragile(lambda recorded: recorded.position in broken))
    projector = new_generation(tmp_path / "a.db", history, projections, clock)
    catch_up(projector)

    stopped = projector.checkpoints["fragile"]
    assert (stopped.position, stopped.error, stopped.error_position) == (2, "RuntimeError: cannot", 3)
    assert stopped.chain == history.written[1].chain
    assert generation.load(projector.connection)["fragile"] == stopped
    assert seen(projector) == [1, 2]
    assert projector.checkpoints["catalog"].position == 5

    history.directive("more")
    catch_up(projector)
    assert projector.checkpoints["catalog"].position == 6
    assert projector.checkpoints["fragile"].position == 2

    broken.clear()
    clock.advance(1_000)
    catch_up(projector)
    assert projector.checkpoints["fragile"] == generation.load(projector.connection)["fragile"]
    assert (projector.checkpoints["fragile"].position, projector.checkpoints["fragile"].error) == (6, None)
    assert seen(projector) == [1, 2, 3, 4, 5, 6]


def test_a_stopped_projection_is_tried_again_ever_less_often(tmp_path: Path) -> None:
    history, clock, tries = History(), FixedClock(), []

    def breaks(recorded: Recorded[DirectiveCreated]) -> bool:
        tries.append(clock.monotonic())
        return True

    history.directive("a")
    projector = new_generation(tmp_path / "a.db", history, (fragile(breaks),), clock)
    begin = clock.monotonic()
    for _ in range(300):
        catch_up(projector)
        clock.advance(500)
    assert sorted({moment - begin for moment in tries}) == [0, 1, 3, 7, 15, 31, 63, 123]


def test_one_that_fell_behind_catches_up_while_the_others_go_on(tmp_path: Path) -> None:
    history, clock, broken = History(), FixedClock(), {1}
    projections = (*ALL, fragile(lambda recorded: recorded.position in broken))
    history.directive("first")
    projector = new_generation(tmp_path / "a.db", history, projections, clock)
    catch_up(projector)
    projector.page_events_max = 5
    for number in range(10):
        history.directive(str(number))
    catch_up(projector)
    broken.clear()
    clock.advance(1_000)
    history.directive("last")
    projector.step()
    assert projector.checkpoints["catalog"].position == history.head()
    assert projector.checkpoints["fragile"].position == 5
    catch_up(projector)
    assert projector.checkpoints["fragile"].position == history.head()


def test_a_row_that_the_database_refuses_stops_its_projection_alone(tmp_path: Path) -> None:
    twice = Projection("twice", version=1, tables=(SEEN,))

    @twice.handler
    def always_one(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        rows.append(SEEN, Seen(1))
        rows.flush()

    history = History()
    for number in range(3):
        history.directive(str(number))
    projector = new_generation(tmp_path / "a.db", history, (*ALL, twice))
    catch_up(projector)
    stopped = projector.checkpoints["twice"]
    assert (stopped.position, stopped.error_position) == (1, 2)
    assert "UNIQUE" in str(stopped.error)
    assert seen(projector) == [1]
    assert projector.checkpoints["catalog"].position == 3


@pytest.mark.parametrize("trouble", [RuntimeError("cannot"), OSError("no space")], ids=["an event", "the disk"])
@pytest.mark.parametrize("where", ["of its own", "of another"])
@pytest.mark.parametrize("page", [2, 500])
def test_rolled_back_rows_are_not_cached(tmp_path: Path, page: int, where: str, trouble: Exception) -> None:
    counted, other = Projection("counted", version=1, tables=(COUNT,)), Projection("other", version=1, tables=())
    history, clock, broken = History(), FixedClock(), {3}

    @counted.handler
    def count(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        if rows.get(COUNT, "all") is None:
            rows.append(COUNT, Count("all"))
        rows.change(COUNT, "all").events += 1
        if where == "of its own" and recorded.position in broken:
            raise trouble

    @other.handler
    def fail(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        if where == "of another" and recorded.position in broken:
            raise trouble

    for number in range(5):
        history.directive(str(number))
    projector = new_generation(tmp_path / "a.db", Paged(history.written, [page]), (counted, other), clock)
    with suppress(OSError):
        catch_up(projector)
    broken.clear()
    clock.advance(1_000)
    catch_up(projector)
    assert {checkpoint.position for checkpoint in projector.checkpoints.values()} == {5}
    assert [COUNT.load(row).events for row in projector.connection.execute(COUNT.scan)] == [5]


def test_damaged_bytes_stop_their_readers_but_not_the_feed(tmp_path: Path) -> None:
    history = History()
    history.whole_run("s")
    history.damage(history.head())
    history.write("plane", AuthzModeActive(mode="off"))
    projector = new_generation(tmp_path / "a.db", history)
    catch_up(projector)
    positions = {name: checkpoint.position for name, checkpoint in projector.checkpoints.items()}
    head = history.head()
    assert positions == {projection.name: head - 2 if RunCompleted in projection.events else head for projection in ALL}
    assert str(projector.checkpoints["runs"].error).startswith("Undecodable: position")


def test_trouble_of_the_database_is_raised_and_nothing_is_applied(tmp_path: Path) -> None:
    history = History()
    history.directive("a")
    projector = new_generation(tmp_path / "a.db", history)
    connection = projector.connection

    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

        def executemany(self, statement: str, rows: object) -> object:
            raise OSError("no space")

    projector.connection = Failing()  # type: ignore[assignment]
    with pytest.raises(OSError, match="no space"):
        projector.step()
    projector.connection = connection
    assert projector.position == 0
    catch_up(projector)
    assert projector.position == 1


def test_a_page_has_all_the_rows_that_it_may(tmp_path: Path) -> None:
    history, asked = History(), []

    class Watched(Paged):
        def rows(self, after: int, limit: int, until: int | None = None) -> list:  # type: ignore[type-arg]
            asked.append(limit)
            return super().rows(after, limit, until)

    for number in range(4_000):
        history.write("plane", AuthzModeActive(mode=str(number)))
    watched = Watched(history.written, [10_000])
    projector = Projector(
        new_generation(tmp_path / "a.db", watched).connection, ALL, watched, CODEC.decode, FixedClock(), 2_000
    )
    catch_up(projector)
    assert asked == [2000, 2000, 2000]
    assert projector.position == 4_000


def test_a_replay_stops_at_the_position_that_was_asked_for(tmp_path: Path) -> None:
    history = History()
    for number in range(5):
        history.directive(str(number))
    projector = new_generation(tmp_path / "a.db", history)
    while projector.step(3) is not None:
        pass
    assert {checkpoint.position for checkpoint in projector.checkpoints.values()} == {3}


def test_a_literal_is_a_column_of_text() -> None:
    class Row(msgspec.Struct):
        position: int
        status: Literal["ok", "failed"]
        reason: Literal["late"] | None = None

    (create, *_) = Table("sample", Row, key=("position",)).create
    assert "status TEXT NOT NULL, reason TEXT," in create


def test_a_literal_of_numbers_cannot_be_a_column() -> None:
    class Row(msgspec.Struct):
        position: int
        level: Literal[1, 2]

    with pytest.raises(TypeError, match="sample.level cannot be"):
        Table("sample", Row, key=("position",))

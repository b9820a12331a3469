"""Generations: the serving one, the switch, and the answers of readers."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from athena_core.domain.directive import DirectiveCreated
from athena_core.errors import NotCaughtUp
from athena_core.event import Recorded
from athena_core.protocols import Connection, DatabaseDamaged, PastConnection
from projections import ALL, CATALOG
from projections.directives import DIRECTIVE, DirectiveRow, directive_by_id
from projections.engine import generation
from projections.engine.generation import GenerationFiles
from projections.engine.projection import Projection, Rows
from projections.engine.replay import rebuild, verify
from projections.engine.updater import BACKGROUND_EVENTS_MAX, REST_SECONDS_MAX, REST_SECONDS_MIN, ViewsLost
from projections.engine.views import DAMAGED
from tests.projections.history import History
from tests.projections.support import DATABASES, Plane, catch_up, digests, new_generation
from tests.support.api import PATIENCE_SECONDS, soon
from tests.support.damaged_view import damage


def raised(projection: Projection, version: int = CATALOG.version + 1, breaks: bool = False) -> tuple[Projection, ...]:
    """Return all projections, with another version of one that shows directives in capitals."""
    other = Projection(projection.name, version=version, tables=projection.tables)

    @other.handler
    def directive_created(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        if breaks:
            raise RuntimeError("cannot")
        event, at = recorded.event, recorded.recorded_at
        row = DirectiveRow(recorded.position, event.directive_id, at, False, str(event.input).upper(), None, None, None)
        rows.append(DIRECTIVE, row)

    return tuple(other if one is projection else one for one in ALL)


def again(projection: Projection) -> Projection:
    other = Projection(projection.name, version=projection.version + 1, tables=projection.tables)
    other.handlers, other.events, other.every = projection.handlers, projection.events, projection.every
    return other


@pytest.fixture
def history() -> History:
    history = History()
    history.whole_run("s")
    return history


def test_the_first_updater_makes_the_first_generation(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    assert plane.reader.position(plane.names) == 0
    with pytest.raises(NotCaughtUp):
        plane.reader.query(plane.names, lambda connection: None)
    plane.keep()
    assert plane.reader.position(plane.names) == history.head()
    assert plane.views.signal.position == history.head()
    assert (tmp_path / "current").read_text() == "views-1.db\n"


def test_the_cache_of_a_generation_does_not_outlive_it(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    asyncio.run(plane.reader.wait(plane.names, history.head()))
    (tmp_path / "current").unlink()
    with pytest.raises(NotCaughtUp):
        asyncio.run(plane.reader.wait(plane.names, history.head(), timeout=0))


def test_one_process_keeps_and_the_next_takes_over(tmp_path: Path, history: History) -> None:
    first, second = Plane(tmp_path, history), Plane(tmp_path, history)
    first.keep()
    assert not second.updater.start()
    assert (first.views.updated_here, second.views.updated_here) == (True, False)
    first.updater.close()
    history.directive("later")
    second.keep()
    assert first.reader.position(first.names) == history.head()
    assert second.files() == ["views-1.db"]


def test_an_answer_has_the_position_that_it_reflects(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    directive_id = history.directive("later")
    assert plane.reader.query(["catalog"], lambda c: directive_by_id(c, directive_id)) == (None, history.head() - 1)
    plane.keep()
    found, position = plane.reader.query(["catalog"], lambda c: directive_by_id(c, directive_id))
    assert found is not None
    assert position == history.head()


def test_while_a_raised_version_is_built_only_that_projection_waits(tmp_path: Path, history: History) -> None:
    old = Plane(tmp_path, history)
    old.keep()
    old.updater.close()
    for number in range(6_000):
        history.directive(str(number))
    plane = Plane(tmp_path, history, raised(CATALOG))
    assert plane.updater.start()
    for _ in range(5):
        assert plane.updater.turn()
    assert plane.reader.position(["runs", "sessions", "feed"]) == history.head()
    assert plane.reader.position(["catalog"]) == 0
    with pytest.raises(NotCaughtUp):
        plane.reader.query(["catalog"], lambda connection: None)
    assert plane.files() == ["views-1.db", "views-2.db"]

    plane.keep()
    assert (tmp_path / "current").read_text() == "views-2.db\n"
    found = plane.reader.query(["catalog"], lambda c: directive_by_id(c, history.directive("x")))
    assert found == (None, history.head() - 1)
    inputs = plane.reader.query(["catalog"], lambda c: list(c.execute("SELECT input FROM directive LIMIT 1")))
    assert inputs[0] == [("WHAT WAS ASKED",)]


@pytest.mark.parametrize("renewed", [("runs",), ("runs", "sessions", "catalog"), ("fleet",)], ids=" ".join)
def test_while_raised_versions_are_built_the_others_show_what_they_should(
    tmp_path: Path, history: History, renewed: tuple[str, ...]
) -> None:
    old = Plane(tmp_path, history)
    old.keep()
    old.updater.close()
    for number in range(600):
        history.directive(str(number))
        history.whole_run(f"s{number}")
    plane = Plane(tmp_path, history, tuple(again(one) if one.name in renewed else one for one in ALL))
    assert plane.updater.start()
    while plane.reader.position(["feed"]) < history.head():
        assert plane.updater.turn()
    assert (tmp_path / "current").read_text() == "views-1.db\n"
    others = [one for one in ALL if one.name not in renewed]
    fresh = new_generation(tmp_path / "fresh.db", history)
    catch_up(fresh)
    live = DATABASES.read(tmp_path / "views-1.db")
    assert {checkpoint.error for name, checkpoint in generation.load(live).items() if name not in renewed} == {None}
    assert digests(live, others) == digests(fresh.connection, others)
    live.close()
    fresh.connection.close()


def test_the_old_generation_is_deleted_after_a_minute(tmp_path: Path, history: History) -> None:
    old = Plane(tmp_path, history)
    old.keep()
    old.updater.close()
    plane = Plane(tmp_path, history, raised(CATALOG))
    plane.keep()
    plane.clock.advance(59_000)
    plane.keep()
    assert plane.files() == ["views-1.db", "views-2.db"]
    plane.clock.advance(1_001)
    plane.keep()
    assert plane.files() == ["views-2.db"]
    assert plane.reader.position(plane.names) == history.head()


def test_views_of_another_log_are_never_served(tmp_path: Path, history: History) -> None:
    old = Plane(tmp_path, history)
    old.keep()
    old.updater.close()
    other = History("fedcba9876543210")
    for number in range(BACKGROUND_EVENTS_MAX + 1):
        other.directive(str(number))
    plane = Plane(tmp_path, other)
    assert plane.reader.checkpoints() == {}
    assert plane.updater.start()
    assert plane.updater.turn()
    assert plane.reader.checkpoints() == {}
    plane.keep()
    assert plane.reader.position(plane.names) == other.head()


@pytest.mark.parametrize("kept", [3, 5])
def test_views_of_another_history_of_the_log_are_never_served(tmp_path: Path, history: History, kept: int) -> None:
    """A restored backup is shorter than the checkpoint, or grew past it again."""
    old = Plane(tmp_path, history)
    old.keep()
    old.updater.close()
    restored = History()
    for number in range(kept * 3):
        restored.directive(f"other {number}")
    restored.written = restored.written[: kept if kept == 3 else None]
    plane = Plane(tmp_path, restored)
    assert plane.reader.checkpoints() == {}
    plane.keep()
    assert plane.reader.position(plane.names) == restored.head()
    assert (tmp_path / "current").read_text() == "views-2.db\n"


def test_views_that_cannot_be_read_are_built_anew(tmp_path: Path, history: History) -> None:
    (tmp_path / "views-7.db").write_bytes(b"")
    (tmp_path / "current").write_text("views-7.db\n")
    plane = Plane(tmp_path, history)
    assert plane.reader.checkpoints() == {}
    plane.keep()
    assert plane.reader.position(plane.names) == history.head()
    assert (tmp_path / "current").read_text() == "views-8.db\n"


@pytest.mark.parametrize("content", ["", "../views-1.db\n", "views-99.db\n", "ÿ"])
def test_a_pointer_to_nothing_does_not_count(tmp_path: Path, history: History, content: str) -> None:
    (tmp_path / "current").write_text(content, encoding="latin-1")
    plane = Plane(tmp_path, history)
    assert plane.reader.checkpoints() == {}
    plane.keep()
    assert plane.reader.position(plane.names) == history.head()


def test_a_build_that_was_cut_short_leaves_nothing(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    plane.updater.close()
    new_generation(tmp_path / "views-2.db", history).step()  # its process was killed here
    again = Plane(tmp_path, history)
    again.keep()
    assert again.files() == ["views-1.db", "views-2.db"]
    again.clock.advance(60_001)
    again.keep()
    assert again.files() == ["views-1.db"]


def test_a_updater_that_leaves_takes_its_unfinished_build_along(tmp_path: Path, history: History) -> None:
    old = Plane(tmp_path, history)
    old.keep()
    old.updater.close()
    for number in range(2_000):
        history.directive(str(number))
    plane = Plane(tmp_path, history, raised(CATALOG))
    assert plane.updater.start()
    assert plane.updater.turn()
    assert plane.files() == ["views-1.db", "views-2.db"]
    plane.updater.close()
    assert plane.files() == ["views-1.db"]


def test_a_generation_that_would_take_something_away_is_not_switched_to(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    plane.updater.close()
    broken = Plane(tmp_path, history, raised(CATALOG, version=CATALOG.version, breaks=True))
    name = broken.views.generations.fresh()
    new_generation(tmp_path / name, history, broken.views.projections).connection.close()
    broken.views.generations.offer(name, broken.views.generations.builder_lock())
    broken.keep()
    assert (tmp_path / "current").read_text() == "views-1.db\n"
    assert broken.reader.position(broken.names) == history.head()


@pytest.mark.parametrize("wrong", ["log", "version"])
def test_a_candidate_that_does_not_fit_is_dropped(tmp_path: Path, history: History, wrong: str) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    name = plane.views.generations.fresh()
    other = History("fedcba9876543210") if wrong == "log" else history
    new_generation(tmp_path / name, other, raised(CATALOG) if wrong == "version" else ALL).connection.close()
    plane.views.generations.offer(name, plane.views.generations.builder_lock())
    plane.clock.advance(250)
    plane.keep()
    assert (tmp_path / "current").read_text() == "views-1.db\n"
    assert not (tmp_path / "candidate").exists()


def test_a_candidate_replaces_what_the_updater_builds_itself(tmp_path: Path, history: History) -> None:
    old = Plane(tmp_path, history)
    old.keep()
    old.updater.close()
    for number in range(2_000):
        history.directive(str(number))
    projections = raised(CATALOG)
    plane = Plane(tmp_path, history, projections)
    assert plane.updater.start()
    assert plane.updater.turn()
    name = plane.views.generations.fresh()
    new_generation(tmp_path / name, history, projections).connection.close()
    plane.views.generations.offer(name, plane.views.generations.builder_lock())
    plane.clock.advance(250)
    plane.keep()
    assert (tmp_path / "current").read_text() == "views-3.db\n"
    assert plane.files() == ["views-1.db", "views-3.db"]


def test_a_reader_waits_until_the_updater_of_its_process_is_there(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    history.directive("later")

    async def read() -> None:
        waiting = asyncio.ensure_future(plane.reader.wait(plane.names, history.head(), 30))
        await asyncio.sleep(0)
        assert (plane.views.hurry.is_set(), waiting.done()) == (True, False)
        plane.keep()
        await waiting
        assert not plane.views.hurry.is_set()

    asyncio.run(read())


def test_a_reader_of_an_empty_log_waits_until_there_are_views(tmp_path: Path) -> None:
    plane = Plane(tmp_path, History())

    async def read() -> None:
        waiting = asyncio.ensure_future(plane.reader.wait(plane.names, 0, 30))
        await asyncio.sleep(0)
        assert not waiting.done()
        plane.keep()
        await waiting
        plane.reader.query(plane.names, lambda rows: None)

    asyncio.run(read())


def test_a_reader_waits_for_an_updater_in_another_process(tmp_path: Path, history: History) -> None:
    updater, plane = Plane(tmp_path, history), Plane(tmp_path, history)

    async def read() -> None:
        waiting = asyncio.ensure_future(plane.reader.wait(plane.names, history.head(), 30))
        await asyncio.sleep(0)
        assert not waiting.done()
        updater.keep()
        await waiting

    asyncio.run(read())


def test_a_reader_that_waited_long_enough_gets_the_position_of_the_views(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    with pytest.raises(NotCaughtUp) as caught:
        asyncio.run(plane.reader.wait(plane.names, history.head() + 1, 0.0))
    assert caught.value.details == {"position": history.head(), "head": history.head()}


def test_a_reader_of_a_stopped_projection_is_refused_at_once(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    history.damage(history.head())
    plane.keep()
    with pytest.raises(NotCaughtUp, match=r"runs stopped at position \d+: Undecodable") as caught:
        asyncio.run(plane.reader.wait(["runs"], history.head(), 3600.0))
    assert isinstance(caught.value.details, dict)
    assert caught.value.details["position"] == history.head() - 1
    asyncio.run(plane.reader.wait(["catalog", "feed"], history.head(), 3600.0))


def test_the_thread_updates_until_it_is_stopped(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    stop = threading.Event()
    thread = threading.Thread(target=plane.updater.run, args=(stop,))
    thread.start()

    async def read() -> None:
        await plane.reader.wait(plane.names, history.head(), 30)
        history.directive("later")
        plane.views.log_signal.advance(history.head())
        await plane.reader.wait(plane.names, history.head(), 30)

    asyncio.run(read())
    stop.set()
    plane.views.log_signal.nudge()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert (plane.views.failure, plane.views.updated_here) == (None, False)


class Troubled(threading.Event):
    """A stop during the updater's wait after a failure, after ``repair``."""

    def __init__(self, repair: Callable[[], bool]) -> None:
        super().__init__()
        self._repair = repair

    def wait(self, timeout: float | None = None) -> bool:
        if self._repair():
            self.set()
        return self.is_set()


def test_trouble_with_the_database_reaches_readers_and_it_is_tried_again(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    whole = history.rows
    failures = []

    def rows(after: int, limit: int, until: int | None = None) -> list:  # type: ignore[type-arg]
        raise OSError("the disk is gone")

    history.rows = rows  # type: ignore[method-assign]

    def repair() -> bool:
        failures.append(plane.views.failure)
        if len(failures) == 1:
            with pytest.raises(NotCaughtUp, match="the disk is gone"):
                asyncio.run(plane.views.reader(history).wait(plane.names, history.head(), 3600.0))
            other = Plane(tmp_path, History()).updater
            assert other.start()  # the lock is free
            other.close()
        elif len(failures) == 2:
            history.rows = whole  # type: ignore[method-assign]
        return False

    stop = Troubled(repair)
    thread = threading.Thread(target=plane.updater.run, args=(stop,))
    thread.start()
    asyncio.run(wait_for_recovery(plane, history))
    stop.set()
    plane.views.log_signal.nudge()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert failures[:2] == ["OSError: the disk is gone"] * 2
    assert plane.views.failure is None


def moved(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))


def deleted(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()


def only_the_database_deleted(directory: Path) -> None:
    (directory / "views-1.db").unlink()


def replaced(directory: Path) -> None:
    copy = directory / "copy"
    copy.write_bytes((directory / "views-1.db").read_bytes())
    copy.rename(directory / "views-1.db")


def pointer_deleted(directory: Path) -> None:
    (directory / "current").unlink()


VANISH = (moved, deleted, only_the_database_deleted, replaced, pointer_deleted)


@pytest.mark.parametrize("vanish", VANISH)
def test_views_that_vanish_are_noticed_at_the_next_look_and_rebuilt(
    tmp_path: Path, history: History, vanish: Callable[[Path], None]
) -> None:
    directory = tmp_path / "views"
    plane = Plane(directory, history)
    plane.keep()
    before = plane.digests()
    vanish(directory)
    plane.clock.advance(250)
    with pytest.raises(ViewsLost, match=r"views-1\.db was moved, deleted or replaced"):
        plane.updater.turn()
    plane.updater.close()
    plane.keep()
    assert plane.digests() == before
    history.directive("later")
    plane.keep()
    assert plane.reader.position(plane.names) == history.head()
    plane.clock.advance(250)
    assert not plane.updater.turn(), "what serves now stays"


@pytest.mark.parametrize("vanish", VANISH)
def test_another_process_goes_on_with_views_that_vanished(
    tmp_path: Path, history: History, vanish: Callable[[Path], None]
) -> None:
    directory = tmp_path / "views"
    first, second = Plane(directory, history), Plane(directory, history)
    first.keep()
    before = first.digests()
    assert second.digests() == before
    vanish(directory)
    first.clock.advance(250)
    with pytest.raises(ViewsLost):
        first.updater.turn()
    first.updater.close()
    history.directive("later")
    second.keep()
    assert first.digests() == second.digests() != before


def test_damage_behind_the_first_rows_of_a_result_is_named_as_damage(tmp_path: Path, history: History) -> None:
    for number in range(600):
        history.directive(str(number))
    plane = Plane(tmp_path, history)
    plane.keep()
    damage(tmp_path / "views-1.db", "directive")
    connection = DATABASES.read(tmp_path / "views-1.db")
    for rows in (connection.execute(DIRECTIVE.scan), connection.stream(DIRECTIVE.scan)):
        next(rows)
        with pytest.raises(DatabaseDamaged, match="malformed"):
            list(rows)
    connection.close()


def directives(connection: Connection) -> int:
    return len(list(connection.execute(DIRECTIVE.scan)))


def test_damage_that_only_readers_meet_is_healed_while_the_rest_serves(tmp_path: Path, history: History) -> None:
    plane, other = Plane(tmp_path, history), Plane(tmp_path, history)
    plane.keep()
    before = plane.digests()
    plane.reader.close()
    damage(tmp_path / "views-1.db", "directive")
    with pytest.raises(NotCaughtUp, match=r"views-1\.db is damaged; another generation is being built beside it"):
        other.reader.query(["catalog"], directives)  # by a process that does not keep the views
    assert {plane.reader.trouble, other.reader.trouble} == {DAMAGED.format(name="views-1.db")}
    plane.clock.advance(250)
    assert plane.updater.turn()
    assert other.reader.query(["runs"], lambda rows: True) == (True, history.head())
    plane.keep()
    assert plane.digests() == other.digests() == before
    assert {plane.reader.trouble, other.reader.trouble} == {None}
    assert not (tmp_path / "damaged").exists()
    assert plane.files() == ["views-1.db", "views-2.db"]
    plane.clock.advance(250)
    assert not plane.updater.turn(), "what serves now stays"


def test_a_generation_that_is_damaged_again_soon_is_replaced_after_a_rest_that_doubles(
    tmp_path: Path, history: History
) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()

    def replaced() -> bool:
        """Return whether the serving generation is replaced at once when a reader finds it damaged."""
        name = plane.views.generations.current()
        assert name is not None
        plane.views.condemn(name)
        plane.clock.advance(250)
        plane.keep()
        return plane.views.generations.current() != name

    assert replaced()
    for rest in (REST_SECONDS_MIN, 2 * REST_SECONDS_MIN, 4 * REST_SECONDS_MIN):
        plane.clock.advance(round(rest * 1_000) - 500)
        assert not replaced()
        assert plane.problems.failing(), "it is said meanwhile"
        assert replaced()
    plane.clock.advance(round(2 * REST_SECONDS_MAX * 1_000))
    assert replaced()
    plane.clock.advance(round(REST_SECONDS_MIN * 1_000))
    assert replaced(), "the rests begin anew"


@pytest.mark.parametrize("where", ["page", "cell"])
def test_a_generation_without_a_position_is_not_served(tmp_path: Path, history: History, where: str) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    if where == "page":
        damage(tmp_path / "views-1.db", "generation")
    else:
        connection = DATABASES.write(tmp_path / "views-1.db")
        connection.execute("UPDATE generation SET checkpoints = ?", (b"no checkpoints",))
        connection.close()
    assert plane.reader.checkpoints() == {}
    assert plane.reader.trouble is not None
    plane.clock.advance(250)
    plane.keep()
    assert plane.reader.position(plane.names) == history.head()
    assert plane.reader.trouble is None


def test_a_comparison_that_meets_damage_says_so_and_has_it_healed(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    damage(tmp_path / "views-1.db", "directive")
    with pytest.raises(NotCaughtUp, match="is damaged"):
        verify(plane.views)
    plane.clock.advance(250)
    plane.keep()
    assert all(verdict.equal for verdict in verify(plane.views))


def test_the_thread_reports_damage_until_another_generation_serves(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    damage(tmp_path / "views-1.db", "directive")
    with pytest.raises(NotCaughtUp):
        plane.reader.query(["catalog"], directives)
    problems: list[tuple[str, ...]] = []
    step = plane.updater.turn

    def turn() -> bool:
        more = step()
        problems.append(tuple(problem.message for problem in plane.problems.failing()))
        if not more:
            stop.set()
        return more

    plane.clock.advance(250)
    plane.updater.turn = turn  # type: ignore[method-assign]
    stop = threading.Event()
    plane.updater.run(stop)
    assert problems[0] == ("NOT_CAUGHT_UP: views-1.db is damaged; another generation is being built beside it",)
    assert plane.problems.failing() == ()


def test_readers_are_refused_while_another_file_is_in_the_place_of_the_views(tmp_path: Path, history: History) -> None:
    directory = tmp_path / "views"
    plane = Plane(directory, history)
    plane.keep()
    moved(directory)
    directory.touch()
    assert plane.reader.checkpoints() == {}
    with pytest.raises(NotCaughtUp):
        plane.reader.query(plane.names, lambda connection: None)


def test_the_thread_says_that_the_views_vanished_and_rebuilds_them(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path / "views", history)
    failures = []

    def repair() -> bool:
        failures.append(plane.views.failure)
        return False

    stop = Troubled(repair)
    thread = threading.Thread(target=plane.updater.run, args=(stop,), daemon=True)
    thread.start()
    asyncio.run(wait_for_recovery(plane, history))
    moved(tmp_path / "views")
    for _ in soon():
        plane.clock.advance(250)
        if failures:
            break
    asyncio.run(wait_for_recovery(plane, history))
    stop.set()
    plane.views.log_signal.nudge()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert failures[0] is not None
    assert failures[0].startswith("ViewsLost: views-1.db was moved, deleted or replaced")
    assert plane.views.failure is None


async def wait_for_recovery(plane: Plane, history: History) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await plane.reader.wait(plane.names, history.head(), 1.0)
            except NotCaughtUp:
                await asyncio.sleep(0.001)


def test_a_rebuild_in_the_same_process_is_taken_up(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()
    assert list(rebuild(plane.views))[-1].outcome == "candidate"
    plane.clock.advance(250)
    plane.keep()
    assert (tmp_path / "current").read_text() == "views-2.db\n"


def test_a_reader_that_could_not_open_the_views_looks_again(tmp_path: Path, history: History) -> None:
    plane = Plane(tmp_path, history)
    plane.keep()

    class Exhausted:
        def read(self, path: Path) -> Connection:
            raise OSError("too many open files")

        def write(self, path: Path) -> Connection:
            raise OSError("too many open files")

        def past(self, path: Path) -> PastConnection:
            raise OSError("too many open files")

        def scrub(self, path: Path, seconds: float) -> None:
            raise OSError("too many open files")

    generations, plane.views.generations = plane.views.generations, GenerationFiles(tmp_path, Exhausted())
    assert plane.reader.checkpoints() == {}
    plane.views.generations = generations
    assert plane.reader.position(plane.names) == history.head()

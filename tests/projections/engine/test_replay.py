"""Replays: to serve, to compare, to look at."""

from pathlib import Path

import pytest

from athena_core.domain.run import UsageRecorded
from projections import ALL
from projections.engine.projection import SINCE
from projections.engine.replay import ReplayRunning, ReplayStopped, rebuild, rehearse, verify
from tests.projections.damaged_past import damage_the_past, long_history
from tests.projections.history import History
from tests.projections.support import DATABASES, Plane, catch_up, digests, new_generation


@pytest.fixture
def history() -> History:
    history = History()
    for number in range(200):
        history.whole_run(f"s{number % 7}", f"said {number}")
    return history


@pytest.fixture
def plane(tmp_path: Path, history: History) -> Plane:
    plane = Plane(tmp_path, history)
    plane.keep()
    return plane


def test_a_rebuild_without_an_updater_switches_alone(tmp_path: Path, plane: Plane) -> None:
    before = plane.digests()
    plane.updater.close()
    progress = list(rebuild(plane.views))
    assert progress[-1].outcome == "switched"
    assert progress[-1].position == progress[-1].head == plane.history.head()
    assert [step.outcome for step in progress[:-1]] == [None] * (len(progress) - 1)
    assert (tmp_path / "current").read_text() == "views-2.db\n"
    assert plane.digests() == before
    Plane(tmp_path, plane.history).keep()


def test_a_rebuild_beside_an_updater_leaves_a_candidate_that_it_catches_up(tmp_path: Path, plane: Plane) -> None:
    other = Plane(tmp_path, plane.history)  # another process
    progress = []
    for step in rebuild(other.views):
        progress.append(step)
        plane.history.whole_run("meanwhile")  # live writes go on, and are served
        plane.keep()
        assert plane.reader.position(plane.names) == plane.history.head()
    assert progress[-1].outcome == "candidate"
    plane.history.whole_run("later")
    plane.clock.advance(250)
    plane.keep()
    assert (tmp_path / "current").read_text() == "views-2.db\n"
    assert not (tmp_path / "candidate").exists()
    assert plane.reader.position(plane.names) == plane.history.head()
    assert all(verdict.equal for verdict in verify(other.views))


def test_a_rebuild_that_is_killed_leaves_the_live_views_alone(tmp_path: Path, plane: Plane) -> None:
    before = plane.digests()
    running = rebuild(Plane(tmp_path, plane.history).views)
    next(running)
    assert plane.files() == ["views-1.db", "views-2.db"]
    running.close()
    assert plane.files() == ["views-1.db"]

    new_generation(tmp_path / "views-9.db", plane.history).step()  # killed without a chance to tidy up
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "views.db").touch()
    assert plane.digests() == before
    assert list(rebuild(plane.views))[-1].outcome == "candidate"
    assert plane.files() == ["views-1.db", "views-2.db"]
    assert all(verdict.equal for verdict in verify(plane.views))
    assert not (tmp_path / "scratch").exists()


def test_one_replay_runs_at_a_time(tmp_path: Path, plane: Plane) -> None:
    running = rebuild(plane.views)
    next(running)
    with pytest.raises(ReplayRunning):
        verify(Plane(tmp_path, plane.history).views)
    running.close()
    verify(Plane(tmp_path, plane.history).views)


def test_a_rebuild_that_cannot_be_complete_is_given_up(plane: Plane) -> None:
    plane.history.damage(plane.history.head())
    with pytest.raises(ReplayStopped, match=f"stopped at position {plane.history.head()}"):
        list(rebuild(plane.views))
    assert plane.files() == ["views-1.db"]
    assert plane.reader.position(plane.names) == plane.history.head()


def test_views_that_were_not_touched_are_verified(plane: Plane) -> None:
    verdicts = verify(plane.views)
    assert [verdict.projection for verdict in verdicts] == [projection.name for projection in ALL]
    for verdict in verdicts:
        assert verdict.equal
        assert verdict.live_digest == verdict.replayed_digest == plane.digests()[verdict.projection]
        assert verdict.position == plane.history.head()
    assert verdicts[-1].rows == plane.history.head()
    assert [verdict.projection for verdict in verify(plane.views, ["feed"])] == ["feed"]


def test_a_row_that_was_tampered_with_is_found(tmp_path: Path, plane: Plane) -> None:
    connection = DATABASES.write(tmp_path / "views-1.db")
    connection.execute("UPDATE run SET model = 'better' WHERE position = (SELECT max(position) FROM run)")
    connection.close()
    (found,) = (verdict for verdict in verify(plane.views) if not verdict.equal)
    assert (found.projection, found.differences[0].table, found.differences[0].edited) == ("runs", "run", 1)


@pytest.mark.heavy
def test_a_past_that_was_tampered_with_is_found_in_every_table(tmp_path: Path) -> None:
    plane = Plane(tmp_path, long_history())
    plane.keep()
    assert all(verdict.equal for verdict in verify(plane.views))
    connection = DATABASES.write(tmp_path / "views-1.db")
    damaged = {
        projection.name: differences
        for projection in ALL
        if (differences := tuple(filter(None, (damage_the_past(connection, table) for table in projection.tables))))
    }
    connection.close()
    assert sum(map(len, damaged.values())) > 30, "tables with earlier versions"
    found = {one.projection: one.differences for one in verify(plane.views) if not one.equal}
    assert found == damaged
    *_, rebuilt = rebuild(plane.views)
    plane.clock.advance(250)
    plane.keep()
    assert all(verdict.equal for verdict in verify(plane.views)), rebuilt


def test_a_row_that_claims_another_block_is_found(plane: Plane, tmp_path: Path) -> None:
    """Reads of the past leave out a row that changed after their block."""
    connection = DATABASES.write(tmp_path / "views-1.db")
    connection.execute(f"UPDATE session SET {SINCE} = 7 WHERE session_id = 's3'")
    connection.close()
    (found,) = (verdict for verdict in verify(plane.views) if not verdict.equal)
    assert list(map(str, found.differences)) == ["session: 1 edited (first: s3)"]


def test_a_stopped_projection_is_verified_up_to_its_position(tmp_path: Path) -> None:
    history = History()
    for number in range(3):
        history.whole_run(f"s{number}")
    history.damage(history.head() - 1)  # usage.recorded
    plane = Plane(tmp_path, history)
    plane.keep()
    positions = {verdict.projection: (verdict.position, verdict.equal) for verdict in verify(plane.views)}
    head = history.head()
    assert positions == {
        projection.name: (head - 2 if UsageRecorded in projection.events else head, True) for projection in ALL
    }


def test_text_that_is_erased_during_a_verification_makes_no_difference(tmp_path: Path, plane: Plane) -> None:
    """The snapshot still has the text, and the log does not: both are read again."""
    history = plane.history
    entry = next(row.position for row in history.written if row.type == "transcript.appended")
    read = history.rows
    turns = []

    def rows(after: int, limit: int, until: int | None = None) -> list:  # type: ignore[type-arg]
        turns.append(after)
        if len(turns) == 1:
            history.redact(entry)
        found = read(after, limit, until)
        if len(turns) == 10:
            history.rows = read  # type: ignore[method-assign]
            plane.keep()
        return found

    history.rows = rows  # type: ignore[method-assign]
    verdicts = verify(plane.views)
    assert all(verdict.equal for verdict in verdicts)
    assert verdicts[0].position == history.head()


def test_a_rehearsal_never_switches(tmp_path: Path, plane: Plane) -> None:
    final = list(rehearse(plane.views, to=100))[-1]
    projector = new_generation(tmp_path / "expected.db", plane.history)
    while projector.step(100) is not None:
        pass
    assert (final.outcome, final.position, final.digests) == ("rehearsed", 100, digests(projector.connection))
    catch_up(projector)
    whole = list(rehearse(plane.views, names=["feed"]))[-1]
    assert whole.digests == {"feed": digests(projector.connection)["feed"]}
    assert (tmp_path / "current").read_text() == "views-1.db\n"
    assert plane.files() == ["views-1.db"]

"""``athena replay`` and ``athena verify``: what is right is confirmed, what was touched is named."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from projections import ALL
from tests.cli.terminal import Terminal

NAMES = {projection.name for projection in ALL}


@pytest.fixture
def worked(terminal: Terminal) -> Iterator[Terminal]:
    """A terminal whose log holds two runs."""
    for session in ("a", "b"):
        assert terminal.run("run", "--session", session, "--input", "x", "--transport", "local").code == 0
    yield terminal


def change(path: Path, statement: str) -> None:
    """Touch a database behind everybody's back."""
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def views(terminal: Terminal) -> Path:
    """The generation that serves."""
    folder = terminal.state_dir / "views"
    return folder / (folder / "current").read_text().strip()


def test_a_replay_builds_a_new_generation_and_lets_it_serve(worked: Terminal) -> None:
    before = views(worked)
    rehearsed = worked.run("replay", "--dry-run").data
    assert views(worked) == before
    done = worked.run("replay").data
    assert views(worked) != before
    assert (rehearsed["outcome"], done["outcome"]) == ("rehearsed", "switched")
    assert done["digests"] == rehearsed["digests"]
    assert set(done["digests"]) == NAMES
    assert done["position"] == done["head"] == rehearsed["position"]
    assert {"seconds", "eventsPerSecond"} <= set(done)


def test_a_replay_to_a_position_never_serves(worked: Terminal) -> None:
    before = views(worked)
    done = worked.run("replay", "--to", "5").data
    assert (done["position"], done["outcome"], views(worked)) == (5, "rehearsed", before)
    assert done["digests"] != worked.run("replay", "--dry-run").data["digests"]


def test_beside_a_server_the_server_switches(worked: Terminal) -> None:
    with worked.server():
        assert worked.run("replay").data["outcome"] == "candidate"
        assert worked.run("replay", "--verify").data["outcome"] == "equal"
        assert worked.run("events", "list", "--session", "a").data["events"]


def test_views_that_are_right_are_confirmed(worked: Terminal) -> None:
    summary = worked.run("replay", "--verify").data
    assert summary["outcome"] == "equal"
    assert {verdict["projection"] for verdict in summary["verdicts"]} == NAMES
    assert all(verdict["equal"] for verdict in summary["verdicts"])


def test_a_view_that_was_touched_is_named(worked: Terminal) -> None:
    change(views(worked), "UPDATE feed SET type = 'run.invented' WHERE position = 3")
    result = worked.run("replay", "--verify")
    assert result.code == 1
    assert '"outcome":"different"' in result.out
    assert result.err.startswith("Error: the views differ from a replay: feed at position ")
    assert worked.run("replay").code == 0
    assert worked.run("replay", "--verify").code == 0


def test_without_views_there_is_nothing_to_compare(worked: Terminal) -> None:
    (worked.state_dir / "views" / "current").unlink()
    result = worked.run("replay", "--verify")
    assert (result.code, result.out) == (1, "")
    assert result.err == "Error: NOT_CAUGHT_UP: there are no views yet\n"


def test_a_log_that_is_right_is_confirmed(worked: Terminal) -> None:
    report = worked.run("verify").data
    assert (report["ok"], report["violations"], report["runs"], report["openRuns"]) == (True, [], 2, 0)
    with worked.server():
        assert worked.run("verify").data["head"] == report["head"] + 1


@pytest.mark.parametrize("table", ["data", "text"])
def test_a_byte_that_was_touched_is_named_by_position(worked: Terminal, table: str) -> None:
    touched = f"UPDATE log SET {table} = CAST(replace(CAST({table} AS TEXT), '\"', '''') AS BLOB) WHERE position = 7"
    change(worked.state_dir / "log.db", touched)
    result = worked.run("verify")
    assert result.code == 1
    assert '"ok":false' in result.out
    assert result.err.startswith("Error: the log does not verify: position 7: the ")


def test_a_row_that_was_taken_out_is_named(worked: Terminal) -> None:
    change(worked.state_dir / "log.db", "DELETE FROM log WHERE position = 4")
    result = worked.run("verify")
    assert result.code == 1
    assert result.err.startswith("Error: the log does not verify: position 4: missing")


def test_a_tail_that_was_cut_is_noticed(worked: Terminal) -> None:
    head = worked.run("verify").data["head"]
    change(worked.state_dir / "log.db", f"DELETE FROM log WHERE position = {head}")
    result = worked.run("verify")
    assert result.code == 1
    assert f'"reason":"the log once reached position {head} and ends at {head - 1}"' in result.out


def test_verifying_writes_nothing(worked: Terminal) -> None:
    log = worked.state_dir / "log.db"
    before = (log.read_bytes(), log.stat().st_mtime_ns)
    worked.run("verify")
    assert (log.read_bytes(), log.stat().st_mtime_ns) == before

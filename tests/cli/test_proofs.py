"""``athena replay`` and ``athena verify``: correct views and logs are confirmed, changed ones are named."""

from pathlib import Path

import apsw

from projections import ALL
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal

NAMES = {projection.name for projection in ALL}


def change(path: Path, statement: str) -> None:
    """Change a database without Athena."""
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def views(terminal: Terminal) -> Path:
    """Return the generation in use."""
    folder = terminal.state_dir / "views"
    return folder / (folder / "current").read_text().strip()


def test_a_replay_builds_a_new_generation_and_lets_it_serve(history: Terminal) -> None:
    before = views(history)
    rehearsed = history.run("replay", "--dry-run").data
    assert views(history) == before
    done = history.run("replay").data
    assert views(history) != before
    assert (rehearsed["outcome"], done["outcome"]) == ("rehearsed", "switched")
    assert done["digests"] == rehearsed["digests"]
    assert set(done["digests"]) == NAMES
    assert done["position"] == done["head"] == rehearsed["position"]
    assert {"seconds", "eventsPerSecond"} <= set(done)


def test_a_replay_to_a_position_never_serves(history: Terminal, here: Here) -> None:
    before = views(history)
    done = here("replay", "--to", "5").data
    assert (done["position"], done["outcome"], views(history)) == (5, "rehearsed", before)
    assert done["digests"] != here("replay", "--dry-run").data["digests"]


def test_beside_a_server_the_server_switches(history: Terminal, here: Here) -> None:
    with history.served():
        assert here("replay").data["outcome"] == "candidate"
        assert here("replay", "--verify").data["outcome"] == "equal"
        assert here("events", "list", "--session", "one").data["events"]


def test_a_server_and_a_replay_have_equal_digests(history: Terminal, here: Here) -> None:
    with history.served():
        told = here("digests").data
        rehearsed = here("replay", "--dry-run").data
    assert {name: one["sha256"] for name, one in told["views"].items()} == rehearsed["digests"]
    assert {one["position"] for one in told["views"].values()} == {rehearsed["position"]}
    assert told["generation"] == views(history).name


def test_views_that_are_right_are_confirmed(history: Terminal, here: Here) -> None:
    summary = here("replay", "--verify").data
    assert summary["outcome"] == "equal"
    assert {verdict["projection"] for verdict in summary["verdicts"]} == NAMES
    assert all(verdict["equal"] for verdict in summary["verdicts"])


def test_a_view_that_was_touched_is_named(history: Terminal, here: Here) -> None:
    change(views(history), "UPDATE feed SET type = 'run.invented' WHERE position = 3")
    result = here("replay", "--verify")
    assert result.code == 1
    assert '"outcome":"different"' in result.out
    assert result.err.startswith("error: the views differ from a replay: feed at position ")
    assert here("replay").code == 0
    assert here("replay", "--verify").code == 0


def test_without_views_they_are_built_and_compared(history: Terminal, here: Here) -> None:
    (history.state_dir / "views" / "current").unlink()
    assert here("replay", "--verify").data["outcome"] == "equal"
    assert (history.state_dir / "views" / "current").exists()


def test_a_log_that_is_right_is_confirmed(history: Terminal, here: Here) -> None:
    report = here("verify").data
    assert (report["ok"], report["violations"], report["runs"], report["openRuns"]) == (True, [], 3, 0)
    with history.served():
        assert here("verify").data["head"] == report["head"] + 1


def test_verifying_writes_nothing(history: Terminal, here: Here) -> None:
    log = history.state_dir / "log.db"
    before = (log.read_bytes(), log.stat().st_mtime_ns)
    here("verify")
    assert (log.read_bytes(), log.stat().st_mtime_ns) == before

"""Damaged pages of every table and index: noticed, named, healed or refused with a remedy that works."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from athena_core.log.sqlite.integrity import inspect
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.scale import sized
from tests.support.api import soon
from tests.support.records import put_filler
from tests.support.server import Server

TREES = "SELECT DISTINCT name FROM dbstat ORDER BY name"
PAGES = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY path"
REFUSALS = {"STORE_DAMAGED", "NOT_CAUGHT_UP", "OUTCOME_UNKNOWN"}
PAGE_BYTES = 4_096


class Lived(NamedTuple):
    """A state directory with all tables filled, a backup of it, and what to ask for."""

    state: Path
    backup: Path
    run_id: str
    session_id: str


def lived_in(directory: Path) -> Lived:
    """Let a server fill every table with several pages where that is cheap."""
    with Server(directory) as server:
        api = server.api
        for number in range(60):
            api.post("/directives", {"input": f"{number} " * 150}, key=f"key-{number}")
        runs = [api.run(f"hello {number}", sessionId="one", key=f"run-{number}") for number in range(3)]
        for _ in soon():
            if api.get("/admin/health")["lag"] == 0:
                break
    with closing(apsw.Connection(str(server.state_dir / "log.db"))) as log:
        log.execute("INSERT INTO checkpoint VALUES ('follower', 1)")
        log.execute("INSERT INTO token_use VALUES ('tok_1', 1)")
        log.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    terminal = Terminal(directory)
    backup = directory / "backup.athena"
    done = terminal.run("backup", str(backup), state_dir=str(server.state_dir))
    terminal.close()
    assert done.code == 0, done.err
    return Lived(server.state_dir, backup, runs[0]["runId"], "one")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return lived_in(tmp_path_factory.mktemp("lived"))


def trees(path: Path) -> list[str]:
    """Return the names of all tables and indexes that have pages."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return [str(name) for (name,) in connection.execute(TREES)]


def pages(path: Path, tree: str, kind: str) -> list[int]:
    """Return the pages of a kind of a table or index, in its order. Those that are damaged are left out."""
    found: list[int] = []
    harmless = (apsw.CorruptError, apsw.NotADBError, apsw.BusyError)  # a reader may keep the WAL: it is tried again
    with closing(apsw.Connection(str(path))) as connection, suppress(*harmless):
        connection.set_busy_timeout(10_000)
        found = [int(page) for (page,) in connection.execute(PAGES, (tree, kind))]
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)  # after a read, which opens the WAL
    return found


def overwrite(path: Path, page: int) -> None:
    """Overwrite a page but for the header of the file."""
    head = 100 if page == 1 else 0
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES + head)
        file.write((bytes(range(256)) * (PAGE_BYTES // 256))[head:])


def hurt(path: Path, tree: str, *, wholly: bool = False) -> None:
    """Overwrite the middle leaf of a table or index, or all of its leaves, also while a server uses it.

    Repeat that until the damage shows: the server may have newer pages in the WAL. A commit after it makes sure that
    no connection trusts the pages in its memory.
    """
    for _ in soon():
        leaves = pages(path, tree, "leaf")
        for page in leaves if wholly else leaves[len(leaves) // 2 :][:1]:
            overwrite(path, page)
        with closing(apsw.Connection(str(path))) as connection:
            connection.set_busy_timeout(10_000)
            with suppress(apsw.CorruptError, apsw.NotADBError):
                connection.execute("PRAGMA user_version = 1")
                connection.execute("PRAGMA user_version = 0")
            if inspect(connection).faults:
                return


def sampled(names: list[str], ci: int) -> list[str]:
    """Return all names, or for smaller sizes some of them, evenly spread."""
    count = sized(2, ci, len(names))
    return [names[number * len(names) // count] for number in range(min(count, len(names)))]


def used(server: Server, lived: Lived, *, writes: bool = True) -> Iterator[tuple[str, int, str]]:
    """Yield the answers to reads and writes that meet most tables: path, status and error code."""
    api, url = server.api, server.url + "/api/v1"
    gets = (
        "/events?limit=500",
        f"/events?sessionId={lived.session_id}",
        "/runs?limit=200",
        f"/runs/{lived.run_id}",
        f"/runs/{lived.run_id}/explain",
        f"/sessions/{lived.session_id}",
        "/directives?limit=200",
        "/admin/health",
        "/tokens",
    )
    for path in gets:
        answer = api.http.get(url + path)
        yield path, answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]
    posts = {
        f"/runs/{lived.run_id}/cancel": {},
        f"/runs/{lived.run_id}/retry": {},
        "/runs": {"input": "again", "sessionId": lived.session_id},
        "/directives": {"input": "anew"},
    }
    for number in range(40 if writes else 0):
        for path, body in posts.items() if number == 0 else (("/directives", {"input": f"more {number}"}),):
            answer = api.http.post(url + path, json=body, headers={"idempotency-key": f"{path}-{number}"})
            yield path, answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]


def alive(server: Server, lived: Lived, case: str) -> list[tuple[str, int, str]]:
    """Fail if the server ends, or answers an unexpected error. Return the answers that named damage."""
    found = list(used(server, lived))
    bad = [
        one for one in found if one[1] >= 500 and one[2] not in {"STORE_DAMAGED", "NOT_CAUGHT_UP", "OUTCOME_UNKNOWN"}
    ]
    assert not bad, (case, bad)
    assert server.alive, (case, server.log_path.read_text()[-3_000:])
    assert server.api.http.get(server.url + "/livez").status_code == 200, case
    return [one for one in found if one[2] == "STORE_DAMAGED"]


def started(place: Path, lived: Lived, terminal: Terminal, case: str) -> None:
    """Start a server on a damaged log: it goes on, or refuses to start and states a remedy."""
    server = Server(place)
    try:
        server.start()
    except AssertionError:
        refused = terminal.run("serve", port="0")
        assert refused.code in {1, 2}, (case, refused.err)
        assert "athena doctor --repair" in refused.err or "athena restore" in refused.err, (case, refused.err)
        assert "Traceback" not in refused.err, (case, refused.err)
        return
    try:
        alive(server, lived, case)
    finally:
        server.kill()


def named(tree: str, tables: set[str]) -> str:
    return f"table {tree} is damaged" if tree in tables else f"index {tree} of table"


@pytest.mark.heavy
def test_a_damaged_page_of_the_log_is_named_and_healed_or_refused(
    lived: Lived, here: Here, terminal: Terminal, tmp_path: Path
) -> None:
    with closing(apsw.Connection(str(lived.state / "log.db"))) as log:
        tables = {str(name) for (name,) in log.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    names = trees(lived.state / "log.db")
    assert tables | {"log_stream", "log_session", "command_age", "sqlite_schema"} == set(names)
    for tree in sampled(names, 5):
        place = tmp_path / tree
        shutil.copytree(lived.state, place / "state")
        path = place / "state" / "log.db"
        terminal.settings["state_dir"] = str(place / "state")
        server = Server(place).start()
        try:
            hurt(path, tree)
            alive(server, lived, tree)
        finally:
            server.kill()
        hurt(path, tree)  # again: a cached page may have been written over it
        for command in ("verify", "doctor"):
            said = here(command)
            assert said.code in {1, 2}, (tree, command, said.out)
            expected = "athena restore" if tree == "sqlite_schema" else named(tree, tables)
            assert expected in said.out + said.err, (tree, command, said.out, said.err)
        started(place, lived, terminal, tree)
        healed = tree not in tables | {"sqlite_schema"}
        assert (here("verify").code == 0) == healed, tree
        hurt(path, tree)
        repaired = here("doctor", "--repair")
        if not healed:
            assert "athena restore" in repaired.err, (tree, repaired.out, repaired.err)
            done = here("restore", str(lived.backup))
            assert done.code == 0, (tree, done.err)
        else:
            assert named(tree, tables).split(" is ")[0] in repaired.out, (tree, repaired.out, repaired.err)
        said = here("verify")
        assert said.code == 0 or "[anchor]" in said.err, (tree, said.out, said.err)
        server = Server(place, accept_fork="true").start()
        try:
            assert alive(server, lived, tree) == []
            assert server.api.run("after the repair")["output"], tree
        finally:
            server.kill()
        shutil.rmtree(place)


@pytest.mark.heavy
@pytest.mark.parametrize("tree", ["log_stream", "log_session", "command_age"])
def test_a_write_that_meets_a_damaged_index_is_refused_and_the_server_goes_on(
    tree: str, lived: Lived, here: Here, terminal: Terminal, tmp_path: Path
) -> None:
    log = Path(shutil.copytree(lived.state, tmp_path / "state")) / "log.db"
    terminal.settings["state_dir"] = str(log.parent)
    server = Server(tmp_path).start()
    try:
        hurt(log, tree, wholly=True)
        met = alive(server, lived, tree)
        assert {code for path, _, code in met if path != "/runs"} == {"STORE_DAMAGED"}
        health = server.api.get("/admin/health")
        assert health["status"] == "degraded"
        assert "athena doctor --repair" in str(health)
    finally:
        server.kill()
    server = Server(tmp_path).start()  # which builds the index anew
    try:
        assert alive(server, lived, tree) == []
        assert server.api.get("/admin/health")["status"] == "ok"
    finally:
        server.kill()
    assert here("verify").code == 0


@pytest.mark.heavy
def test_a_repair_that_is_killed_leaves_the_log_as_it_was(
    lived: Lived, here: Here, terminal: Terminal, tmp_path: Path
) -> None:
    log = Path(shutil.copytree(lived.state, tmp_path / "state")) / "log.db"
    terminal.settings["state_dir"] = str(log.parent)
    put_filler(log.parent, sized(5_000, 20_000, 100_000))
    draft, wal = log.with_name("log.db.part"), log.with_name("log.db-wal")
    hurt(log, "log_stream")

    def drafted() -> bool:
        return draft.exists()

    def written() -> bool:
        return wal.exists() and wal.stat().st_size > 50 * PAGE_BYTES

    for begun in (drafted, written):
        repair = terminal.start("doctor", "--repair")
        for _ in soon():
            if begun() or repair.ended:
                break
        repair.end(signal.SIGKILL)
        said = here("verify")
        assert (said.code, named("log_stream", set()) in said.out) == (1, True), said.out
        assert '"violationCount":1,' in said.out
    assert here("doctor", "--repair").code in {0, 1}
    assert here("verify").code == 0
    assert not draft.exists()


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_damaged_page_of_the_views_is_named_and_they_are_rebuilt(
    lived: Lived, here: Here, terminal: Terminal, tmp_path: Path
) -> None:
    state = Path(shutil.copytree(lived.state, tmp_path / "state"))
    terminal.settings["state_dir"] = str(state)

    def views() -> Path:
        return state / "views" / (state / "views" / "current").read_text().strip()

    for tree in sampled([name for name in trees(views()) if name != "sqlite_schema"], 6):
        server = Server(tmp_path).start()
        try:
            hurt(views(), tree)
            alive(server, lived, tree)
        finally:
            server.kill()
        hurt(views(), tree)
        said = here("doctor")
        assert f"{tree} of table" in said.out or f"table {tree} is damaged" in said.out, (tree, said.out)
        assert "athena replay" in said.out
        assert here("replay").code == 0, tree
        server = Server(tmp_path).start()
        try:
            for _ in soon():
                if server.api.get("/admin/health")["status"] == "ok":
                    break
            assert [one for one in used(server, lived) if one[1] >= 500] == [], tree
        finally:
            server.stop()
        said = here("replay", "--verify")
        assert said.code == 0, (tree, said.out, said.err)

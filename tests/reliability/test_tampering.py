"""Tests of a log that others changed: newer releases, bit flips, a cut tail."""

import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from athena_core.clock import FixedDate
from athena_core.log.chain import ChainBroken
from athena_core.log.engine import open_archive
from athena_core.log.port import FORMAT
from athena_core.log.postgres.integrity import NO_AMCHECK
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.statements import SQL
from athena_core.protocols import Row
from athena_core.services.proof.bundle import BundleScope, export, prove
from athena_core.services.proof.verify import NOT_LOOKED_AT
from tests.conftest import Serve
from tests.reliability.commands import refuses
from tests.reliability.history import rows_of
from tests.reliability.program import environment
from tests.reliability.seed import fresh_seed
from tests.reliability.tampering import (
    append_rightly,
    findings,
    first_broken,
    other_value,
    settled,
    statement,
)
from tests.reliability.tamperings import BUNDLE_CASES, CASES, ELSEWHERE, ERASED, BundleCase, Case, Copy
from tests.scale import sized
from tests.support.api import Refused, soon
from tests.support.golden import STATES
from tests.support.inside import Inside
from tests.support.postgres import Cluster
from tests.support.records import judge
from tests.support.server import Server

FLIPS = sized(100, 400, 5_000)
TAMPERINGS = sized(5, 25, 100)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory after a server had runs and directives and stopped."""
    directory = tmp_path_factory.mktemp("lived")
    with Server(directory) as server:
        for number in range(12):
            server.api.run(f"run {number}", metadata={"a": "b"})
            server.api.post("/directives", {"input": f"directive {number}"}, key=f"key-{number}")
        server.api.post("/runs/run_unknown/cancel", {"reason": "nobody"})
    settled(directory / "state")
    assert not findings(directory / "state")
    return directory / "state"


@pytest.fixture
def state_dir(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lived, tmp_path / "state"))


# The future


def test_an_event_type_of_the_future_is_carried_and_shown(state_dir: Path, tmp_path: Path, serve: Serve) -> None:
    directive = next(row.stream for row in rows_of(state_dir / "log.db")[1] if row.type == "directive.created")
    append_rightly(state_dir, "directive.praised", directive, b'{"stars":5}')
    append_rightly(state_dir, "dream.dreamt", "dream_1", b'{"of":"sheep"}')
    server = serve(tmp_path)
    events = {event["type"]: event for event in server.api.events()}
    assert events["directive.praised"]["payload"] == {"stars": 5}
    assert events["dream.dreamt"]["payload"] == {"of": "sheep"}
    assert server.api.post("/runs", {"directiveId": directive})["output"]
    assert server.api.get("/runs", limit=1)["items"]
    assert server.api.get("/admin/health")["status"] == "ok"


def test_an_event_type_of_the_future_that_another_process_writes_stops_no_process(tmp_path: Path, serve: Serve) -> None:
    server = serve(tmp_path)
    directive = server.api.run("before")["directiveId"]
    append_rightly(server.state_dir, "directive.praised", directive, b'{"stars":5}')
    append_rightly(server.state_dir, "dream.dreamt", "dream_1", b'{"of":"sheep"}')
    assert server.api.post("/runs", {"directiveId": directive})["output"]
    assert "dream.dreamt" in server.api.types()


def test_a_shape_of_the_future_stops_only_who_would_show_it(state_dir: Path, tmp_path: Path) -> None:
    position = append_rightly(state_dir, "directive.created", "dir_9", b'{"new":"shape"}', schema_version=2)
    server = Server(tmp_path).start()
    try:
        assert server.api.events()[position - 1]["payload"] == {"new": "shape"}
        with pytest.raises(Refused, match=f"catalog stopped at position {position}.*newer release") as refused:
            server.api.get("/directives")
        assert refused.value.code == "NOT_CAUGHT_UP"
        assert server.api.get("/directives", stale="allow")["items"]
        assert server.api.run("and on")["output"]
        assert server.api.get("/runs", limit=1)["items"]
    finally:
        server.kill()


def test_a_log_of_a_newer_format_is_refused_in_one_line(state_dir: Path) -> None:
    statement(state_dir, ("UPDATE meta SET value = ? WHERE name = 'format'", (str(FORMAT + 1),)))
    refuses(state_dir, f"format {FORMAT + 1}", "upgrade")


# Bits


@pytest.mark.parametrize("column", Row._fields)
def test_a_flipped_bit_is_found_in_column(column: str, state_dir: Path) -> None:
    _, rows = rows_of(state_dir / "log.db")
    rng = random.Random(column)
    for row in rng.sample(rows, 3):
        value = other_value(row, column)
        change = f"UPDATE log SET {column} = ? WHERE position = ?"
        if column == "position":
            value = row.position + len(rows)  # a neighbouring case flips the next one
        statement(state_dir, (change, (value, row.position)))
        assert first_broken(state_dir) == row.position, (column, row)
        assert findings(state_dir)
        where = value if column == "position" else row.position
        statement(state_dir, (change, (getattr(row, column), where)))
    assert not findings(state_dir)


@pytest.mark.heavy
def test_a_flipped_bit_anywhere_in_the_file_is_found_or_changes_nothing(state_dir: Path) -> None:
    rng = random.Random(fresh_seed("bits of the file"))
    path = state_dir / "log.db"
    whole = path.read_bytes()
    before = rows_of(path)
    outcomes: Counter[str] = Counter()
    for _ in range(FLIPS):
        place = rng.randrange(len(whole) * 8)
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        outcome = outcome_of(path, before, state_dir)
        assert outcome != "unnoticed", f"bit {place}"
        outcomes[outcome] += 1
    print(f"{FLIPS} bits of {len(whole)} bytes: {dict(outcomes)}")
    assert outcomes["found"] > FLIPS / 10


def outcome_of(path: Path, before: tuple[str, list[Row]], state_dir: Path) -> str:
    """Return whether a damage is found, or harmless because the same rows are read."""
    try:
        if findings(state_dir):
            return "found"
        connection = open_reader(path)
        try:
            same = [Row(*row) for row in connection.execute(SQL.page, (0, 2**62, 2**62))] == before[1]
        finally:
            connection.close()
    except (apsw.Error, UnicodeDecodeError):
        return "found"
    return "harmless" if same else "unnoticed"


# Rows


def edited(rows: list[Row], at: int) -> list[tuple[str, tuple[object, ...]]]:
    return [("UPDATE log SET data = ? WHERE position = ?", (b"{}", rows[at].position))]


def edited_with_its_hash(rows: list[Row], at: int) -> list[tuple[str, tuple[object, ...]]]:
    change = "UPDATE log SET actor = 'somebody' WHERE position = ?"
    return [(change, (rows[at].position,))]


def deleted(rows: list[Row], at: int) -> list[tuple[str, tuple[object, ...]]]:
    return [("DELETE FROM log WHERE position = ?", (rows[at].position,))]


def swapped(rows: list[Row], at: int) -> list[tuple[str, tuple[object, ...]]]:
    change = "UPDATE log SET position = ? WHERE position = ?"
    here, there = rows[at].position, rows[at].position + 1
    return [(change, (0, here)), (change, (here, there)), (change, (there, 0))]


def inserted(rows: list[Row], at: int) -> list[tuple[str, tuple[object, ...]]]:
    copy = rows[at]._replace(position=rows[-1].position + 1, version=rows[at].version + 1_000)
    return [(f"INSERT INTO log VALUES ({', '.join('?' * len(copy))})", tuple(copy))]


Tampering = Callable[[list[Row], int], list[tuple[str, tuple[object, ...]]]]


@pytest.mark.heavy
@pytest.mark.parametrize("tampering", [edited, edited_with_its_hash, deleted, swapped, inserted])
def test_a_row_is_found_that_was(tampering: Tampering, lived: Path, tmp_path: Path) -> None:
    _, rows = rows_of(lived / "log.db")
    rng = random.Random(fresh_seed(tampering.__name__))
    for _ in range(TAMPERINGS):
        state_dir = Path(shutil.copytree(lived, tmp_path / "state"))
        at = rng.randrange(len(rows) - 2)
        statement(state_dir, *tampering(rows, at))
        expected = rows[-1].position + 1 if tampering is inserted else rows[at].position
        assert first_broken(state_dir) == expected
        assert f"position {expected}:" in findings(state_dir)[0]
        shutil.rmtree(state_dir)


# The tail


def test_a_cut_tail_is_found_by_the_anchor(state_dir: Path, tmp_path: Path) -> None:
    _, rows = rows_of(state_dir / "log.db")
    head = rows[-1].position
    cut = head - 2  # two whole commands: no run is cut in half
    statement(state_dir, ("DELETE FROM log WHERE position > ?", (cut,)))
    assert first_broken(state_dir) is None  # the rest proves itself
    assert [line for line in findings(state_dir) if "[anchor]" in line]
    refuses(state_dir, f"ends at position {cut}", f"once reached {head}", "ATHENA_ACCEPT_FORK")

    with Server(tmp_path, accept_fork="true") as server:
        forked = server.api.await_event("log.forked")
        assert forked["payload"] == {"head": cut, "expected": head}
        assert server.api.run("on the fork")["output"]
    judge(state_dir)
    with Server(tmp_path):
        pass  # the fork was accepted once and for all


def test_another_log_in_the_place_of_this_one_is_noticed_by_who_has_a_cursor(
    state_dir: Path, tmp_path: Path, serve: Serve
) -> None:
    server = serve(tmp_path)
    cursor = server.api.events()[-1]["id"]
    other = serve(tmp_path / "other")
    response = other.api.http.get("/events", params={"cursor": cursor})
    assert response.json()["error"]["code"] == "CURSOR_FOREIGN"


def test_verify_says_where_and_its_exit_code_says_so_too(state_dir: Path) -> None:
    line = [sys.executable, "-m", "athena_cli", "verify"]
    setting = environment() | {"ATHENA_STATE_DIR": str(state_dir)}
    assert subprocess.run(line, env=setting, capture_output=True, check=False, cwd=state_dir).returncode == 0
    statement(state_dir, ("UPDATE log SET type = 'run.invented' WHERE position = 7", ()))
    done = subprocess.run(line, env=setting, capture_output=True, text=True, check=False, cwd=state_dir)
    assert done.returncode == 1
    assert "position 7" in done.stdout + done.stderr


# The table


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the state directory of a golden state, continued by a server of this release."""
    directory = tmp_path_factory.mktemp("continued")
    STATES[0].unpack(directory)
    go_on(directory)
    settled(directory / "state")
    return directory / "state"


@pytest.fixture(scope="module")
def continued_in_a_database(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[tuple[Path, str]]:
    """Return the same state in a database that stays unchanged, and the state directory of its server."""
    directory = tmp_path_factory.mktemp("continued")
    with cluster.database() as url:
        STATES[0].restore(url)
        go_on(directory, database_url=url)
        yield directory / "state", url


def go_on(directory: Path, **settings: str) -> None:
    """Have a server write more, with keys, at the time at which the state ends."""
    clock = FixedDate(STATES[0].expected.last_recorded_at)
    inside = Inside(directory, clock, scheduler="off", executor="off", memory_enabled="true", **settings)
    inside.start()
    catch_up(inside)  # the views of the older release are rebuilt, and answers are read from them
    for _ in soon():  # as a client does: on a busy machine the first write may be refused until the database answers
        answer = inside.ask("POST", "/memory", {"text": "a note"}, idempotency_key="note")
        if not answer.is_error or not answer.json()["error"]["retryable"]:
            break
    noted = answer.json()["data"]["id"]
    rows = Copy(directory / "state", settings.get("database_url")).rows()
    text = next(row.text for row in rows if row.stream == noted)
    assert text is not None
    (directory / "state" / ERASED).write_bytes(text)
    inside.ask("DELETE", f"/memory/{noted}").raise_for_status()
    for number in range(4):
        body = {"input": f"directive {number}"}
        inside.ask("POST", "/directives", body, idempotency_key=f"key-{number}").raise_for_status()
    for _ in range(2):
        token = inside.data("POST", "/tokens", {"identity": "ci", "role": "Operator"})
    inside.ask("DELETE", f"/tokens/{token['tokenId']}").raise_for_status()
    catch_up(inside)
    inside.stop()


def catch_up(inside: Inside) -> None:
    for _ in soon():
        answer = inside.ask("GET", "/admin/health")
        if answer.status_code == 200 and answer.json()["data"]["lag"] == 0:
            return
    raise AssertionError(answer.text)


@pytest.fixture
def copy(request: pytest.FixtureRequest, tmp_path: Path, store: str) -> Iterator[Copy]:
    if store == "files":
        yield Copy(Path(shutil.copytree(request.getfixturevalue("continued"), tmp_path / "state")))
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    directory, url = request.getfixturevalue("continued_in_a_database")
    with cluster.copy_of(url) as copied:
        yield Copy(Path(shutil.copytree(directory, tmp_path / "state")), copied)


ON_BOTH = pytest.mark.parametrize("store", ["files", pytest.param("database", marks=pytest.mark.heavy)])


@ON_BOTH
def test_the_log_before_is_right_and_starts(copy: Copy) -> None:
    report = copy.verified()
    assert report is not None
    unchecked = () if copy.url is None else (f"pages and indexes of the database: {NO_AMCHECK}",)
    assert (report.violations, len(report.anchors), report.not_looked_at) == ((), 1, (*unchecked, *NOT_LOOKED_AT))
    assert copy.starts()


@ON_BOTH
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_a_tampering_is_noticed_by(case: Case, copy: Copy, store: str) -> None:
    kept = copy.kept()
    case.tamper(copy)
    report = copy.verified()
    assert (report is None) == case.refused
    if report is not None:
        assert {violation.rule for violation in report.violations} == case.verify, report.violations
        assert report.ok != bool(case.verify)
        assert case.unseen is None or case.unseen in report.not_looked_at
    report = copy.verified(kept)
    if report is not None:
        by_it = [violation.rule for violation in report.violations if f"({ELSEWHERE}, line 1)" in violation.reason]
        assert by_it == (["anchor"] if case.against else [])
    assert copy.starts() == (store not in case.start)


@ON_BOTH
@pytest.mark.parametrize("case", BUNDLE_CASES, ids=lambda case: case.number)
def test_a_bundle_is_refused_with(case: BundleCase, copy: Copy) -> None:
    run_id = next(row.stream for row in copy.rows() if row.type == "run.completed")
    with closing(open_archive(copy.state_dir, copy.url)) as archive, closing(archive.reader()) as reader:
        lines = list(export(reader, BundleScope(run_id=run_id), redact=False))
    assert prove(lines).complete
    with pytest.raises(ChainBroken, match=case.reason):
        prove(case.tamper(lines))

"""Tests of a full, limited or read-only disk, and of a database that is moved away under a server."""

import os
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from athena_core.errors import AthenaError, Overloaded, StoreFull
from athena_core.log.writer import Log
from tests.conftest import Serve
from tests.reliability.commands import refuses
from tests.reliability.history import history_of
from tests.reliability.load import Clients
from tests.reliability.oracle import Record, check
from tests.reliability.program import create, unstarted_log
from tests.support.api import Refused, soon
from tests.support.postgres import own_cluster
from tests.support.records import judge
from tests.support.server import Server

MIB = 1 << 20
STORE_MOVED_SECONDS_MAX = 5.0  # the promise is one second; the machine may be busy


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """Mount something at a path. Skip the test where that is not allowed."""
    if not place.exists():
        place.mkdir()
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("only root mounts a file system" if os.getuid() else f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # another process may have it open


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Make a file or directory read-only by a mount: permissions do not stop root."""
    with mounted(place, "--bind", str(place)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        yield


def directive(server: Server, size: int) -> None:
    """Create a directive of a size. Raise Refused."""
    server.api.post("/directives", {"input": "x" * size})


def fill(server: Server) -> None:
    size = 64 << 10
    for _ in range(2_000):
        try:
            directive(server, size)
        except Refused as refused:
            assert (refused.status, refused.code) == (507, "STORE_FULL")
            if size < 1_000:
                return
            size //= 4
    raise AssertionError("the disk was never full")


def test_a_full_disk_is_said_and_needs_no_restart_once_there_is_space(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with mounted(state_dir, "-t", "tmpfs", "-o", "size=24m", "tmpfs"):
        (state_dir / "ballast").write_bytes(bytes(20 * MIB))
        with Server(tmp_path) as server:
            record = Record()
            clients = Clients(record, 1)
            burst = clients.burst(server.url, 2)
            for _ in soon():
                if len(record.acknowledged()) > 20:
                    break
            burst.stop()
            fill(server)
            burst = clients.burst(server.url)
            for _ in soon():
                if clients.answers.get("STORE_FULL", 0) > 20:
                    break
            assert server.api.events()  # reads still work
            (state_dir / "ballast").unlink()
            before = len(record.acknowledged())
            for _ in soon():
                if len(record.acknowledged()) > before + 20:
                    break
            burst.stop()
            clients.settle(server.url, 100, random.Random(1))
            check(record, history_of(state_dir))
            for _ in soon():
                with suppress(Refused):  # the views need their space, too
                    server.api.get("/directives")
                    break
            for _ in soon():  # a loop that failed meanwhile reports it until its next try
                if (health := server.api.get("/admin/health"))["status"] == "ok":
                    break
            assert health["status"] == "ok"
        judge(state_dir)


@pytest.mark.heavy
def test_a_server_whose_writes_fail_is_not_ready_and_finds_out_alone_that_they_work_again(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with mounted(state_dir, "-t", "tmpfs", "-o", "size=8m", "tmpfs"), Server(tmp_path) as server:
        for _ in soon():
            if readiness(server) == (200, ""):
                break
        with pytest.raises(OSError, match="No space"), (state_dir / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4_096))
        with pytest.raises(Refused, match="no space"):
            directive(server, MIB // 4)
        status, why = readiness(server)
        assert (status, "writes fail: no space is left for the log" in why) == (503, True)
        health = server.api.get("/admin/health")
        assert health["status"] == "degraded"
        assert "log.write" in {problem["loop"] for problem in health["problems"]}
        (state_dir / "ballast").unlink()
        for _ in soon():  # without writes: a load balancer sends nothing to a server that is not ready
            if readiness(server) == (200, ""):
                break
        directive(server, MIB // 4)


def refuses_until(log: Log, repair: Callable[[], object], error: type[AthenaError], reason: str) -> None:
    """Fail unless an idle log notices that writes fail, refuses them, and notices that they work again."""
    for _ in soon():
        if log.refusal is not None:
            break
    assert reason in str(log.refusal)
    head = log.store.reader().head()
    for number in range(3):
        with pytest.raises(error, match=reason):
            create(log, f"refused-{number}")
    repair()
    for _ in soon():
        if log.refusal is None:
            break
    assert create(log, "after").position == head + 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the interval of probes."""
    for name in ("PROBE_SECONDS", "IDLE_PROBE_SECONDS"):
        monkeypatch.setattr(f"athena_core.log.writer.{name}", 0.01)


def test_an_idle_log_notices_that_the_disk_is_full(tmp_path: Path, impatient: None) -> None:
    state_dir = tmp_path / "state"
    with mounted(state_dir, "-t", "tmpfs", "-o", "size=8m", "tmpfs"), unstarted_log(state_dir) as log:
        log.start()
        create(log, "before")
        ballast = state_dir / "ballast"
        with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))
        refuses_until(log, ballast.unlink, StoreFull, "no space is left")


@pytest.mark.heavy
def test_an_idle_log_notices_that_the_disk_of_its_database_is_full(tmp_path: Path, impatient: None) -> None:
    with ExitStack() as stack:
        disk = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        disk.chmod(0o755)  # the server may be another user
        stack.enter_context(mounted(disk, "-t", "tmpfs", "-o", "size=256m,mode=0777", "tmpfs"))
        try:
            cluster = stack.enter_context(own_cluster(disk))
        except LookupError as error:
            pytest.skip(str(error))
        url = stack.enter_context(cluster.database())
        log = stack.enter_context(unstarted_log(tmp_path, url=url))
        log.start()
        create(log, "before")
        ballast = disk / "ballast"
        with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))
        for _ in soon():
            if log.refusal is not None:
                break
        assert "no space is left" in str(log.refusal)
        ballast.unlink()
        for _ in soon():
            if log.refusal is None:
                break
        assert create(log, "after").position == 2


def test_an_idle_log_notices_that_its_directory_turned_read_only_and_goes_on_once_it_is_not(
    tmp_path: Path, impatient: None
) -> None:
    with unstarted_log(tmp_path / "state") as log, ExitStack() as mounts:
        log.start()
        create(log, "before")
        mounts.enter_context(read_only(tmp_path / "state"))
        refuses_until(log, mounts.close, Overloaded, "the database is read-only")


def readiness(server: Server) -> tuple[int, str]:
    """Return the status of the readiness probe and its reason, if any."""
    answer = server.api.http.get(server.url + "/readyz")
    return answer.status_code, answer.json().get("error", {}).get("message", "")


def test_a_start_on_a_full_disk_is_refused_in_one_line(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with mounted(state_dir, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        refuses(state_dir, f"no space is left for {state_dir}", "free some space")


def test_a_start_on_a_disk_with_little_space_names_the_path_or_serves(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with mounted(state_dir, "-t", "tmpfs", "-o", "size=8m", "tmpfs"):
        with Server(tmp_path) as server:
            directive(server, 10)
        ballast = state_dir / "ballast"
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(4_096))
        for left in (0, 4, 32, 128):
            os.truncate(ballast, ballast.stat().st_size - (left << 10))
            refuses(state_dir, f"no space is left for {state_dir}", "free some space")
        os.truncate(ballast, ballast.stat().st_size - (2 << 20))
        with Server(tmp_path) as server:
            assert server.api.get("/directives")["items"]


def test_a_limit_on_the_size_of_files_is_an_unknown_outcome_and_the_next_start_decides(
    tmp_path: Path, serve: Serve
) -> None:
    server = serve(tmp_path)
    record = Record()
    clients = Clients(record, 2, runs=0)  # an accepted run is answered from the views, which meet the limit, too
    wal = server.state_dir / "log.db-wal"
    limit = wal.stat().st_size + 256 * 1024
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, limit))
    burst = clients.burst(server.url)
    assert server.wait() == 1
    burst.join()
    assert "the log cannot continue" in server.log_path.read_text()
    server.start()
    clients.settle(server.url, 1_000, random.Random(2))
    check(record, history_of(server.state_dir))


def test_a_read_only_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with Server(tmp_path) as server:
        directive(server, 10)
    with read_only(state_dir):
        refuses(state_dir, "not writable")


def test_a_read_only_database_is_refused_in_one_line(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with Server(tmp_path) as server:
        directive(server, 10)
    with read_only(state_dir / "log.db"):
        refuses(state_dir, "log.db")


def test_something_else_in_the_place_of_the_database_is_refused_in_one_line(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    (state_dir / "log.db").write_bytes(b"something else " * 1_000)
    (state_dir / "log.db").chmod(0o600)  # else the start says that it closed the file
    refuses(state_dir, "log.db")


def test_a_server_notices_that_its_database_was_moved(tmp_path: Path) -> None:
    server = Server(tmp_path).start()
    record = Record()
    clients = Clients(record, 3)
    burst = clients.burst(server.url)
    for _ in soon():
        if len(record.acknowledged()) > 50:
            break
    away = tmp_path / "moved.db"
    moved_at = time.monotonic()
    (server.state_dir / "log.db").rename(away)
    assert server.wait() == 1
    assert time.monotonic() - moved_at < STORE_MOVED_SECONDS_MAX
    burst.join()
    assert "moved or replaced" in server.log_path.read_text()

    refuses(server.state_dir, "log.db is missing")  # and the remaining files of the log stay untouched
    assert not (server.state_dir / "log.db").exists()

    away.rename(server.state_dir / "log.db")
    with server:
        clients.settle(server.url, 1_000, random.Random(3))
        check(record, history_of(server.state_dir))

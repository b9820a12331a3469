"""A server out of file descriptors or memory answers the truth, goes on afterwards, and loses no acknowledged run."""

import http.client
import json
import re
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import apsw
import pytest

from athena_api.edge.access_log import AccessLog
from athena_api.endpoint.endpoint import Endpoint
from athena_api.plane import ControlPlane
from athena_core.clock import FixedClock
from athena_core.errors import AthenaError, InternalError, OutcomeUnknown, Overloaded, StoreDamaged
from athena_core.log.sqlite.shortage import is_shortage
from athena_core.log.sqlite.store import SqliteStore
from athena_core.services.execution.liveness import SWEEP_SECONDS
from athena_core.system.problems import Problems
from tests.conftest import Serve
from tests.support.api import PATIENCE_SECONDS, soon
from tests.support.server import Server

STANDARD_STREAMS = 3


class Client:
    """One open connection, so that a request needs no further descriptor of the server."""

    def __init__(self, server: Server) -> None:
        place = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE_SECONDS)
        self._connection.connect()

    def ask(self, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, Any]:
        headers = {} if key is None else {"idempotency-key": key}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")

    def status(self, path: str) -> int:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


READS = ("/api/v1/runs", "/api/v1/sessions", "/api/v1/admin/digests", "/api/v1/workers", "/readyz", "/metrics", "/")


def test_without_descriptors_every_answer_is_the_truth_and_nothing_acknowledged_is_lost(serve: Serve) -> None:
    server = serve()
    server.api.run("hello")
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    acknowledged: dict[int, str] = {}
    with closing(Client(server)) as client:
        assert client.status("/api/v1/runs") == 200
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (STANDARD_STREAMS, limits[1]))  # open ones stay
        statuses = {path: client.status(path) for path in READS}
        assert set(statuses.values()) <= {200, 503}, statuses
        assert statuses["/api/v1/admin/digests"] == 503
        for number in range(8):
            status, answer = client.ask("POST", "/api/v1/runs", run_of(number), key=f"key{number}")
            if status == 200:
                acknowledged[number] = answer["data"]["runId"]
            else:
                assert (status, answer["error"]["code"]) in {(503, "OUTCOME_UNKNOWN"), (503, "OVERLOADED")}
        until = time.monotonic() + 2 * SWEEP_SECONDS
        for _ in soon():  # what runs beside the requests meets the shortage, too
            assert client.status("/livez") == 200
            if time.monotonic() > until:
                break
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        for _ in soon():  # the views follow again within a second
            if client.status("/api/v1/admin/digests") == 200:
                break
    for number in range(8):
        answer = server.api.post("/runs", run_of(number), key=f"key{number}")
        assert answer["runId"] == acknowledged.get(number, answer["runId"])
    assert len(server.api.items("/runs")) == 8 + 1


def run_of(number: int) -> dict[str, str]:
    return {"input": "hello", "sessionId": f"s{number}"}


@pytest.mark.parametrize(
    "error", [OSError(24, "Too many open files"), OSError(23, "in the system"), OSError(12, "memory"), MemoryError()]
)
def test_a_shortage_leaves_the_outcome_unknown_of_a_command_that_began_and_only_of_that(error: Exception) -> None:
    lines: list[bytes] = []
    assert isinstance(failed_by(error, lines, unknown=True), OutcomeUnknown)
    assert isinstance(failed_by(error, lines, unknown=False), Overloaded)
    assert all(b"file descriptors or memory ran out" in line and line.count(b"\n") == 1 for line in lines)
    assert isinstance(failed_by(OSError(2, "no such file"), unknown=True), InternalError)
    assert is_shortage(ExceptionGroup("both", [error, OSError(24, "files")]))
    assert not is_shortage(ExceptionGroup("one", [error, KeyError()]))


class Reported(apsw.IOError):
    """An error as SQLite reports it, with its extended code."""

    def __init__(self, code: int) -> None:
        super().__init__("disk I/O error")
        self.extendedresult = code


def failed_by(error: Exception, lines: list[bytes] | None = None, *, unknown: bool) -> AthenaError:
    """Return the error that an endpoint on files answers; ``lines`` collects its log."""
    endpoint = Endpoint.__new__(Endpoint)
    endpoint._access_log = AccessLog(FixedClock(), (lines if lines is not None else []).append)
    store = SimpleNamespace(damaged=SqliteStore.damaged)
    endpoint._plane = cast(
        "ControlPlane", SimpleNamespace(log=SimpleNamespace(store=store, problems=Problems(FixedClock())))
    )
    return endpoint.failure_of("trace", error, unknown=unknown)


@pytest.mark.parametrize("error", [apsw.CorruptError("malformed"), Reported(apsw.SQLITE_IOERR_READ)])
def test_damage_leaves_the_outcome_unknown_of_a_command_that_began(error: Exception) -> None:
    answer = failed_by(error, unknown=True)
    assert isinstance(answer, OutcomeUnknown)
    assert "athena doctor --repair" in answer.message
    assert "Idempotency-Key" in answer.message
    assert isinstance(failed_by(error, unknown=False), StoreDamaged)


@pytest.mark.parametrize("code", [apsw.SQLITE_IOERR_NOMEM, apsw.SQLITE_IOERR_SHMMAP, apsw.SQLITE_IOERR_LOCK])
def test_memory_or_locks_that_sqlite_did_not_get_are_a_shortage_and_no_damage(code: int) -> None:
    assert isinstance(failed_by(Reported(code), unknown=False), Overloaded)


def test_a_crash_of_a_library_is_said_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    done = server.api.run("hello", key="key")
    server.signal(signal.SIGSEGV)
    assert server.wait() == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in server.log_path.read_text()
    server.start()
    assert server.api.run("hello", key="key")["runId"] == done["runId"]
    server.stop()


MEMORY_BYTES = 24 << 20
CLIENTS = 12


@pytest.mark.heavy
def test_without_memory_every_answer_is_the_truth_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    server.api.get("/capabilities")
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.prlimit(server.pid, resource.RLIMIT_AS, (limit, limit))
    acknowledged: dict[str, str] = {}
    seen: set[tuple[int, str]] = set()

    def flood(number: int) -> None:
        for turn in range(3):
            key = f"key{number}-{turn}"
            with closing(Client(server)) as client:
                body = {"input": "x" * 900_000}
                status, answer = client.ask("POST", "/api/v1/directives", body, key=key)
            seen.add((status, "" if answer["ok"] else answer["error"]["code"]))
            if answer["ok"]:
                acknowledged[key] = answer["data"]["id"]

    with ThreadPoolExecutor(CLIENTS) as threads:
        results = [threads.submit(flood, number) for number in range(CLIENTS)]
    lost = [result.exception() for result in results if result.exception() is not None]
    assert all(isinstance(error, OSError | http.client.HTTPException) for error in lost), "only the connection may end"
    assert {code for _, code in seen} <= {"", "OVERLOADED", "OUTCOME_UNKNOWN", "REQUEST_TIMEOUT"}
    if not server.alive:
        assert re.search("^(Fatal Python error|athena: )", server.log_path.read_text(), re.MULTILINE)
        server.wait()
    server.kill()
    server.start()
    known = {item["id"] for item in server.api.items("/directives")}
    assert set(acknowledged.values()) <= known
    server.stop()

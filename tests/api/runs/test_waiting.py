"""Waiting for a run with ``GET /runs/:runId?wait=``: the record once it has ended, or as it is when time is up."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import msgspec

from athena_api.app import build
from athena_api.edge.access_log import AccessLog
from athena_api.lifespan import plane_lifespan
from athena_core.clock import SystemClock
from athena_core.settings import load
from athena_core.values import Identity, Role, RunBody
from tests.conftest import Serve
from tests.support.api import PATIENCE_SECONDS
from tests.support.gate import Gates
from tests.support.records import META
from tests.support.server import Server
from tests.support.wire import ask, connect

LONG = 60  # seconds that no test waits


def test_a_run_that_has_ended_is_answered_at_once(shared: Server) -> None:
    run_id = shared.api.run("hello")["runId"]
    assert shared.api.get(f"/runs/{run_id}", wait=LONG) == shared.api.get(f"/runs/{run_id}")


def test_the_answer_comes_with_the_end_of_the_run(shared: Server, shared_gates: Gates) -> None:
    gate = shared_gates["waited"]
    run_id = shared.api.start(gate.order, provider="local-exec", model="script")["runId"]
    gate.arrival()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(shared.client().get, f"/runs/{run_id}", wait=LONG) for _ in range(4)]
        assert shared.api.get(f"/runs/{run_id}")["status"] == "running"
        gate.release()
        records = [answer.result() for answer in waiting]
    assert {record["status"] for record in records} == {"completed"}
    assert {record["output"] for record in records} == {"released by waited"}


def test_when_time_is_up_the_record_is_as_it_is(shared: Server, shared_gates: Gates) -> None:
    gate = shared_gates["late"]
    run_id = shared.api.start(gate.order, provider="local-exec", model="script")["runId"]
    gate.arrival()
    assert shared.api.get(f"/runs/{run_id}", wait=0)["status"] == "running"
    assert shared.api.get(f"/runs/{run_id}", wait=1)["status"] == "running"
    gate.release()
    assert shared.api.await_ending(run_id) == "run.completed"


def test_the_run_of_another_process_is_waited_for(serve: Serve, gates: Gates, tmp_path: Path) -> None:
    here, there = (serve(tmp_path / "plane", **gates.settings) for _ in range(2))
    gate = gates["there"]
    run_id = there.api.start(gate.order)["runId"]
    gate.arrival()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.client().get, f"/runs/{run_id}", wait=LONG)
        assert here.api.get(f"/runs/{run_id}")["status"] == "running"
        gate.release()
        assert waiting.result()["status"] == "completed"


def test_a_server_that_stops_answers_all_waits(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gate = gates["left"]
    run_id = server.api.start(gate.order)["runId"]
    gate.arrival()
    with connect(server.url) as waiting:
        waiting.sendall(f"GET /api/v1/runs/{run_id}?wait={LONG} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        ask(server.url, "GET", b"/api/v1/admin/health")  # a later connection, so the request above has been read
        server.signal(signal.SIGTERM)
        received = b""
        while piece := waiting.recv(65_536):
            received += piece
        server.wait()
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert msgspec.json.decode(body)["data"]["runId"] == run_id


# In this process


class Client:
    """One request to an application. Its client stays connected until ``left`` is set."""

    def __init__(self, path: str, query: str) -> None:
        self.left = anyio.Event()
        self.content = b""
        self.scope: Any = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "scheme": "http",
            "http_version": "1.1",
        }

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.content += message.get("body", b"")


async def test_a_wait_costs_no_thread_and_ends_when_its_client_leaves_or_the_server_does(
    tmp_path: Path, gates: Gates
) -> None:
    names = {f"ATHENA_{name.upper()}": value for name, value in gates.settings.items()}
    settings = load({"ATHENA_STATE_DIR": str(tmp_path / "state"), **names}, tmp_path)
    app = build(settings, access_log=AccessLog(SystemClock(), lambda line: None))
    plane, gate = app.plane, gates["held"]
    with anyio.fail_after(PATIENCE_SECONDS):
        async with plane_lifespan(plane, serving=True):
            body = RunBody(input=gate.order, session_id="one")
            started = await plane.runs.start(body, Identity(subject="ada", role=Role.ADMIN), META, None, wait=False)
            run_id = started.subject or ""
            clients = [Client(f"/api/v1/runs/{run_id}", "wait=60") for _ in range(50)]
            threads = threading.active_count()

            async def waiting(count: int) -> None:
                while len(plane.runs._waiters._waiters.of(run_id)) != count:
                    await anyio.sleep(0.002)

            async with anyio.create_task_group() as tasks:
                for client in clients:
                    tasks.start_soon(app, client.scope, client.receive, client.send)
                await waiting(50)
                assert threading.active_count() <= threads + 2  # two belong to the model's process
                for client in clients[:20]:
                    client.left.set()
                await waiting(30)
                plane.streams.drain()
            assert not plane.runs._waiters._waiters.of(run_id)
            records = [msgspec.json.decode(client.content)["data"] for client in clients[20:]]
            assert {record["status"] for record in records} == {"running"}
            gate.release()

"""Halts under load and through crashes: nothing begins after the acknowledgement, and nothing is lost."""

import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from athena_core.domain import DECIDERS
from athena_core.domain.halt import HaltLifted, HaltStarted
from athena_core.domain.run import RunCreated, RunQueued
from tests.reliability.history import rows_of
from tests.scale import sized
from tests.support.api import Api, soon
from tests.support.gate import Gates
from tests.support.server import NO_FLOOD, Server
from tests.support.worker import Worker

pytestmark = pytest.mark.heavy

CLIENTS, WORKERS, RUNS_BEFORE = sized((16, 2, 60), (24, 4, 20), (64, 4, 2_000))
BEGINNINGS = {kind.TYPE for decider in DECIDERS for kind in decider.events if kind.BEGINS}
MODEL = "sleep 0.05; echo done"
WHY = {"reason": "wrong prices"}


class Client(threading.Thread):
    """A client that starts runs, one after another, until it is stopped."""

    def __init__(self, api: Api, number: int) -> None:
        super().__init__()
        self._api = api
        self._number = number
        self.going = True
        self.runs: dict[str, str] = {}
        """The id of each accepted run by its key."""
        self.refused: list[str] = []
        """The keys of the refused requests, in order."""

    def run(self) -> None:
        count = 0
        while self.going:
            key = f"{self._number}-{count}"
            count += 1
            self.send(key)

    def send(self, key: str) -> bool:
        answer = self._api.send("/runs", {"input": key}, key=key, respond_async=True)
        if answer.status_code == 202:
            self.runs[key] = answer.json()["data"]["runId"]
            return True
        assert answer.json()["error"]["code"] == "HALTED", answer.text
        self.refused.append(key)
        return False


def begun(state_dir: Path) -> list[tuple[str, str]]:
    """Return the types and streams of halts and of beginnings of work, in the order of the log."""
    wanted = BEGINNINGS | {HaltStarted.TYPE, HaltLifted.TYPE}
    return [(row.type, row.stream) for row in rows_of(state_dir / "log.db")[1] if row.type in wanted]


@pytest.mark.timeout(600)
def test_a_halt_beside_clients_and_workers_stops_all_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.sh").write_text(MODEL)
    model = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(tmp_path / "model.sh")}
    model |= {"default_provider": "local-exec", "default_model": "script", "executor_max_runs": "2", **NO_FLOOD}
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path, **model))
        for _ in range(WORKERS):
            stack.enter_context(Worker(tmp_path, **model, state_dir=str(server.state_dir)))
        clients = [Client(server.client(), number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in soon(60):
            if sum(len(client.runs) for client in clients) > RUNS_BEFORE:
                break
        halted = server.api.post("/halt", WHY)
        assert halted["halted"] is True
        for _ in soon(60):
            if all(len(client.refused) > 2 for client in clients):
                break
        for client in clients:
            client.going = False
            client.join()
        running = server.api.get("/halt")["running"]
        server.kill()  # what it held stays where it is
        server.start()
        assert server.api.get("/halt")["reason"] == "wrong prices"
        before = begun(server.state_dir)
        place = before.index((HaltStarted.TYPE, "halt"))
        assert before[place + 1 :] == [], "work began after the halt was acknowledged"
        server.api.http.delete("/halt")
        again = Client(server.client(), CLIENTS)
        for client in clients:
            for key in client.refused:
                assert again.send(key)
        accepted = {key: run_id for client in (*clients, again) for key, run_id in client.runs.items()}
        for run_id in accepted.values():
            assert server.api.await_ending(run_id) == "run.completed"
        found = begun(server.state_dir)
        requested = Counter(stream for kind, stream in found if kind == RunQueued.TYPE)
        created = Counter(stream for kind, stream in found if kind == RunCreated.TYPE)
        assert set(created) == set(accepted.values()), "a run was lost, or began without an answer"
        assert set(created.values()) == {1}
        in_line = [stream for kind, stream in before if kind == RunQueued.TYPE]
        in_line = [stream for stream in in_line if (RunCreated.TYPE, stream) not in before]
        after = [stream for kind, stream in found if kind == RunCreated.TYPE and stream in in_line]
        assert after == in_line, "the line did not keep its order"
        print(f"{len(accepted)} runs, {len(requested)} of them in line; {running} ran when the server was killed")


def test_a_server_killed_during_a_halt_resumes_nothing_before_it_is_lifted(tmp_path: Path, gates: Gates) -> None:
    gate = gates["held"]
    with Server(tmp_path / "server", **gates.settings) as server:
        run_id = server.api.start(gate.order)["runId"]
        gate.arrival()
        lost = server.api.get("/workers")["items"][0]["id"]
        server.api.post("/halt", WHY)
        for _ in range(2):
            server.kill()
            server.start()
            for _ in soon():
                workers = server.api.get("/workers")["items"]
                if lost not in {worker["id"] for worker in workers if worker["status"] != "lost"}:
                    break
            assert server.api.get(f"/runs/{run_id}")["status"] == "running"
            assert server.api.types(runId=run_id).count("run.leased") == 1
            assert server.api.get("/admin/health")["status"] == "ok"
        server.api.http.delete("/halt")
        gate.arrival()
        gate.release()
        assert server.api.await_ending(run_id) == "run.completed"
        assert server.api.types(runId=run_id).count("run.leased") == 2


def test_a_halt_holds_for_every_server_of_a_database(tmp_path: Path, database: str) -> None:
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(Server(tmp_path / name, database_url=database, **NO_FLOOD)) for name in ("one", "other")
        )
        other.api.run("hello")
        one.api.post("/halt", WHY)
        answer = other.api.send("/runs", {"input": "x"}, key="free")
        assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (503, "wrong prices")
        one.kill()
        assert other.api.send("/runs", {"input": "x"}, key="free").status_code == 503
        one.start()
        assert one.api.send("/runs", {"input": "x"}, key="free").status_code == 503
        other.api.http.delete("/halt")
        assert one.api.send("/runs", {"input": "x"}, key="free").status_code == 200

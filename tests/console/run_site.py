"""A server whose models follow the task in the input of a run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.api import Api, Json
from tests.support.gate import Gates
from tests.support.model import Profile, call, turn_of
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, refuses, standing

TURNS_MAX = 1_000


def choose(asked: Asked) -> Behaviour:
    """Follow the task in the input: refuse some models, make its calls one a turn or some notes a turn, then answer."""
    messages = asked.body["messages"]
    begin = max(index for index, message in enumerate(messages) if message["role"] == "user")
    task: Json = json.loads(messages[begin]["content"])
    if asked.body["model"] in task.get("refuses", ()):
        return refuses(400, b'{"error": {"message": "cannot read this input"}}')
    ids = [made["id"] for message in messages[begin:] for made in message.get("tool_calls") or ()]
    done = int(ids[-1].split("_")[1]) % TURNS_MAX if ids else 0  # not counted: a long conversation is cut
    number = begin * TURNS_MAX + done + 1
    if done < task.get("turns", 0):
        return turn_of(tuple(noted(done, index) for index in range(task["notes"])), number)
    calls = task.get("calls", [])
    return turn_of(call(calls[done][0], **calls[done][1]) if done < len(calls) else task.get("answer", "Done."), number)


def noted(turn: int, index: int) -> tuple[str, Json]:
    return "evidence", {"label": f"note-{turn}-{index}", "type": "text", "content": "noted"}


class RunSite:
    """A server whose models follow the task in the input."""

    def __init__(self, server: Server, gates: Gates) -> None:
        self.server = server
        self.gates = gates
        self.api: Api = server.api
        self.profile = str(self.api.post("/harness-profiles", Profile(max_turns=300).body)["id"])
        self.careful = str(self.api.post("/harness-profiles", Profile(approval="ask").body)["id"])

    def start(self, session: str, *, profile: str | None = None, **task: Any) -> str:
        fields = {"sessionId": session, "harnessProfileId": profile or self.profile}
        return str(self.api.start(json.dumps(task), **fields)["runId"])

    def run(self, session: str, **task: Any) -> str:
        """Start a run, and wait until it has ended."""
        run_id = self.start(session, **task)
        self.api.await_ending(run_id)
        return run_id

    def hold(self, gate: str) -> str:
        """Start a run whose model writes word by word at a gate."""
        order = self.gates[gate].order.replace("hold", "tell") + " one two three"
        fields = {"sessionId": gate, "provider": "local-exec", "model": "script"}
        return str(self.api.start(order, **fields)["runId"])


WROTE = ["files", {"action": "write", "path": "report.md", "content": "# Pears"}]
READ = ["shell", {"command": ["/bin/sh", "-c", "echo 40 pears"]}]
FORBIDDEN = ["shell", {"command": ["rm", "-rf", "/"]}]


@contextmanager
def run_site(directory: Path) -> Iterator[RunSite]:
    gates = Gates(directory / "gates")
    local = {name: value for name, value in gates.settings.items() if name.startswith("local")}
    with (
        standing(choose) as stub,
        Server(directory, openai_base_url=stub.url + "/v1", openai_api_key="none", **local) as server,
    ):
        yield RunSite(server, gates)
    gates.close()

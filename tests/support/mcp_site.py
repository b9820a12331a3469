"""A server whose runs use fake MCP servers, by scripts of a model that the input of each run chooses."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.api import Json
from tests.support.directed import DirectedModel, directed
from tests.support.mcp_servers import mcp_servers_file
from tests.support.model import Profile, Step
from tests.support.server import Server

ALLOW: Json = {"tools": ["*"], "approval": "allow"}


class McpSite(NamedTuple):
    """The server and the model of its runs."""

    server: Server
    model: DirectedModel

    def profile(self, *servers: str, policy: Json = ALLOW, **fields: Any) -> str:
        """Create a profile with all tools of these servers. Return its id."""
        config = Profile(tools=("files",), mcp=dict.fromkeys(servers, policy)).body
        config["toolPolicies"] = {}
        return str(self.server.api.post("/harness-profiles", config | fields)["id"])

    def start(self, task: str, *turns: Step, profile: str, **fields: Any) -> str:
        """Start a run whose input is the task. Return its id."""
        said = self.model.script(task, *turns)
        return str(self.server.api.start(said, harnessProfileId=profile, sessionId=task, **fields)["runId"])

    def payloads(self, run_id: str, *types: str) -> list[Json]:
        """Return the payloads of a run's events."""
        return [event["payload"] for event in self.server.api.events(runId=run_id, types=",".join(types))]

    def results(self, session_id: str) -> Sequence[Json]:
        """Return the results of tools in a session, with their texts."""
        entries = self.server.api.items(f"/sessions/{session_id}/transcript")
        return [entry for entry in entries if entry["kind"] == "tool-result"]


@contextmanager
def mcp_site(directory: Path, servers: Mapping[str, Mapping[str, object]], **settings: str) -> Iterator[McpSite]:
    """Serve a plane with MCP servers. Its log obeys the rules of ``athena verify`` afterwards."""
    file = mcp_servers_file(directory, servers)
    with directed() as model, Server(directory, openai_base_url=model.url, mcp_servers=str(file), **settings) as server:
        yield McpSite(server, model)

"""A server whose runs fake agents execute, by scripts of a model that the input of each run chooses."""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from athena_core.agents.homes import AgentHomes
from tests.support.agent_model import AgentModel, Step
from tests.support.api import Json
from tests.support.fake_agent import SWITCHES
from tests.support.records import verified
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, standing

FAKE_AGENT = Path(__file__).with_name("fake_agent.py")


class DirectedAgentModel:
    """A model with one script for each task. The last task in the prompts of the agent chooses."""

    def __init__(self) -> None:
        self.url = ""
        self.models: dict[str, AgentModel] = {}
        self.asked: list[Asked] = []
        self._first: dict[str, int] = {}
        """The turns before each task: an agent may keep the conversation of an earlier one."""

    def script(self, task: str, *turns: Step) -> str:
        """Set the turns for a task. Return it."""

        def step(number: int) -> Step:
            first = self._first[task] = min(self._first.get(task, number), number)
            return turns[min(number - first, len(turns) - 1)]

        self.models[task] = AgentModel(step)
        return task

    def choose(self, asked: Asked) -> Behaviour:
        self.asked.append(asked)
        text = json.dumps(asked.body)
        places = {text.rfind(task): model for task, model in self.models.items() if task in text}
        model = places[max(places)] if places else AgentModel(("A suggestion",))
        return model.choose(asked)


def agents_file(directory: Path, agents: Mapping[str, Sequence[str]]) -> Path:
    """Write a file of agents: each is the fake agent with some switches. Return its path."""
    lines = []
    for name, switches in agents.items():
        assert all(switch.partition("=")[0] in SWITCHES for switch in switches)
        wire = next((switch[5:] for switch in switches if switch.startswith("wire=")), "openai-chat")
        lines += [
            f"[agents.{name}]",
            f"argv = {json.dumps([sys.executable, '-I', '-S', str(FAKE_AGENT), *switches])}",
            f"wire = {json.dumps(wire)}",
            'resume = "exact"',
            'mode = "default"',
            f"messageIds = {json.dumps('end-turn-after-failure' in switches)}",
            f"readOnly = {json.dumps([str(FAKE_AGENT)])}",
            f"[agents.{name}.env]",
            f'FAKE_URL = "{{gateway}}{"/v1" * wire.startswith("openai")}"',
            'FAKE_KEY = "{key}"',
            'FAKE_MODEL = "{model}"',
        ]
    path = directory / "agents.toml"
    write_agents(path, "\n".join(lines))
    return path


def write_agents(path: Path, text: str) -> None:
    """Write a file of agents that only its owner may change."""
    path.write_text(text)
    path.chmod(0o600)


def stand_in(text: str, *switches: str) -> str:
    """Return a file of one agent, in which the fake agent stands in for its program."""
    argv = json.dumps([sys.executable, "-I", "-S", str(FAKE_AGENT), *switches])
    (name,) = tomllib.loads(text)["agents"]
    url = "{gateway}" if {"wire=anthropic", "wire=gemini"} & set(switches) else "{gateway}/v1"
    lines = [
        *(f"argv = {argv}", 'mode = "default"', 'boxedMode = "default"', f"readOnly = {json.dumps([str(FAKE_AGENT)])}"),
        *(f"[agents.{name}.env]", f'FAKE_URL = "{url}"', 'FAKE_KEY = "{key}"', 'FAKE_MODEL = "{model}"'),
    ]
    return "\n".join((text, *lines))


class AgentSite(NamedTuple):
    """A server with fake agents, and the model that they ask."""

    server: Server
    model: DirectedAgentModel

    def profile(self, agent: str = "fake", permissions: Sequence[Json] = (), **fields: Any) -> str:
        """Create a profile. Return its id. Without ``permissions`` a person is asked."""
        chosen: Json = {"name": agent} | ({"permissions": list(permissions)} if permissions else {})
        body: Json = {
            "displayName": "Outside agent",
            "version": "v1",
            "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["evidence"]},
            "policies": {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0} | fields.pop("policies", {}),
            "sandbox": {"mode": "off"},
            "agent": chosen,
        }
        return str(self.server.api.post("/harness-profiles", body | fields)["id"])

    def start(self, task: str, *turns: Step, profile: str, **fields: Any) -> str:
        """Start a run whose input is the task. Return its id."""
        said = self.model.script(task, *turns)
        return str(self.server.api.start(said, harnessProfileId=profile, **fields)["runId"])

    def payloads(self, run_id: str, *types: str) -> list[Json]:
        """Return the payloads of a run's events."""
        return [event["payload"] for event in self.server.api.events(runId=run_id, types=",".join(types))]

    def results(self, run_id: str) -> list[str]:
        """Return the results of calls in the session of a run."""
        session = self.server.api.get(f"/runs/{run_id}")["sessionId"]
        entries = self.server.api.items(f"/sessions/{session}/transcript")
        return [str(one["content"]) for one in entries if one["kind"] == "tool-result"]

    def types(self, run_id: str) -> list[str]:
        return list(self.server.api.types(runId=run_id))

    def files(self, run_id: str) -> Path:
        """Return the directory in which a run worked."""
        (opened,) = self.payloads(run_id, "workspace.opened")
        return self.server.state_dir / "workspaces" / str(opened["workspaceId"]) / "files"

    def processes(self, session_id: str | None = None) -> list[int]:
        """Return the processes that agents of the server, or of a session, and their tools left.

        Outside of a sandbox the environment names the home, inside of it a mount.
        """
        homes = AgentHomes(self.server.state_dir, lambda path: None)
        home = str(homes.directory if session_id is None else homes.at(session_id)).encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if b"HOME=" + home in (place / "environ").read_bytes() or home in (place / "mountinfo").read_bytes():
                    found.append(int(place.name))
        return found

    def agents(self) -> list[int]:
        """Return the processes of the agents themselves."""
        program = b"\0".join(word.encode() for word in (sys.executable, "-I", "-S", str(FAKE_AGENT)))
        found = []
        for pid in self.processes():
            with suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(program):
                    found.append(pid)
        return found

    def failure(self, run_id: str) -> tuple[str, str]:
        """Return the code and the message of a failed run."""
        error = self.server.api.get(f"/runs/{run_id}")["error"]
        return error["code"], error["message"]


@contextmanager
def agent_site(directory: Path, agents: Mapping[str, Sequence[str]], **settings: str) -> Iterator[AgentSite]:
    """Serve a plane whose agents ask a scripted model. Its log obeys the rules of ``athena verify`` afterwards."""
    model = DirectedAgentModel()
    with (
        standing(model.choose) as stub,
        Server(
            directory,
            openai_base_url=stub.url,
            anthropic_base_url=stub.url,
            gemini_base_url=stub.url,
            agents=str(agents_file(directory, agents)),
            **settings,
        ) as server,
    ):
        model.url = stub.url
        yield AgentSite(server, model)
    report = verified(server.state_dir, server.database_url)
    assert report.ok, report.violations


def site_of_module(agents: Mapping[str, Sequence[str]]) -> Any:
    """Return a fixture: a site that the tests of a module share, on both databases."""

    @pytest.fixture(scope="module")
    def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[AgentSite]:
        with agent_site(tmp_path_factory.mktemp("agents"), agents, **shared_store) as found:
            yield found

    return site

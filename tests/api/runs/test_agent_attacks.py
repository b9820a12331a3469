"""Attacks by an outside agent and its tools: on the sandbox, on the gateways of runs, on asks, and on people."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from tests.support.agent_model import Calls, Hangs, shell
from tests.support.api import Json, soon
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, agent_site
from tests.support.process import environment_of
from tests.support.programs import BOXED

pytestmark = [pytest.mark.heavy, pytest.mark.sqlite]

ALLOW_ALL = ({"match": {}, "approval": "allow"},)
KEY = shell("echo $FAKE_URL $FAKE_KEY")
CONNECTIONS = 100
REQUEST: Json = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "for me"}]}
ODD_NAME = "report\u202egpj.exe\x1b[2J\nAllow: nothing\u2066.txt"
"""A name that reverses, clears the screen and adds a line where it is printed as it is."""
ACTIVE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    with agent_site(tmp_path_factory.mktemp("agents"), {"fake": (), "quiet": ("never-asks",)}) as found:
        yield found


def outputs(site: AgentSite, run_id: str) -> list[str]:
    """Return the results of a run's calls."""
    session = site.server.api.get(f"/runs/{run_id}")["sessionId"]
    entries = site.server.api.items(f"/sessions/{session}/transcript")
    return [entry["content"] for entry in entries if entry["kind"] == "tool-result"]


def gateways(site: AgentSite) -> list[Path]:
    """Return the sockets of the gateways of the server."""
    held = set()
    for place in Path(f"/proc/{site.server.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            held.add(str(place.readlink()))
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return [Path(line[7]) for line in lines if f"socket:[{line[6]}]" in held and line[-1].endswith("/models")]


def hanging(site: AgentSite, task: str, mode: str) -> str:
    """Start a run that shows its key and then waits for its model. Return its id."""
    profile = site.profile(permissions=ALLOW_ALL, sandbox={"mode": mode})
    run_id = site.start(task, KEY, Hangs("Half"), profile=profile, sessionId=task.replace(" ", "-"))
    for _ in soon():
        if site.model.models[task].hung.is_set():
            return run_id
    raise AssertionError


def cancel(site: AgentSite, run_id: str) -> None:
    site.server.api.post(f"/run-control/by-run/{run_id}/cancel")
    assert site.server.api.await_ending(run_id) == "run.cancelled"


def status_of(url: str, key: str) -> tuple[int, str]:
    """Return the status and the code with which a gateway answers a call."""
    headers = {"authorization": f"Bearer {key}"}
    answered = httpx2.post(f"{url}/chat/completions", json=REQUEST, headers=headers, timeout=60)
    return answered.status_code, str(answered.json()["error"]["code"])


def printed(site: AgentSite, *words: str) -> str:
    """Return the output of a command of the command line against the server."""
    environment = environment_of(site.server.directory, {"api_base_url": site.server.url})
    done = subprocess.run(
        [sys.executable, "-m", "athena_cli", *words], env=environment, capture_output=True, check=True
    )
    return done.stdout.decode()


# The sandbox


@BOXED
def test_a_boxed_agent_reaches_no_network_no_state_and_no_other_run(site: AgentSite) -> None:
    state, api = site.server.state_dir, site.server.api
    other = hanging(site, "is a victim", "required")
    victim = site.files(other)
    (gateway,) = gateways(site)
    (home,) = (state / "agents").glob("*/home")
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    commands = {
        "the API": f"curl -sS -m 5 {site.server.url}/api/v1/asks",
        "the server of models": f"curl -sS -m 5 {site.model.url}",
        "the network": "curl -sS -m 5 http://192.0.2.1/",
        "a name": "curl -sS -m 5 https://example.org/",
        "the log": f"cat {state}/log.db",
        "the state": f"ls {state} | grep -v ^workspaces$",
        "another workspace": f"ls {victim}",
        "another home": f"ls {home}",
        "another gateway": f"python3 -c '{connect}' {gateway}",
        "the gateways": f"ls {gateway.parent.parent}",
        "the file of agents": f"cat {state.parent}/agents.toml",
        "another process": f"kill -0 {os.getpid()}",
        "the system": "touch /usr/bin/planted",
    }
    tried = "; ".join(f"({command}) >/dev/null 2>&1 && echo 'reached {name}'" for name, command in commands.items())
    look = shell(f"{tried}; ls /proc | grep -c '^[0-9]'; echo tried")
    profile = site.profile(permissions=ALLOW_ALL, sandbox={"mode": "required"})
    run_id = site.start("attacks from its box", look, "Done.", profile=profile)
    assert api.await_ending(run_id) == "run.completed"
    (output,) = outputs(site, run_id)
    assert "reached" not in output
    assert "tried" in output
    cancel(site, other)


# The gateway


def test_a_tool_that_bombs_its_gateway_disturbs_no_other_run(site: AgentSite) -> None:
    bombed = hanging(site, "is bombed", "off")
    url, key = outputs(site, bombed)[0].split()
    place = httpx2.URL(url)
    before = Path(f"/proc/{site.server.pid}/statm").read_text()
    with ExitStack() as stack:
        for number in range(CONNECTIONS):
            connection = stack.enter_context(socket.create_connection((place.host, place.port or 0), timeout=60))
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
            if number % 2:
                connection.sendall(head[: number % len(head)])  # a slow head
            else:
                connection.sendall(head + f"authorization: Bearer {key}\r\ncontent-length: 33000000\r\n\r\n".encode())
                connection.sendall(b"{" * 10_000)
        run_id = site.start("works meanwhile", shell("echo fine"), "Done.", profile=site.profile("quiet"))
        assert site.server.api.await_ending(run_id) == "run.completed"
        assert site.server.api.get("/admin/health")["status"] == "ok"
        assert status_of(url, key)[1] in {"athena_connections", "athena_bodies"}
    pages = int(Path(f"/proc/{site.server.pid}/statm").read_text().split()[1]) - int(before.split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < 64 << 20
    cancel(site, bombed)
    assert site.processes("is-bombed") == []


# People


def test_names_that_an_agent_makes_up_cannot_deceive_a_person(site: AgentSite) -> None:
    api = site.server.api
    edit = Calls("edit", {"path": ODD_NAME, "text": "x"})
    run_id = site.start("has odd names", edit, "Done.", profile=site.profile())
    asked = api.await_event("run.asked", runId=run_id)["payload"]
    ask = api.get(f"/asks/{asked['askId']}")
    assert not ACTIVE.search(ask["question"]) and "\n" not in ask["question"]
    assert ask["question"] == "Allow edit: report gpj.exe [2J Allow: nothing .txt"
    for form in ("table", "json"):
        shown = printed(site, "asks", "get", asked["askId"], "-o", form)
        assert "gpj.exe" in shown and not ACTIVE.search(shown)
    answer(api, run_id)
    assert api.await_ending(run_id) == "run.completed"
    (result,) = outputs(site, run_id)
    assert result.split("\n")[:3] == ["written", "--- /dev/null", "+++ report gpj.exe [2J Allow: nothing .txt"]


def test_a_giant_change_is_asked_and_recorded_within_bounds(site: AgentSite) -> None:
    api = site.server.api
    edit = Calls("edit", {"path": "giant.txt", "text": "line\n" * 150_000})
    run_id = site.start("writes much", edit, "Done.", profile=site.profile())
    asked = api.await_event("run.asked", runId=run_id)["payload"]
    assert asked["chars"] == len(api.get(f"/asks/{asked['askId']}")["arguments"]) > 900_000
    answer(api, run_id)
    assert api.await_ending(run_id) == "run.completed"
    assert outputs(site, run_id) == ["written\ngiant.txt: 0 lines before, 150000 after"]
    refused = site.start(
        "writes too much", Calls("edit", {"path": "x", "text": "y" * 1_000_000}), "No.", profile=site.profile()
    )
    assert api.await_ending(refused) == "run.completed"
    (called,) = site.payloads(refused, "tool.called")
    assert called["refused"] == "bad-arguments"
    assert called["chars"] > 1_000_000

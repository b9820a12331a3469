"""The plane of the screens: a server with a past and a present, as people would have it, made once for all of them."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.console.scene import PLAIN, Scene, set_up

AGENTS = """
[agents.codex]
template = "codex"
argv = ["/opt/codex/bin/codex-acp"]
model = "gpt-5-mini"
[agents.mine]
argv = ["/bin/true"]
wire = "anthropic"
resume = "none"
mode = "ask"
"""
SERVERS = """
[servers.notes]
command = {command}
sandbox = false
[servers.docs]
url = "https://mcp.example.com/mcp"
"""
FAKE_MCP = Path(__file__).parents[1] / "support" / "fake_mcp.py"
FAR = "2035-01-01T08:00:00.000Z"


@contextmanager
def furnished(directory: Path) -> Iterator[tuple[Scene, dict[str, str]]]:
    """Yield the scene, and the ids that commands name."""
    personas = directory / "workspace" / "personas"
    personas.mkdir(parents=True)
    for name in ("ada", "bob"):
        (personas / f"{name}.json").write_text(f'{{"schemaVersion": 1, "id": "{name}", "description": "{name}"}}')
    agents = directory / "agents.toml"
    agents.write_text(AGENTS)
    agents.chmod(0o600)
    servers = directory / "mcp.toml"
    control = directory / "misbehaviour"
    servers.write_text(SERVERS.format(command=json.dumps([sys.executable, str(FAKE_MCP), f"control={control}"])))
    servers.chmod(0o600)
    settings = {"agents": str(agents), "mcp_servers": str(servers)}
    with set_up(directory, memory_enabled="true", work_max_attempts="2", **settings) as scene:
        for switches in ("", "changed\nadded"):
            control.write_text(switches)
            scene.api.post("/mcp-servers/notes/check")
        yield scene, _past(scene)


def _past(scene: Scene) -> dict[str, str]:
    api = scene.api
    api.put(
        "/policy",
        {"schemaVersion": 1, "costBudgetDailyUsd": 0.05, "maxConcurrentRuns": 8, "defaultRunTimeoutMs": 3_600_000},
    )
    agent = scene.agent_run("pears-weekly")
    api.run("Wie heißt der Bürgermeister von Wesel?", sessionId="greetings", provider="mock", model="mock-model")
    api.run("値段を教えて 🍐 please", sessionId="prices", provider="mock", model="mock-model")
    running = scene.hold("watch", "watch")
    failed = scene.failing("billing")
    paused = scene.paused("research")
    refused = scene.refused("import")
    dead = scene.letter("invoices")
    scene.schedule("nightly", cron="0 2 * * *")
    scene.schedule("new-year", cron=None, timezone=None, runAt=FAR)
    api.post("/schedules/new-year/run", {"provider": "mock"})
    scene.schedule("weekly-report", cron="0 8 * * 1", timezone="America/New_York")
    api.post("/schedules/weekly-report/pause", {"note": "until the new template is there"})
    broken = scene.workflow()
    api.post(f"/workflows/{broken}/run", {})
    scene.model.healed = True
    whole = scene.workflow(approval=True)
    waiting = api.post(f"/workflows/{whole}/run", {})["id"]
    profile = api.post("/harness-profiles", PLAIN)["id"]
    template = {
        "harnessProfileId": profile,
        "directiveTemplate": "Write {{count}} words on {{topic}}.",
        "defaultParams": {"count": "300", "topic": "pears"},
    }
    entry = api.post("/memory", {"text": "Deploy on Mondays only, never on Fridays; ask Ada before a release."})
    api.post("/memory", {"text": "Invoices are kept in the folder `invoices`."})
    message = {"fromPersona": "ada", "toPersona": "bob", "payload": {"ask": "Please check the report of this week."}}
    sent = api.post("/a2a/messages", message)
    api.await_event("a2a.message.completed")
    api.post("/work/enqueue", {"sessionId": "reminders", "payload": "Remind Bob of the report.", "mode": "followup"})
    queued = api.start("Summarise what the watch found.", **scene.local(sessionId="watch"))["runId"]
    return {
        "running": running,
        "queued": queued,
        "agent": agent,
        "failed": failed,
        "paused": paused,
        "refused": refused,
        "dead": dead,
        "broken": broken,
        "workflow": whole,
        "flow": waiting,
        "ask": api.get("/asks")["items"][0]["id"],
        "profile": scene.agent_id,
        "template": api.post("/run-templates", template)["id"],
        "entry": entry["id"],
        "message": sent["messageId"],
        "directive": api.post("/directives", {"input": "Summarise the day."})["id"],
        "evidence": api.get(f"/runs/{agent}/evidence")["items"][0]["id"],
    }

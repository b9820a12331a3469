"""The pictures of every page of the console, taken of a server with a real past.

``python -m tests.console.pictures [--minutes MINUTES] [--only NAME …] [directory]``. Without a directory, it writes
those that the documentation shows. A directory gets all pages at three widths, light and dark.
"""

import argparse
import base64
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.console.browser import PHONE, chromium, watched
from tests.console.scene import PLAIN, SCRIPT, Scene, set_up
from tests.support.api import Json
from tests.support.model import Profile
from tests.support.vouched import VOUCHED

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ROOT / "docs" / "images" / "console"
"""Where those pictures stand that the documentation shows."""

GATES = ("watch", "research", "audit")
"""Gates of the runs that are running in the pictures."""

MINUTES = 6.0
STEP_SECONDS = 5
FORMS = {
    "large": {"width": 1440, "height": 900},
    "wide": {"width": 1280, "height": 860},
    "phone": PHONE,
}
HEIGHT_MAX = {"large": 1000, "wide": 1000, "phone": 1100}
QUALITY = 60
IDENTITY = "ada"
ROLES = {"auth_identity_role_map": "ada:Admin,otto:Operator,vera:Viewer"} | VOUCHED

REVIEW = {
    "schemaVersion": 1,
    "mergeGate": "pass",
    "reportMarkdown": "# Prices\n\nThe price is there. It has no date.\n",
    "findings": [
        {"priority": "P3", "confidence": 0.7, "title": "No date", "message": "Say since when it holds.", "line": 1}
    ],
}
"""The answer of a persona that reviews a commit."""

DARK = ("fleet", "run", "asks", "workflow", "runs", "form")
ON_PHONES = ("fleet", "runs", "run", "asks", "schedule", "workflow")
"""Pages that the documentation also shows dark, and as on a phone; it shows all of them light and wide."""


def passing(scene: Scene, seconds: float) -> None:
    """Let some minutes of work pass, sometimes more and sometimes less, so that charts have a shape."""
    for step in range(int(seconds / STEP_SECONDS)):
        begun = time.monotonic()
        for number in range(round(3 + 2.5 * math.sin(step / 4))):
            scene.api.run("How are you?", sessionId=f"greetings-{number}")
        if step % 4 == 0:
            scene.agent_run(f"pears-{step % 3}")
        if step % 9 == 5:
            scene.failing("billing")
        if step % 16 == 12:
            scene.refused("import")
        time.sleep(max(0.0, begun + STEP_SECONDS - time.monotonic()))


def agent(scene: Scene, name: str, **changes: Any) -> str:
    """Make a profile with a name. Return its id."""
    return str(scene.api.post("/harness-profiles", {**Profile().body, "displayName": name, **changes})["id"])


def asking(scene: Scene) -> str:
    """Let two agents ask before they act. Return the id of an ask."""
    tools = Profile().body["toolPolicies"]
    for name, tool in (("Editor", "files"), ("Mechanic", "shell")):
        profile = agent(scene, name, toolPolicies={**tools, tool: {**tools[tool], "approval": "ask"}})
        started = scene.api.start(
            "Report how pears sold.", sessionId=f"report-{name.lower()}", harnessProfileId=profile
        )
        scene.api.await_event("run.asked", runId=started["runId"])
    return str(scene.api.items("/asks", kind="tool-permission")[0]["id"])


def changed(scene: Scene) -> str:
    """Let an agent work in a workspace of its session. Return its run."""
    profile = agent(scene, "Writer", workspace="session")
    done = scene.api.run("Report how pears sold this month.", sessionId="pears-monthly", harnessProfileId=profile)
    return str(done["runId"])


def personas(scene: Scene) -> str:
    """Let a persona review a commit, and send another one messages. Return the review."""
    api, folder = scene.api, scene.server.workspace / "personas"
    folder.mkdir()
    profile = api.post("/harness-profiles", {**PLAIN, "displayName": "Critic"})["id"]
    for name, more in {
        "critic": {"harnessProfileId": profile, "git": {"requireCleanWorktree": False}},
        "clerk": {},
    }.items():
        (folder / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name, **more}))
    scene.model.script = (json.dumps(REVIEW),)
    asked = {"name": "critic", "repoPath": ".", "headRef": "HEAD", "baseRef": "HEAD~1"}
    api.post("/personas/run", asked)
    scene.model.script = SCRIPT
    for payload in ("the report is there", "count the receipts of March"):
        api.post("/a2a/messages", {"fromPersona": "critic", "toPersona": "clerk", "payload": payload})
    return str(api.items("/personas/runs")[0]["runId"])


def records(scene: Scene) -> dict[str, str]:
    """Make a record of each other kind. Return the place of each page."""
    api = scene.api
    profile = agent(scene, "Pear analyst")
    template = api.post(
        "/run-templates",
        {
            "harnessProfileId": profile,
            "directiveTemplate": "Report how {{fruit}} sold.",
            "defaultParams": {"fruit": "pears"},
        },
    )["id"]
    api.post("/directives", {"input": "Summarise the day."})
    for text in (
        "Pears are sold by weight.",
        "The shop is closed on Sundays.",
        "Receipts of March are in the archive.",
    ):
        api.post("/memory", {"text": text})
    for payload in ("Check the receipts.", "Write to the supplier."):
        api.post("/work/enqueue", {"sessionId": "pears-weekly", "payload": payload, "mode": "followup"})
    api.post("/tokens", {"identity": "vera", "role": "Viewer", "note": "dashboard on the wall"})
    api.post("/tokens", {"identity": "otto", "role": "Operator", "note": "CI"})
    api.post("/mcp-servers/receipts/check")
    (scene.server.directory / "mcp.control").write_text("changed")
    api.post("/mcp-servers/receipts/check")
    kept = {"logId": "5b1e04c7d29a38f6", "position": 48_211, "chain": "c0ffee" * 10 + "c0de"}
    api.post("/anchors", {**kept, "at": "2026-01-31T02:00:00.000Z"})
    review = personas(scene)
    return {
        "profiles": "profiles",
        "profile": f"profiles/{scene.agent_id}",
        "templates": "templates",
        "template": f"templates/{template}",
        "directives": "directives",
        "memory": "memory",
        "queues": "queues",
        "queue": "queues/pears-weekly",
        "workspaces": "workspaces",
        "tokens": "tokens",
        "mcp": "mcp",
        "mcp-server": "mcp/receipts",
        "messages": "messages",
        "reviews": "reviews",
        "review": f"reviews/{review}",
        "anchors": "anchors",
    }


def large_workflow(scene: Scene) -> str:
    """Make a workflow of a fan-out of twenty steps and a long chain, and run it."""
    api = scene.api
    profile = api.post("/harness-profiles", {**PLAIN, "displayName": "Clerk"})["id"]
    directive = api.post("/directives", {"input": "count receipts"})["id"]
    fan = [f"shop-{number:02}" for number in range(1, 21)]
    chain = ["sum", "compare", "explain", "write-report", "translate"]
    names = ["collect", *fan, *chain]
    steps = [{"id": name, "directiveId": directive, "harnessProfileId": profile} for name in names]
    edges = [("collect", one) for one in fan] + [(one, "sum") for one in fan]
    edges += list(zip(chain, chain[1:], strict=False))
    definition = {"steps": steps, "dependencies": [{"from": start, "to": end} for start, end in edges]}
    workflow = str(api.post("/workflows", {"definition": definition})["id"])
    api.post(f"/workflows/{workflow}/run", {})
    return workflow


def past(scene: Scene, minutes: float) -> dict[str, str]:
    """Fill the server. Return the place of each page."""
    api = scene.api
    policy: Json = {"schemaVersion": 1, "costBudgetDailyUsd": 0.05, "maxConcurrentRuns": 12}
    api.put("/policy", {"policy": policy, "auditComment": "a budget for November"})
    scene.hold(GATES[0], GATES[0])
    passing(scene, 60 * minutes)
    earlier = api.get("/events", limit=1)["head"]
    shown = scene.agent_run("pears-weekly")
    again = str(api.post(f"/runs/{shown}/retry", {"model": "gpt-4o"})["runId"])
    failed = [scene.failing(session) for session in ("billing", "triage")]
    for gate in GATES[1:]:
        scene.hold(gate, gate)
    for session in ("import", "import", "export"):
        scene.refused(session)
    scene.letter("invoices")
    scene.letter("reminders")
    scene.schedule("nightly")
    scene.schedule("hourly", everyMinutes=60)
    api.post("/schedules/nightly/run", {})
    paused = scene.schedule("weekly-report", cron="0 8 * * 1", timezone="America/New_York")
    api.post(f"/schedules/{paused}/pause", {"note": "until the new template is there"})
    broken = scene.workflow()
    api.post(f"/workflows/{broken}/run", {})
    scene.model.healed = True
    whole = scene.workflow(approval=True)
    api.post(f"/workflows/{whole}/run", {})
    large = large_workflow(scene)
    api.put("/policy", {"policy": {**policy, "maxConcurrentRuns": 8}, "auditComment": "the model is slow"})
    written = changed(scene)
    ask = asking(scene)
    refusal = api.get("/policy/rejections", order="newest")["items"][0]["id"]
    entry = api.items("/governance/audit-trail", kind="policy")[0]["id"]
    return {
        "fleet": "fleet?range=15m",
        "past": f"fleet?range=15m&at={earlier}",
        "asks": "asks",
        "ask": f"asks/{ask}",
        "runs": "runs",
        "run": f"runs/{shown}",
        **{
            f"run-{tab}": f"runs/{shown}?tab={tab}" for tab in ("conversation", "events", "evidence", "limits", "proof")
        },
        "run-failed": f"runs/{failed[0]}",
        "run-changes": f"runs/{written}",
        "comparison": f"runs/{shown}?compare={again}",
        "sessions": "sessions",
        "session": "sessions/pears-weekly",
        "schedules": "schedules",
        "schedule": "schedules/nightly",
        "workflows": "workflows",
        "workflow": f"workflows/{broken}",
        "workflow-approval": f"workflows/{whole}",
        "workflow-large": f"workflows/{large}",
        "letters": "letters?status=pending",
        **records(scene),
        "policy": "policy",
        "simulation": "form/putPolicy",
        "form": "form/createSchedule?id=weekly&sessionId=reports&input=Summarise+the+week.&timezone=Europe/Berlin",
        "rejections": "rejections",
        "rejection": f"rejections/{refusal}",
        "audit": "audit",
        "audit-entry": f"audit/{entry}?kind=policy",
        "events": "events",
        "system": "system",
        "palette": "runs",
        "help": "runs",
        "search": "runs?status=failed&sort=duration",
    }


# Before a picture is taken


def simulate(page: Any) -> None:
    page.get_by_label("Max concurrent runs").fill("4")
    page.get_by_role("button", name="Simulate", exact=True).click()
    expect(page.get_by_role("region", name="Simulation")).to_be_visible()
    page.locator("form footer").scroll_into_view_if_needed()


def recheck(page: Any) -> None:
    page.get_by_role("button", name="Re-check against").click()
    page.wait_for_selector(".verdict")


def write_cron(page: Any) -> None:
    page.locator('[data-path="cron"]').fill("0 8 * * 1")
    expect(page.get_by_role("region", name="Next runs").locator("tbody tr")).to_have_count(5)


def search(page: Any) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("schedule")


def select_a_call(page: Any) -> None:
    page.get_by_role("tree").get_by_text("shell").click()


PREPARED: dict[str, Callable[[Any], None]] = {
    "simulation": simulate,
    "rejection": recheck,
    "form": write_cron,
    "run": select_a_call,
    "palette": search,
    "help": lambda page: page.keyboard.press("?"),
}
FLEET_HEIGHT = 1600
IN_PLACE = ("simulation", "palette", "help")
"""Pages of which only the part in the window is taken, where they stand."""


def shot(page: Any, path: Path, height_max: int) -> None:
    """Take a picture of a page, from its top, as WebP."""
    height = min(height_max, page.evaluate("document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": page.evaluate("scrollY"), "width": page.viewport_size["width"], "height": height, "scale": 1}
    asked = {"format": "webp", "quality": QUALITY, "captureBeyondViewport": True, "clip": clip}
    answer = page.context.new_cdp_session(page).send("Page.captureScreenshot", asked)
    path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def opened(browser: Any, url: str, form: str, scheme: str) -> Iterator[Any]:
    headers = {"x-athena-identity": IDENTITY, "x-athena-proxy-secret": VOUCHED["auth_proxy_secret"]}
    options = {"color_scheme": scheme, "reduced_motion": "reduce", "extra_http_headers": headers}
    with watched(browser, url, **options) as page:
        page.set_viewport_size(FORMS[form])
        page.goto("/#/system")
        page.wait_for_selector('.pulse[data-state="live"]')
        yield page


def take(page: Any, name: str, place: str, path: Path, height_max: int) -> None:
    """Open a page, prepare it and take its picture."""
    page.goto("/#/" + place)
    page.reload()  # nothing of the page before is left
    page.wait_for_selector("h1")
    expect(page.get_by_text("Loading …")).to_have_count(0)
    if name in PREPARED:
        PREPARED[name](page)
    if name not in IN_PLACE:
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")  # what stays at the top is taken where it stands
    page.wait_for_timeout(500)
    if name in IN_PLACE:
        height_max = page.viewport_size["height"]
    elif name == "fleet":
        height_max = FLEET_HEIGHT
    shot(page, path, height_max)


def wanted(everything: bool, names: Iterable[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each width and scheme with the names of its pictures."""
    if everything:
        for form in FORMS:
            for scheme in ("light", "dark"):
                yield form, scheme, list(names)
        return
    yield "wide", "light", list(names)
    yield "wide", "dark", [name for name in names if name in DARK]
    yield "phone", "light", [name for name in names if name in ON_PHONES]


def take_all(browser: Any, url: str, places: dict[str, str], directory: Path, everything: bool) -> None:
    """Take the pictures of all places."""
    for form, scheme, names in wanted(everything, places):
        with opened(browser, url, form, scheme) as page:
            for name in names:
                marks = ["" if form == "wide" else f"-{form}", f"-{scheme}" if everything or scheme == "dark" else ""]
                suffix = "".join(marks)
                take(page, name, places[name], directory / f"{name}{suffix}.webp", HEIGHT_MAX[form])


@contextmanager
def standing_past(directory: Path, minutes: float) -> Iterator[tuple[Scene, dict[str, str]]]:
    """Yield a server with a past and the places of its pages."""
    shared, servers = directory / "workspace", directory / "mcp.toml"
    shared.mkdir(parents=True)
    (shared / "report.md").write_text("# Pears\nSales of pears rose by 9 %.\n")
    git = ("git", "-c", "user.name=ada", "-c", "user.email=ada@example.org")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "begin")):
        subprocess.run([*git, *command], cwd=shared, check=True)
    (shared / "prices.md").write_text("Pears cost 3.20 a kilogram.\n")
    for command in (("add", "."), ("commit", "-qm", "add prices")):
        subprocess.run([*git, *command], cwd=shared, check=True)
    (directory / "mcp.control").touch()
    fake = ROOT / "tests" / "support" / "fake_mcp.py"
    words = [sys.executable, "-I", "-S", str(fake), f"control={directory / 'mcp.control'}"]
    servers.write_text(f"[servers.receipts]\ncommand = {words!r}\nsandbox = false\n")
    servers.chmod(0o600)
    settings = {"runtime_run_timeout_ms": "3600000", "memory_enabled": "true", "mcp_servers": str(servers), **ROLES}
    with set_up(directory, IDENTITY, **settings) as scene:
        try:
            yield scene, past(scene, minutes)
        finally:
            for gate in GATES:
                scene.gates[gate].release()


def main() -> None:
    """Take the pictures of the documentation, or all pictures into a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--only", nargs="*", default=[])
    chosen = parser.parse_args()
    directory = chosen.directory or SHOWN
    directory.mkdir(exist_ok=True, parents=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        standing_past(Path(temporary) / "scene", chosen.minutes) as (scene, places),
        chromium() as browser,
    ):
        named = {name: place for name, place in places.items() if not chosen.only or name in chosen.only}
        take_all(browser, scene.server.url, named, directory, everything=chosen.directory is not None)


if __name__ == "__main__":
    main()

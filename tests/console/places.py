"""Every place of the console, on a server with a record of each kind."""

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.console.elements import live
from tests.console.scene import PLAIN, Scene
from tests.support.model import Profile
from tests.support.vouched import VOUCHED

ROLES = {"auth_identity_role_map": "ada:Admin,olga:Operator,vera:Viewer"} | VOUCHED
CONSOLE = Path(__file__).resolve().parents[2] / "athena_api" / "dashboard" / "src"
TABS = ("steps", "conversation", "events", "evidence", "limits", "proof")


def named(identity: str) -> dict[str, str]:
    """Return the headers of a page whose proxy names an identity."""
    return {"x-athena-identity": identity, "x-athena-proxy-secret": VOUCHED["auth_proxy_secret"]}


def seen_by(browser: Any, site: Any, identity: str = "otto", **options: Any) -> AbstractContextManager[Any]:
    """Return a page on the fleet, as an identity sees it."""
    return live(browser, site.server.url, extra_http_headers=named(identity), **options)


def greeting(scene: Scene) -> str:
    """A workflow of two steps with a placeholder each, the second of which the first fills."""
    profile = scene.api.post("/harness-profiles", PLAIN)["id"]
    words = {"greet": "Greet {{name}}.", "answer": "Answer {{greeting}} to {{name}}."}
    steps = [
        {
            "id": step,
            "directiveId": scene.api.post("/directives", {"input": said})["id"],
            "harnessProfileId": profile,
            "outputs": ["text"],
        }
        for step, said in words.items()
    ]
    mapping = {"fromOutput": "text", "toInput": "greeting"}
    edges = [{"from": "greet", "to": "answer", "mappings": [mapping]}]
    return str(scene.api.post("/workflows", {"definition": {"steps": steps, "dependencies": edges}})["id"])


def records_and_forms(scene: Scene) -> list[str]:
    """Make a record of each kind that people write. Return the places of their pages and of all forms."""
    api = scene.api
    profile = api.post("/harness-profiles", PLAIN)["id"]
    directive = api.post("/directives", {"input": "Say hello."})["id"]
    template = api.post(
        "/run-templates",
        {"harnessProfileId": profile, "directiveTemplate": "Greet {{name}}.", "defaultParams": {"name": "you"}},
    )["id"]
    api.run("hello", sessionId="seen")
    api.post("/work/enqueue", {"sessionId": "seen", "payload": "later", "mode": "followup"})
    token = api.post("/tokens", {"identity": "vera", "role": "Viewer", "note": "for a test"})["tokenId"]
    memory = api.post("/memory", {"text": "Pears are sold by weight."})["id"]
    workflow = greeting(scene)
    scene.schedule("nightly")
    scene.schedule("leap-day", cron="30 13 29 2 *", timezone="America/Argentina/Buenos_Aires")  # wide on a phone
    api.put("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 50}, "auditComment": "for a test"})
    return [
        *("sessions", "sessions/seen", "profiles", f"profiles/{profile}", "templates", f"templates/{template}"),
        *("directives", f"directives/{directive}", "memory", f"memory/{memory}", "queues", "queues/seen"),
        *("messages", "reviews", "tokens", f"tokens/{token}", "audit", "policy", "workspaces", "anchors"),
        *("schedules", "schedules/nightly", "workflows", f"workflows/{workflow}", "letters", "rejections"),
        *("form/createRun", "form/createSchedule", "form/updateSchedule?of=nightly", "form/createHarnessProfile"),
        *("form/createRunTemplate", f"form/updateRunTemplate?of={template}", f"form/runTemplate?of={template}"),
        *("form/createDirective", "form/createWorkflow", f"form/runWorkflow?of={workflow}", "form/runPersona"),
        *("form/sendA2aMessage", "form/enqueueWork", "form/recordMemory", "form/createToken", "form/putPolicy"),
        "form/redriveA2aDlq",
    ]


def work(scene: Scene) -> list[str]:
    """Make runs of all kinds, and what follows from them. Return the places of their pages."""
    api = scene.api
    shown, other, failed = scene.agent_run("looked-at"), scene.agent_run("looked-at"), scene.failing("looked-at")
    paused, running = scene.paused("paused"), scene.hold("looked-at", "held")
    scene.refused("refused")
    careful = api.post("/harness-profiles", Profile(approval="ask").body)["id"]
    asking = str(api.start("Report it.", sessionId="asking", harnessProfileId=careful)["runId"])
    api.await_event("run.asked", runId=asking)
    workflow = scene.workflow(approval=True)
    scene.model.healed = True
    api.post(f"/workflows/{workflow}/run", {})
    (rejection,) = api.items("/policy/rejections", sessionId="refused")
    letter, changed = scene.letter("failing"), api.events(types="policy.updated")[-1]["id"]
    then = api.head()
    return [
        *("fleet", "runs", "runs?status=failed&modle=gpt", "asks", "asks?status=approved", "events", "system", "mcp"),
        *(f"asks/{ask['id']}" for ask in api.items("/asks")),
        *(f"runs/{shown}?tab={tab}" for tab in TABS),
        *(f"runs/{shown}?step=9", f"runs/{shown}?compare={other}"),
        *(f"runs/{run_id}" for run_id in (failed, paused, running, asking)),
        *(f"rejections/{rejection['id']}", f"workflows/{workflow}", f"letters/{letter}", f"audit/{changed}"),
        *(f"{place}?at={then}" for place in ("fleet", "runs", f"runs/{shown}", "schedules", "system", "mcp/any")),
        *("fleet?at=99999999", "fleet?at=1969-01-01", "nowhere", f"runs/{shown[:-1]}0", "profiles/none"),
    ]


def every_place(scene: Scene) -> list[str]:
    """Return all places; each page and each form of the console must be among them."""
    places = [*work(scene), *records_and_forms(scene)]
    wanted = {*re.findall(r'"(\w+)"', groups()), *(f"form/{name}" for name in forms())}
    assert (missing := wanted - {re.split(r"\?", place)[0] for place in places}) == set(), missing
    return places


def groups() -> str:
    """Return the pages of the navigation, as they stand in its source."""
    found = re.search(r"GROUPS.*? = \[(.*?)\n\];", (CONSOLE / "route.ts").read_text("utf-8"), re.DOTALL)
    assert found
    return "".join(re.findall(r", (\[.*?\])\]", found[1]))


def forms() -> list[str]:
    """Return the operations that have a form."""
    source = (CONSOLE / "components" / "form_rows.tsx").read_text("utf-8")
    return re.findall(r"\boperation: (\w+),", source.partition("export const FORMS")[2])


def settings() -> dict[str, Any]:
    """Return what the server of these places needs; an Admin looks at them."""
    return {"identity": "ada", "memory_enabled": "true", **ROLES}

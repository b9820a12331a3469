"""The pictures of the console, taken of a server with a real past: ``python -m tests.console.pictures [directory]``."""

import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.console.browser import PHONE, WIDE, chromium, watched
from tests.console.scene import Scene, set_up

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ROOT / "docs" / "images"
"""Where those pictures stand that the documentation shows."""

GATES = ("watch", "research", "audit")
"""Gates of the runs that are running in the pictures."""

KEPT = {
    "fleet-light",
    "fleet-dark",
    "run-light",
    "rejections-light",
    "workflow-light",
    "fleet-phone-dark",
    "past-light",
}


MINUTES = 6
STEP_SECONDS = 5


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


def past(scene: Scene, minutes: float = MINUTES) -> dict[str, str]:
    """Fill the server. Return the place of each page."""
    api = scene.api
    api.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0.05, "maxConcurrentRuns": 8})
    scene.hold(GATES[0], GATES[0])
    passing(scene, 60 * minutes)
    earlier = api.get("/events", limit=1)["head"]
    shown, again = (scene.agent_run("pears-weekly") for _ in range(2))
    for session in ("billing", "triage"):
        scene.failing(session)
    for gate in GATES[1:]:
        scene.hold(gate, gate)
    for session in ("import", "import", "export"):
        scene.refused(session)
    letter = scene.letter("invoices")
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
    scene.api.start("wait for the audit", **scene.local(sessionId="audit"))
    refusal = api.get("/policy/rejections", order="newest")["items"][0]["id"]
    return {
        "fleet": "#/fleet",
        "past": f"#/fleet?at={earlier}",
        "runs": "#/runs",
        "run": f"#/runs/{shown}",
        "comparison": f"#/runs/{shown}?compare={again}",
        "rejections": f"#/rejections/{refusal}",
        "schedules": "#/schedules",
        "schedule": "#/schedules/nightly",
        "workflows": "#/workflows",
        "workflow": f"#/workflows/{broken}",
        "approval": f"#/workflows/{whole}",
        "letters": f"#/letters/{letter}?status=pending",
        "events": "#/events",
        "system": "#/system",
    }


def take(browser: Any, url: str, places: dict[str, str], directory: Path) -> None:
    """Take every page in both schemes, wide and as wide as a phone."""
    for form, viewport in (("", WIDE), ("-phone", PHONE)):
        for scheme in ("light", "dark"):
            with watched(browser, url, color_scheme=scheme, reduced_motion="reduce") as page:
                page.set_viewport_size(viewport)
                page.goto("/#/fleet")
                page.wait_for_selector('.pulse[data-state="live"]')
                for name, place in places.items():
                    page.goto("/" + place)
                    page.wait_for_selector("h1")
                    expect(page.get_by_text("Loading …")).to_have_count(0)
                    if name == "rejections":
                        page.get_by_role("button", name="Re-check against").click()
                        page.wait_for_selector(".verdict")
                    page.evaluate("scrollTo(0, 0)")  # what stays at the top is taken where it stands
                    page.wait_for_timeout(400)
                    page.screenshot(path=str(directory / f"{name}{form}-{scheme}.png"), full_page=True)


def main() -> None:
    """Take all pictures of a directory, or by default those in the documentation."""
    with tempfile.TemporaryDirectory() as temporary:
        everything = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        everything.mkdir(exist_ok=True, parents=True)
        with set_up(Path(temporary) / "scene", runtime_run_timeout_ms="3600000") as scene, chromium() as browser:
            places = past(scene)
            take(browser, scene.server.url, places, everything)
            for gate in GATES:
                scene.gates[gate].release()
        if len(sys.argv) == 1:
            SHOWN.mkdir(exist_ok=True)
            for name in sorted(KEPT):
                (SHOWN / f"{name}.png").write_bytes((everything / f"{name}.png").read_bytes())


if __name__ == "__main__":
    main()

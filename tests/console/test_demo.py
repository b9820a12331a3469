"""The five steps of the demo's guide, walked with Chromium and a pseudo-terminal, to a real kill of the server."""

import re
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import AXE, faults_of, watched
from tests.console.elements import expect
from tests.support.api import Api, soon
from tests.support.demo_terminal import READY_SECONDS, terminal

STEPS = ("open", "cancel", "approve", "limit", "kill")

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]


def test_a_visitor_walks_the_five_steps_and_kills_the_server(browser: Any, tmp_path: Path) -> None:
    began = time.monotonic()
    with terminal(tmp_path) as demo:
        url = demo.until(r"Console +(http://\S+)")
        with watched(browser, url) as page:
            page.goto("/#/fleet")
            page.wait_for_selector('.pulse[data-state="live"]')
            expect(page.get_by_text("Approve")).not_to_have_count(0)
            expect(page.locator("main")).to_contain_text("Dead letter: ")
            expect(page.locator("main")).to_contain_text("Out of budget: ")
            seconds = time.monotonic() - began
            print(f"a living fleet after {seconds:.1f} s")
            assert seconds < 10 * READY_SECONDS

            done = page.locator(".guide li.done")
            expect(page.locator(".guide li")).to_have_count(len(STEPS))
            expect(done).to_have_count(0)
            demo.until(r"(Keys) ")
            with closing(Api(url)) as api:
                await_yearbook(api)
            page.reload()
            link = page.locator('.guide [data-step="open"] a')
            expect(link).to_have_attribute("href", re.compile("run_"))
            link.click()
            expect(page.get_by_role("heading", level=1)).to_contain_text("running")
            expect(page.locator("main")).to_contain_text("Week 1.")
            page.get_by_role("button", name="Cancel run").click()
            page.locator("dialog button[type=submit]").click()
            expect(page.locator("main")).to_contain_text("cancelled")
            approve(page)
            raise_limit(page)
            page.goto("/#/fleet")
            expect(done).to_have_count(4)
            page.reload()  # finished steps are kept
            expect(done).to_have_count(4)

            demo.press("k")
            expect(page.locator(".banner")).to_contain_text("Disconnected")
            killed = int(demo.until(r"Killed the server \(process (\d+)\) with SIGKILL"))
            started = int(demo.until(r"Back as process (\d+) after"))
            assert killed != started
            going_on = int(demo.until(r"s: (\d+) of \d+ runs go on"))
            assert going_on == int(demo.until(r"SIGKILL during (\d+) runs")) > 0
            assert demo.until(r"athena verify: (\w+)") == "ok"
            page.wait_for_selector('.pulse[data-state="live"]')
            expect(done).to_have_count(5)
            expect(page.locator(".guide")).to_contain_text("All done")
            if AXE.exists():  # it is there where npm is
                page.evaluate(AXE.read_text("utf-8"))
                assert not (faults := faults_of(page)), "\n".join(faults)
        with watched(browser, url) as page:  # the next visitor finds everything again
            page.goto("/#/fleet")
            expect(page.locator(".guide li.done")).to_have_count(0)
            expect(page.get_by_text("Approve")).not_to_have_count(0)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(60) == 0
    assert not list(tmp_path.iterdir())


def await_yearbook(api: Api) -> None:
    """Wait until the run that streams is running."""
    for _ in soon():
        if any(run["sessionId"].startswith("yearbook") for run in api.items("/runs", status="running")):
            return


def approve(page: Any) -> None:
    """Approve the report where the guide's link leads."""
    page.goto("/#/fleet")
    link = page.locator('.guide [data-step="approve"] a')
    expect(link).to_have_attribute("href", re.compile("wfr?_"))
    link.click()
    page.get_by_role("link", name="Read and decide").first.click()
    page.get_by_role("button", name="Approve").click()


def raise_limit(page: Any) -> None:
    """Open a rejected run, and raise the limit that rejected it."""
    page.goto("/#/fleet")
    page.locator('.guide [data-step="limit"] a').click()
    page.locator("tr[data-id] a[aria-expanded]").first.click()
    page.get_by_role("link", name="Change limits").click()
    page.get_by_label("Max concurrent runs").fill("40")
    page.get_by_label("Reason").fill("the import needs more")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Policy").wait_for()

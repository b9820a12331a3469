"""Runs of outside agents in a browser, against a real server with the fake agent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.console.browser import AXE, IN_A_BROWSER, PHONE, faults_of
from tests.console.elements import expect, live
from tests.support.agent_model import Calls, shell
from tests.support.api import soon
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, agent_site
from tests.support.programs import made

pytestmark = IN_A_BROWSER

AGENTS = {"open": ("shows-work",), "silent": ("shows-work", "never-asks"), "dies": ("die=tool", "never-asks")}
HOSTILE = "<b>\u202egpj</b>"
EDIT = Calls("edit", {"path": "out.txt", "text": f"one\ntwo {HOSTILE}\n"})
FULL = {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    with agent_site(tmp_path_factory.mktemp("agents"), AGENTS) as found:
        yield found


@contextmanager
def seen(browser: Any, site: AgentSite, run_id: str, **options: Any) -> Iterator[Any]:
    """Yield the page of a run."""
    with live(browser, site.server.url, f"/#/runs/{run_id}", reduced_motion="reduce", **options) as page:
        yield page


def panel(page: Any, name: str) -> Any:
    return page.locator(".panel", has=page.get_by_role("heading", name=name, exact=True))


def waiting(site: AgentSite, task: str) -> str:
    """Start a run whose agent asks for the permission of an edit. Return its id."""
    run_id = site.start(task, EDIT, shell("sleep 1000"), profile=site.profile("open"), sessionId=task.replace(" ", "-"))
    site.server.api.await_event("run.asked", runId=run_id)
    return run_id


def test_the_plan_the_reasoning_and_open_calls_are_live(browser: Any, site: AgentSite) -> None:
    run_id = waiting(site, "shows itself live")
    with seen(browser, site, run_id) as page:
        now = panel(page, "Now")
        expect(now.get_by_role("listitem")).to_have_text(["▸ Change the file", "○ Run the tests"])
        expect(now.get_by_role("img", name="in progress")).to_have_count(1)
        expect(now.get_by_label("Reasoning")).to_have_text("I should do this first.")
        expect(now.locator(".call .act")).to_have_text("edit out.txt not begun")
        expect(now.locator("ins")).to_have_text(["+one\n", "+two <b>[U+202E]gpj</b>\n"])
        ask = page.get_by_role("article", name="Allow edit: out.txt")
        expect(ask.locator(".act")).to_have_text("open:edit out.txt")
        expect(ask.get_by_label("New content")).to_contain_text("two <b>[U+202E]gpj</b>")
        ask.get_by_role("button", name="Allow", exact=True).click()
        expect(page.get_by_role("article", name="Allow execute: sleep 1000")).to_be_visible()
        page.get_by_role("article", name="Allow execute").get_by_role("button", name="Allow", exact=True).click()
        expect(now.locator(".call .act")).to_have_text("execute sleep 1000 in progress")
        expect(now.get_by_label("Output so far")).to_have_text("begun")
        site.server.api.post(f"/run-control/by-run/{run_id}/cancel")
        expect(now).to_have_count(0)


def test_calls_of_an_agent_have_a_kind_a_title_and_a_mark_and_fold_their_changes(browser: Any, site: AgentSite) -> None:
    run_id = site.start("never asks", EDIT, shell("echo hi"), "It is done.", profile=site.profile("silent"))
    assert site.server.api.await_ending(run_id) == "run.completed"
    with seen(browser, site, run_id) as page:
        expect(panel(page, "Now")).to_have_count(0)
        page.goto(f"/#/runs/{run_id}?tab=conversation")
        transcript = panel(page, "Conversation")
        calls = transcript.locator("article.tool-call")
        expect(calls).to_have_count(2)
        expect(calls.first.locator("header")).to_contain_text("Tool call (edit): out.txt")
        expect(calls.first.locator("header")).to_contain_text("not asked")
        expect(calls.last.locator("pre")).to_have_text("echo hi")
        result = transcript.locator("article.tool-result").first
        expect(result.locator("header")).to_contain_text("Tool result: out.txt")
        expect(result.locator("summary")).to_contain_text("+2 −0")
        expect(result.locator("ins").first).to_be_hidden()
        result.locator("summary").click()
        expect(result.locator("ins")).to_have_text(["+one\n", "+two <b>[U+202E]gpj</b>\n"])
        expect(transcript.locator("article.assistant.message header")).to_contain_text("Agent")
        page.goto(f"/#/runs/{run_id}?tab=limits")
        facts = panel(page, "Limits & usage")
        expect(facts).to_contain_text("silent (fake 1.0), mode default")
        expect(facts).to_contain_text("opened a new session")
        assert page.locator("main b:text-is('gpj')").count() == 0
        page.goto("/#/runs")
        expect(page.locator(f'[data-run="{run_id}"]')).to_contain_text("Outside agent · by silent")


def test_an_agent_that_was_started_again_says_so(browser: Any, site: AgentSite) -> None:
    run_id = site.start("dies in a tool", *[shell("sleep 1000")] * 5, profile=site.profile("dies"))
    assert site.server.api.await_ending(run_id) == "run.failed"
    with seen(browser, site, run_id) as page:
        page.goto(f"/#/runs/{run_id}?tab=limits")
        expect(panel(page, "Limits & usage")).to_contain_text("started again 3 times, then resumed its session")


def test_the_present_of_a_run_is_seen_when_the_page_comes_late_or_the_server_is_gone(
    browser: Any, site: AgentSite
) -> None:
    run_id = waiting(site, "is there already")
    with seen(browser, site, run_id) as page:
        expect(panel(page, "Now").get_by_label("Plan")).to_be_visible()
        answer(site.server.api, run_id, "deny")
        expect(panel(page, "Now").locator(".call")).not_to_contain_text("out.txt")
        site.server.api.post(f"/run-control/by-run/{run_id}/cancel")
    for _ in soon():
        if not site.processes():
            break


def test_the_system_page_lists_agents_and_their_processes(browser: Any, site: AgentSite) -> None:
    run_id = waiting(site, "stays in memory")
    with seen(browser, site, run_id) as page:
        page.goto("/#/system")
        agents = panel(page, "Outside agents")
        registered = agents.get_by_role("region", name="Outside agents")
        expect(registered.get_by_role("row", name="open installed 1")).to_contain_text("openai, openai-chat")
        process = agents.get_by_role("region", name="Processes of agents").get_by_role("row", name="waits for a person")
        expect(process).to_contain_text(run_id[-6:])
        expect(process).to_contain_text(" MB")
        site.server.api.post(f"/run-control/by-run/{run_id}/cancel")


@made(AXE, "axe-core", "console")
def test_the_pages_of_agents_are_accessible_and_fit_a_phone(browser: Any, site: AgentSite) -> None:
    ended = site.start("ended before", EDIT, shell("echo hi"), "It is done.", profile=site.profile("silent"))
    site.server.api.await_ending(ended)
    run_id = waiting(site, "looks good")
    for viewport, scheme in ((FULL, "light"), (PHONE, "dark")):
        with seen(browser, site, run_id, color_scheme=scheme) as page:
            page.set_viewport_size(viewport)
            page.add_init_script(path=str(AXE))
            for place, shown in (
                (f"runs/{run_id}", "Now"),
                (f"runs/{ended}?tab=conversation", "Conversation"),
                ("system", "Outside agents"),
            ):
                page.goto("about:blank")
                page.goto(f"/#/{place}")
                expect(panel(page, shown).locator("pre, td, article").first).to_be_visible()
                for summary in page.locator(".transcript summary").all():
                    summary.click()
                assert faults_of(page) == []
                wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert page.evaluate(wider) <= 0
    site.server.api.post(f"/run-control/by-run/{run_id}/cancel")

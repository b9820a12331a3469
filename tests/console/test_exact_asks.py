"""Asks that hide a part, in a browser: their marks, the exact text, and the decision about it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.browser import IN_A_BROWSER
from tests.console.elements import button, expect, live
from tests.console.hands import Hands
from tests.support.agent_model import shell
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, agent_site

pytestmark = IN_A_BROWSER

TOKEN = f"ghp_{'a1' * 18}"
IMITATION = "[hidden: 40 characters, sha256 000000000000]"
COMMAND = f"echo {TOKEN} '\u202e{IMITATION}' > out.txt"
EXACT = f"echo {TOKEN} '[U+202E]{IMITATION}' > out.txt"
QUIET_MS = 350
"""After the focus has moved, a card takes no key for a moment."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    with agent_site(tmp_path_factory.mktemp("agents"), {"fake": ()}) as found:
        yield found


def hiding(site: AgentSite, task: str, command: str = COMMAND) -> Json:
    """Start a run of an agent that asks for a command. Return its ask."""
    run_id = site.start(task, shell(command), "Done.", profile=site.profile(), sessionId=task.replace(" ", "-"))
    site.server.api.await_event("run.asked", runId=run_id)
    (ask,) = site.server.api.items("/asks", runId=run_id)
    return ask


def card(page: Any, ask: Json) -> Any:
    return page.locator(f'article[data-ask="{ask["id"]}"]')


def test_a_hidden_part_is_opened_and_then_allowed_by_pointer(browser: Any, site: AgentSite) -> None:
    ask = hiding(site, "is opened by pointer")
    (span,) = ask["hidden"]
    with live(browser, site.server.url, "/#/asks") as page:
        found, hands = card(page, ask), Hands(page)
        mark = f"[hidden: 40 characters, sha256 {span['sha256'][:12]}]"
        expect(found.locator("mark[data-mark=hidden]").last).to_have_text(mark)
        expect(found).to_contain_text(f"echo {mark} '[U+202E]{IMITATION}'")
        assert IMITATION not in found.locator("mark").all_inner_texts(), "an imitation of a mark is text"
        expect(found).to_contain_text("1 part is hidden (40 characters).")
        expect(found).to_contain_text("Not always: the shown text hides a part")
        expect(button(found, "Allow")).to_be_disabled()
        for name in ("Always …", "Edit …"):
            expect(button(found, name)).to_have_count(0)
        assert not site.types(ask["runId"]).count("run.ask.opened")
        hands.click(button(found, "Show the exact text"))
        expect(found.locator(".act")).to_contain_text(EXACT)
        expect(found.locator(".act mark")).to_have_text(["[U+202E]"])
        expect(found).to_contain_text("This is the exact text")
        expect(button(found, "Always …")).to_have_count(0)
        hands.click(button(found, "Allow"))
        expect(page.locator(".notices")).to_contain_text("Allowed by")
        hands.took_at_most(clicks=2)
    site.server.api.await_ending(ask["runId"])
    assert (site.files(ask["runId"]) / "out.txt").read_text() == f"{TOKEN} \u202e{IMITATION}\n"
    assert site.types(ask["runId"]).count("run.ask.opened") == 1


def test_a_hidden_part_is_opened_and_then_allowed_by_keyboard(browser: Any, site: AgentSite) -> None:
    ask = hiding(site, "is opened by keyboard")
    with live(browser, site.server.url, f"/#/runs/{ask['runId']}") as page:
        hands = Hands(page)
        expect(page.locator(".inbox kbd").first).to_have_text("e")
        card(page, ask).focus()
        page.wait_for_timeout(QUIET_MS)
        page.keyboard.press("y")
        expect(page.locator(".notices")).to_contain_text("Show the exact text first: e.")
        assert site.server.api.items("/asks", runId=ask["runId"]), "nothing is allowed that was not opened"
        hands.press("e")
        expect(card(page, ask).locator(".act")).to_contain_text(EXACT)
        hands.press("y")
        expect(page.locator(".notices")).to_contain_text("Allowed by")
        hands.took_at_most(keys=2)
        page.goto(f"/#/asks/{ask['id']}")
        expect(page.locator(".decision")).to_contain_text("Allowed by")
        expect(page.locator("main")).to_contain_text("1 part is hidden (40 characters).")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("Show the exact text of the ask")
    site.server.api.await_ending(ask["runId"])


def test_a_refusal_leads_to_the_exact_text(browser: Any, site: AgentSite) -> None:
    ask = hiding(site, "is refused")
    body = json.dumps({"ok": True, "data": {**ask, "exact": ask["arguments"]}})
    with live(browser, site.server.url, f"/#/asks/{ask['id']}") as page:
        # The page has an exact text, but the server has not recorded that it was opened
        page.route("**/asks/*exact=true*", lambda route: route.fulfill(body=body, content_type="application/json"))
        button(page, "Show the exact text").click()
        button(page, "Allow").click()
        expect(page.locator(".notices")).to_contain_text("Show the exact text first, then decide.")
        expect(button(page, "Allow")).to_be_disabled()
        page.unroute("**/asks/*exact=true*")
        button(page, "Show the exact text").click()
        expect(page.locator(".act").first).to_contain_text(EXACT)
        expect(button(page, "Allow")).to_be_enabled()
        button(page, "Deny").click()
        expect(page.locator(".decision")).to_contain_text("Denied by")
    site.server.api.await_ending(ask["runId"])


def test_an_ask_that_hides_nothing_needs_no_other_step(browser: Any, site: AgentSite) -> None:
    ask = hiding(site, "hides nothing", "echo \u202egpj > out.txt")
    with live(browser, site.server.url, f"/#/runs/{ask['runId']}") as page:
        found = card(page, ask)
        expect(found.locator(".act mark")).to_have_text(["[U+202E]"])
        expect(button(found, "Show the exact text")).to_have_count(0)
        expect(button(found, "Always …")).to_be_visible()
        expect(page.locator(".inbox kbd").first).to_have_text("y")
        button(found, "Allow").click()
        expect(page.locator(".notices")).to_contain_text("Allowed by")
    site.server.api.await_ending(ask["runId"])

"""The console where a person decides: asks, the halt and repeated runs, in a browser, against a real server."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import IN_A_BROWSER
from tests.console.elements import button, expect
from tests.console.places import seen_by
from tests.support.api import Api, Json
from tests.support.model import turn_of
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, standing
from tests.support.vouched import VOUCHED

pytestmark = IN_A_BROWSER

ROLES = {"auth_identity_role_map": "ada:Admin,otto:Operator,vera:Viewer"} | VOUCHED
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script> \u202egpj.exe\x00\u200b &amp;\n'
LINE = "a line of forty characters, with no end\n"
LINES = 26_000
BIG = HOSTILE + LINE * LINES + "the end"
"""Nearly a mebibyte of text: more than a model may send, and as much as a person may."""


def choose(asked: Asked) -> Behaviour:
    """Make the calls that the input of the run lists as JSON, all in one turn; then answer."""
    messages = asked.body["messages"]
    if messages[-1]["role"] == "tool":
        return turn_of("It is done.", 2)
    calls = json.loads(messages[-1]["content"])
    return turn_of(tuple((tool, arguments) for tool, arguments in calls), 1)


class Agents:
    """A server whose agents ask before every call, and its workspace."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.api: Api = server.client("ada")
        self.profile = str(
            self.api.post(
                "/harness-profiles",
                {
                    "displayName": "Mechanic",
                    "version": "v1",
                    "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["shell", "files", "ask_user"]},
                    "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0},
                    "toolPolicies": {
                        "shell": {"commands": [["touch"]], "approval": "ask"},
                        "files": {"write": True, "approval": "ask"},
                    },
                },
            )["id"]
        )

    def start(self, session: str, *calls: tuple[str, Json]) -> str:
        """Start a run that makes these calls, and wait until it asks."""
        started = self.api.start(json.dumps(calls), sessionId=session, harnessProfileId=self.profile)
        run_id = str(started["runId"])
        self.api.await_event("run.asked", runId=run_id)
        return run_id

    def touch(self, name: str, session: str | None = None) -> str:
        """Start a run that asks to make an empty file."""
        return self.start(session or f"of-{name}", ("shell", {"command": ["touch", name]}))

    def asks(self, run_id: str) -> list[Json]:
        return [ask for ask in self.api.items("/asks") if ask.get("runId") == run_id]

    def made(self, name: str) -> bool:
        return (self.server.workspace / name).exists()


@contextmanager
def standing_agents(directory: Path) -> Iterator[Agents]:
    with (
        standing(choose) as stub,
        Server(directory, openai_base_url=stub.url + "/v1", openai_api_key="none", **ROLES) as server,
    ):
        yield Agents(server)


@pytest.fixture(scope="module")
def agents(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    with standing_agents(tmp_path_factory.mktemp("asks")) as found:
        yield found


def card(page: Any, ask: Json) -> Any:
    return page.locator(f'article[data-ask="{ask["id"]}"]')


def press(page: Any, key: str) -> None:
    """Press a key once the card with the focus takes it: not in the moment after the focus has moved."""
    page.wait_for_timeout(350)
    page.keyboard.press(key)


def test_ten_asks_are_decided_by_keyboard(browser: Any, agents: Agents) -> None:
    runs = [agents.touch(f"file-{number}") for number in range(10)]
    asks = [agents.asks(run)[0] for run in runs]
    with seen_by(browser, agents) as page:
        expect(page.locator("nav .badge")).to_have_text("10")
        expect(page).to_have_title(re.compile(r"^\(10\) "))
        expect(page.locator("article[data-ask]").first).to_be_visible()
        page.keyboard.press("j")
        for number, ask in enumerate(asks):
            expect(card(page, ask)).to_be_focused()
            expect(card(page, ask)).to_contain_text(f"touch file-{number}")
            press(page, "n" if number % 3 == 0 else "y")
        expect(page.locator("article[data-ask]")).to_have_count(0)
        expect(page.locator("nav .badge")).to_have_count(0)
        expect(page).to_have_title(re.compile(r"^Fleet"))
    for number, run in enumerate(runs):
        agents.api.await_ending(run)
        assert agents.made(f"file-{number}") is (number % 3 != 0)
        (answer,) = agents.api.events(types="run.answered", runId=run)
        assert (answer["payload"]["by"], answer["payload"]["askId"]) == ("otto", asks[number]["id"])


def test_a_key_decides_only_the_ask_that_is_shown(browser: Any, agents: Agents) -> None:
    first, second = agents.touch("first"), agents.touch("second")
    (one,), (two,) = agents.asks(first), agents.asks(second)
    with seen_by(browser, agents) as page:
        card(page, one).focus()
        refuse = {"subjectHash": one["subjectHash"], "optionId": "deny"}
        agents.api.post(f"/asks/{one['id']}/answer", refuse)
        expect(card(page, one)).to_contain_text("Denied by ada.")
        press(page, "y")
        expect(card(page, one)).to_be_focused()
        expect(button(card(page, two), "Allow")).to_be_enabled()
        page.locator(".filters, h1").first.click()
        page.keyboard.press("y")  # nothing has the focus
        card(page, two).focus()
        page.route("**/events/stream**", lambda route: route.abort())
        hold = page.context.new_cdp_session(page)
        hold.send("Network.enable")
        hold.send("Network.setBlockedURLs", {"urls": ["*/events/stream*", "*/admin/health*"]})
        # The page learns of an answer by others from the refusal of its own
        page.route(f"**/asks/{two['id']}/answer", lambda route: lose(route, agents, two))
        press(page, "y")
        expect(page.locator(".notices")).to_contain_text("ada")
        expect(card(page, two)).to_contain_text("Denied by ada.")
    for run in (first, second):
        agents.api.await_ending(run)
    assert not agents.made("first")
    assert not agents.made("second")


def lose(route: Any, agents: Agents, ask: Json) -> None:
    """Let another person deny before the answer of the page arrives."""
    agents.api.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "deny"})
    route.continue_()


def test_keys_are_text_in_a_field_and_a_long_call_is_opened_first(browser: Any, agents: Agents) -> None:
    name = "x" * 200 + "/" + "y" * 200
    run = agents.touch(name, "long")
    (ask,) = agents.asks(run)
    with seen_by(browser, agents) as page:
        expect(button(card(page, ask), "Allow")).to_have_count(0)
        card(page, ask).focus()
        press(page, "y")
        expect(page.get_by_role("heading", level=1)).to_contain_text(ask["question"])
        expect(page.locator(".call pre").first).to_have_text(f"touch {name}")
        note = page.get_by_label("Note")
        note.fill("")
        note.press_sequentially("any")
        expect(note).to_have_value("any")
        assert agents.asks(run), "keys in a field decide nothing"
        card(page, ask).focus()
        press(page, "n")
        expect(page.locator(".decision")).to_have_text("Denied by otto.")
        expect(page.locator(".causes")).to_contain_text("any")
    agents.api.await_ending(run)


def test_hostile_arguments_are_text_and_nothing_is_cut(browser: Any, agents: Agents) -> None:
    run = agents.start("hostile", ("files", {"action": "write", "path": "<b>a\u202e.md", "content": HOSTILE * 10}))
    (ask,) = agents.asks(run)
    large = json.dumps({**json.loads(ask["arguments"]), "content": BIG}, ensure_ascii=False)
    with seen_by(browser, agents) as page:
        expect(card(page, ask)).to_contain_text("<b>a[U+202E].md")
        body = json.dumps({"ok": True, "data": {**ask, "arguments": large}})
        page.route(f"**/asks/{ask['id']}", lambda route: route.fulfill(body=body, content_type="application/json"))
        page.goto(f"/#/asks/{ask['id']}")
        text = page.locator(".call pre").first
        expect(text).to_contain_text("&amp;")
        shown = text.inner_text()
        assert shown.startswith(
            '<img src=x onerror="document.title=1"><script>document.title=1</script> [U+202E]gpj.exe'
        )
        assert "[U+0000][U+200B] &amp;" in shown
        assert shown.rstrip().endswith("the end")
        assert shown.count(LINE) == LINES
        assert page.locator("main img, main script").count() == 0
        expect(page).to_have_title(re.compile("Asks"))
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0
        button(page, "Deny").click()
        expect(page.locator(".decision")).to_have_text("Denied by otto.")
    agents.api.await_ending(run)


FORM = {
    "type": "object",
    "properties": {
        "branch": {"type": "string", "title": "Branch\u202e", "enum": ["main", "next"]},
        "times": {"type": "integer", "description": "How often"},
        "sure": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
        "to": {"type": "string", "format": "email"},
        "page": {"type": "string", "format": "uri"},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["branch", "sure"],
}


def test_a_question_is_answered_by_its_form_and_a_choice_by_a_button(browser: Any, agents: Agents) -> None:
    asked = agents.start("asking", ("ask_user", {"question": "Where to push <b>this</b>?", "form": FORM}))
    choosing = agents.start("choosing", ("ask_user", {"question": "Which colour?", "options": ["Red", "Green"]}))
    (question,), (choice,) = agents.asks(asked), agents.asks(choosing)
    with seen_by(browser, agents) as page:
        expect(card(page, question).get_by_role("link", name="Read and decide")).to_be_visible()
        page.goto("/#/asks")
        form = card(page, question)
        expect(form).to_contain_text("Where to push <b>this</b>?")
        form.get_by_label("Branch[U+202E]").select_option("next")
        kinds = {
            name: form.get_by_label(name, exact=True).get_attribute("type") for name in ("day", "to", "page", "at")
        }
        assert kinds == {"day": "date", "to": "email", "page": "url", "at": "datetime-local"}
        form.get_by_label("day").fill("2026-12-24")
        form.get_by_label("times").fill("1.5")
        form.get_by_label("sure").select_option("No")
        button(form, "Answer").click()
        expect(form.locator("input:invalid")).to_be_focused()
        form.get_by_label("times").fill("3")
        button(form, "Answer").click()
        expect(page.locator(".notices")).to_contain_text("Answered by otto.")
        card(page, choice).focus()
        press(page, "2")
        expect(page.locator(".notices")).to_contain_text("Green")
    for run in (asked, choosing):
        agents.api.await_ending(run)
    assert agents.api.get(f"/asks/{question['id']}")["values"] == {
        "branch": "next",
        "times": 3,
        "sure": False,
        "day": "2026-12-24",
    }
    assert agents.api.get(f"/asks/{choice['id']}")["optionId"] == "2"


def test_a_call_is_allowed_with_changes_and_another_always(browser: Any, agents: Agents) -> None:
    edited, always = agents.touch("draft"), agents.touch("always", "steady")
    (one,), (two,) = agents.asks(edited), agents.asks(always)
    with seen_by(browser, agents, "ada") as page:
        page.goto(f"/#/runs/{edited}")
        button(card(page, one), "Edit …").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Arguments").fill('{"command": ["touch", "final"')
        expect(dialog.get_by_role("alert")).to_contain_text("not JSON")
        expect(button(dialog, "Allow with changes")).to_be_disabled()
        dialog.get_by_label("Arguments").fill('{"command": ["touch", "final"]}')
        expect(dialog.locator(".new")).to_contain_text("final")
        button(dialog, "Allow with changes").click()
        expect(status(page)).to_have_text("completed")
        page.goto("/#/asks")
        button(card(page, two), "Always …").click()
        dialog.get_by_label("Scope").select_option("session")
        dialog.get_by_label("Duration").select_option(label="1 hour")
        expect(dialog).to_contain_text("in all runs of the session steady, without asking, for 1 h")
        button(dialog, "Allow always").click()
        agents.api.await_ending(always)
        again = agents.api.start(
            json.dumps([["shell", {"command": ["touch", "always"]}]]),
            sessionId="steady",
            harnessProfileId=agents.profile,
        )["runId"]
        agents.api.await_ending(again)
        (used,) = agents.api.events(types="run.answered", runId=again)
        assert used["payload"]["cause"] == "rule"
        page.goto("/#/system")
        rules = page.get_by_role("region", name="Permission rules")
        expect(rules).to_contain_text("touch always")
        button(rules, "Revoke …").first.click()
        button(dialog, "Revoke rule").click()
        expect(rules).to_contain_text("revoked")
    asking = agents.touch("always", "steady")
    assert agents.asks(asking), "a revoked rule allows nothing"
    agents.api.post(f"/run-control/by-run/{asking}/cancel", {})
    assert agents.made("final")
    assert not agents.made("draft")


def status(page: Any) -> Any:
    return page.locator("h1 .status").first


def test_a_halt_is_on_all_pages_until_an_admin_lifts_it(browser: Any, agents: Agents) -> None:
    with seen_by(browser, agents, "otto") as page, seen_by(browser, agents, "ada") as other:
        other.goto("/#/runs")
        button(page, "Halt …").click()
        dialog = page.get_by_role("dialog")
        expect(button(dialog, "Halt")).to_be_disabled()
        dialog.get_by_label("Reason").fill("it deletes <b>files</b>")
        button(dialog, "Halt").click()
        for seen in (page, other):
            expect(seen.locator(".halted")).to_contain_text("Halted by otto")
            expect(seen.locator(".halted")).to_contain_text("it deletes <b>files</b>")
        expect(button(page, "Lift …")).to_have_count(0)
        expect(page.locator(".halted")).to_contain_text("An Admin can lift it.")
        button(other, "Lift …").click()
        button(other.get_by_role("dialog"), "Lift").click()
        for seen in (page, other):
            expect(seen.locator(".halted")).to_have_count(0)
        expect(button(page, "Halt …")).to_be_visible()


def test_a_run_is_started_again_with_another_input(browser: Any, agents: Agents) -> None:
    run = agents.touch("again-1")
    (ask,) = agents.asks(run)
    agents.api.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "deny"})
    agents.api.await_ending(run)
    with seen_by(browser, agents) as page:
        page.goto(f"/#/runs/{run}")
        expect(status(page)).to_have_text("completed")
        button(page.locator("h1"), "Run again …").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Input")).to_have_value(re.compile("again-1"))
        dialog.get_by_label("Input").fill(json.dumps([["shell", {"command": ["touch", "again-2"]}]]))
        button(dialog, "Run again").click()
        expect(page.locator(".essentials")).to_contain_text("run again after")
        button(page.locator("article[data-ask]"), "Allow").click()
        expect(status(page)).to_have_text("completed")
        page.get_by_title(run).click()
        page.locator(".essentials").get_by_role("link", name="once").click()
        expect(page.locator("tr[data-run]")).to_have_count(1)
        page.goto("/#/runs")
        expect(button(page.locator(f'tr[data-run="{run}"]'), "Again …")).to_be_visible()
    assert agents.made("again-2")


def test_a_viewer_reads_an_ask_and_cannot_answer_it(browser: Any, agents: Agents) -> None:
    run = agents.touch("viewed")
    (ask,) = agents.asks(run)
    with seen_by(browser, agents, "vera") as page:
        expect(card(page, ask)).to_contain_text("touch viewed")
        expect(card(page, ask)).to_contain_text("role")
        expect(card(page, ask).get_by_role("button")).to_have_count(0)
        card(page, ask).focus()
        press(page, "y")
        expect(button(page, "Halt …")).to_have_count(0)
    assert agents.asks(run)
    agents.api.post(f"/run-control/by-run/{run}/cancel", {})
    agents.api.await_ending(run)
    closed = agents.api.get(f"/asks/{ask['id']}")
    assert closed["status"] == "cancelled"

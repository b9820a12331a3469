"""The page of a run in a browser: its steps, its moments, two runs side by side, and the tasks of an operator."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.browser import IN_A_BROWSER
from tests.console.elements import button, expect, live, panel
from tests.console.hands import Hands
from tests.console.run_site import FORBIDDEN, READ, WROTE, RunSite, run_site

pytestmark = IN_A_BROWSER

REPORT = """# Pears

Sales rose by **12 %**, says [the ledger](https://ledger.example/pears).

| week | sold |
|---|--:|
| 34 | 40 |

- one
  - two

```py
print("<b>pears</b>")
```
<img src=x onerror="document.title=1">
"""


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunSite]:
    with run_site(tmp_path_factory.mktemp("run")) as found:
        yield found


def status(page: Any) -> Any:
    return page.locator("h1 .status").first


def rows(page: Any) -> Any:
    return page.get_by_role("tree", name="Steps").get_by_role("treeitem")


def detail(page: Any) -> Any:
    return page.get_by_role("region", name="Selected step")


# The steps


def test_the_tree_is_walked_by_keys_and_shows_each_step(browser: Any, site: RunSite) -> None:
    run_id = site.run("walked", calls=[WROTE, FORBIDDEN, READ], answer=REPORT)
    with live(browser, site.server.url, f"/#/runs/{run_id}") as page:
        assert re.split(r"\s+\d[\d.]* m?s", " ".join(rows(page).all_inner_texts()))
        expect(rows(page)).to_have_count(1 + 4 + 3)
        expect(rows(page).first).to_have_attribute("aria-selected", "true")
        page.keyboard.press("j")
        expect(detail(page).locator("h2")).to_have_text("turn 1")
        expect(detail(page)).to_contain_text("gpt-4o-mini")
        expect(detail(page)).to_contain_text("1,000 in, 100 out")
        page.keyboard.press("j")
        expect(detail(page).locator("h2")).to_have_text("files")
        expect(detail(page).locator(".call")).to_contain_text("write report.md")
        expect(detail(page)).to_contain_text("Policy of the profile for this tool")
        for _ in range(2):
            page.keyboard.press("ArrowDown")
        expect(detail(page).locator(".decided")).to_have_text("The profile asks for no approval")
        expect(detail(page)).to_contain_text("The command 'rm -rf /' is not allowed")
        page.keyboard.press("k")
        page.keyboard.press("ArrowLeft")
        expect(rows(page)).to_have_count(1 + 4 + 2)
        page.keyboard.press("ArrowRight")
        expect(rows(page)).to_have_count(1 + 4 + 3)
        page.keyboard.press("End")
        expect(detail(page).locator("h2")).to_have_text("turn 4")
        expect(page).to_have_url(re.compile(r"select=model-18"))  # turn 4
        page.reload()
        expect(detail(page).locator("h2")).to_have_text("turn 4")
        page.keyboard.press("g")
        page.keyboard.press("r")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Runs")


def test_an_answer_is_shown_as_markdown_and_nothing_in_it_is_markup(browser: Any, site: RunSite) -> None:
    run_id = site.run("report", answer=REPORT)
    with live(browser, site.server.url, f"/#/runs/{run_id}") as page:
        answer = panel(page, "Answer")
        expect(answer.locator(".md h3")).to_have_text("Pears")
        expect(answer.locator(".md strong")).to_have_text("12 %")
        expect(answer.locator(".md td")).to_have_text(["34", "40"])
        expect(answer.locator(".md li li")).to_have_text("two")
        expect(answer.locator(".md pre")).to_have_text('print("<b>pears</b>")')
        link = answer.locator(".md a")
        expect(link).to_have_text("the ledger (ledger.example)")
        expect(link).to_have_attribute("rel", "noreferrer noopener")
        expect(answer).to_contain_text('<img src=x onerror="document.title=1">')
        assert page.locator("main img, main script, main b:text-is('pears')").count() == 0
        button(answer, "Source").click()
        expect(answer.locator("pre.prose")).to_contain_text("# Pears")


def test_messages_that_were_retried_and_asks_are_steps(browser: Any, site: RunSite) -> None:
    run_id = site.start("asking", profile=site.careful, calls=[READ])
    site.api.await_event("run.asked", runId=run_id)
    with live(browser, site.server.url, f"/#/runs/{run_id}") as page:
        expect(rows(page).filter(has_text="asks: shell")).to_have_attribute("aria-selected", "true")
        expect(detail(page)).to_contain_text("Waiting for a decision.")
        expect(detail(page).locator(".call")).to_contain_text("echo 40 pears")
        button(page.locator("article[data-ask]"), "Allow").click()
        expect(status(page)).to_have_text("completed")
        rows(page).filter(has=page.locator(".caret")).filter(has_text=re.compile("^\\s*shell")).click()
        expect(detail(page).locator(".decided")).to_contain_text("Allowed by")
        expect(detail(page)).to_contain_text("40 pears")


def test_messages_as_sent_and_the_proof_are_read_when_they_are_opened(browser: Any, site: RunSite) -> None:
    run_id = site.run("sent", calls=[READ])
    proof = site.api.get(f"/runs/{run_id}/proof")
    with live(browser, site.server.url, f"/#/runs/{run_id}") as page:
        rows(page).filter(has_text="turn 2").click()
        sent = detail(page).locator("details", has_text="Messages as sent")
        sent.locator("summary").click()
        expect(sent).to_contain_text("40 pears")
        expect(sent).to_contain_text("Tools: ")
        page.goto(f"/#/runs/{run_id}?tab=proof")
        shown = panel(page, "Proof")
        expect(shown).to_contain_text(proof["last"]["chain"])
        expect(shown.locator("code")).to_have_text(proof["commands"])
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


# Tasks of an operator, by pointer and by keyboard, with the most clicks and keys that each may take


def failing(site: RunSite, session: str) -> str:
    return site.run(session, refuses=["gpt-4o-mini"], answer="It works with this one.")


def test_task_see_why_a_run_failed_by_pointer(browser: Any, site: RunSite) -> None:
    run_id = failing(site, "why-pointer")
    with live(browser, site.server.url, "/#/fleet") as page:
        hands = Hands(page)
        hands.click(page.get_by_role("link", name="Runs", exact=True))
        hands.click(page.locator(f'tr[data-run="{run_id}"] a').first)
        expect(page.locator(".outcome")).to_contain_text("cannot read this input")
        expect(page.locator(".outcome").get_by_role("link", name="See others like this")).to_be_visible()
        hands.took_at_most(clicks=2)


def test_task_see_why_a_run_failed_by_keyboard(browser: Any, site: RunSite) -> None:
    run_id = failing(site, "why-keys")
    with live(browser, site.server.url, "/#/fleet") as page:
        hands = Hands(page)
        hands.go_to("r", "Runs")
        expect(page.locator("tr[data-run]").first).to_have_attribute("data-run", run_id)
        hands.press("j", "Enter")
        expect(page.locator(".outcome")).to_contain_text("cannot read this input")
        hands.took_at_most(keys=4)


def test_task_retry_with_another_model_and_compare_by_pointer(browser: Any, site: RunSite) -> None:
    run_id = failing(site, "retry-pointer")
    with live(browser, site.server.url, f"/#/runs/{run_id}") as page:
        hands = Hands(page)
        hands.click(button(page.locator(".outcome"), "Run again …"))
        dialog = page.get_by_role("dialog")
        hands.click(dialog.get_by_label("Model", exact=True))
        hands.type("gpt-4o")
        hands.click(button(dialog, "Run again"))
        compared(page)
        hands.took_at_most(clicks=3, keys=6)


def test_task_retry_with_another_model_and_compare_by_keyboard(browser: Any, site: RunSite) -> None:
    run_id = failing(site, "retry-keys")
    with live(browser, site.server.url, f"/#/runs/{run_id}") as page:
        hands = Hands(page)
        expect(page.locator(".outcome")).to_be_visible()
        hands.press("r")
        dialog = page.get_by_role("dialog")
        hands.tab_to(dialog.get_by_label("Model", exact=True))
        hands.type("gpt-4o")
        hands.press("Enter")
        compared(page)
        hands.took_at_most(keys=16)


def compared(page: Any) -> None:
    """Wait until the two runs are side by side, and the second one has ended."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Two runs side by side")
    totals = page.get_by_role("region", name="Totals")
    expect(totals.locator("tr", has_text="Outcome").locator(".status")).to_have_text(["failed", "completed"])
    expect(totals.locator("tr", has_text="Model")).to_contain_text("gpt-4o-mini")
    expect(page.locator(".first-difference")).to_contain_text("First difference: turn 1")
    expect(page.locator(".compared.first")).to_contain_text("It works with this one.")


LONG_CALL = ["shell", {"command": ["/bin/sh", "-c", "echo " + "many " * 100 + "words"]}]


def test_task_decide_an_ask_after_reading_it_by_keyboard(browser: Any, site: RunSite) -> None:
    run_id = site.start("read-keys", profile=site.careful, calls=[LONG_CALL])
    site.api.await_event("run.asked", runId=run_id)
    with live(browser, site.server.url, "/#/fleet") as page:
        hands = Hands(page)
        expect(page.locator("article[data-ask]")).to_have_count(1)
        hands.press("j")
        page.wait_for_timeout(350)  # keys right after the focus has moved were meant for the card before
        hands.press("y")
        expect(page.locator(".call pre").first).to_contain_text("many many")
        page.wait_for_timeout(350)
        hands.press("y")
        expect(page.locator(".decision")).to_contain_text("Allowed")
        hands.took_at_most(keys=3)
    assert site.api.await_ending(run_id) == "run.completed"


def test_task_decide_an_ask_after_reading_it_by_pointer(browser: Any, site: RunSite) -> None:
    run_id = site.start("read-pointer", profile=site.careful, calls=[LONG_CALL])
    site.api.await_event("run.asked", runId=run_id)
    with live(browser, site.server.url, "/#/fleet") as page:
        hands = Hands(page)
        hands.click(page.get_by_role("link", name="Read and decide"))
        expect(page.locator(".call pre").first).to_contain_text("many many")
        hands.click(button(page, "Allow"))
        expect(page.locator(".decision")).to_contain_text("Allowed")
        hands.took_at_most(clicks=2)
    assert site.api.await_ending(run_id) == "run.completed"


def shared(browser: Any, site: RunSite, page: Any, at: str) -> None:
    """Open the copied link as another person; it must show the same moment and step."""
    address = page.evaluate("navigator.clipboard.readText()")
    assert f"step={at}" in address
    with live(browser, site.server.url, "/" + address.partition("/")[2].partition("/")[2].partition("/")[2]) as other:
        expect(other.locator(".slider output")).to_contain_text(f"{at} of ")
        expect(other.locator(".past")).to_have_text("Past state")


def test_task_share_a_moment_by_pointer_and_by_keyboard(browser: Any, site: RunSite) -> None:
    run_id = site.run("shared", calls=[WROTE, READ])
    with live(browser, site.server.url, f"/#/runs/{run_id}", permissions=["clipboard-read", "clipboard-write"]) as page:
        hands = Hands(page)
        slider = page.get_by_role("slider")
        expect(slider).to_be_visible()
        hands.click(slider)  # its middle
        hands.click(button(page, "Share this moment"))
        expect(page.locator(".notices")).to_contain_text("copied")
        shared(browser, site, page, slider.input_value())
        hands.took_at_most(clicks=2)
        page.reload()
        hands = Hands(page)
        expect(slider).to_be_visible()
        hands.press("[", "[", "s")
        expect(page.locator(".notices")).to_contain_text("copied")
        shared(browser, site, page, slider.input_value())
        hands.took_at_most(keys=3)


@pytest.mark.parametrize(("by", "keys", "clicks"), [("keyboard", 5, 0), ("pointer", 0, 2)])
def test_task_follow_a_live_run(browser: Any, site: RunSite, by: str, keys: int, clicks: int) -> None:
    """The page is found from the fleet or the list, follows what the model writes, and stays where it is read."""
    name = f"followed-{by}"
    run_id = site.hold(name)
    gate = site.gates[name]
    with live(browser, site.server.url, "/#/fleet") as page:
        hands = Hands(page)
        if by == "keyboard":
            hands.go_to("r", "Runs")
            expect(page.locator("tr[data-run]").first).to_have_attribute("data-run", run_id)
            hands.press("j", "Enter")
        else:
            hands.click(page.locator(f'main a[href="#/runs/{run_id}"]').first)
        expect(page.locator(".writing pre")).to_have_text("one ")
        expect(rows(page).filter(has_text="turn 1")).to_have_attribute("aria-selected", "true")
        gate.release()
        expect(page.locator(".writing pre")).to_have_text("one two ")
        if by == "keyboard":
            hands.press("k")
        else:
            hands.click(rows(page).first)
        expect(panel(page, "Input")).to_contain_text(f"tell {name}")
        gate.release()
        gate.release()
        expect(status(page)).to_have_text("completed")
        hands.took_at_most(keys=keys, clicks=clicks)

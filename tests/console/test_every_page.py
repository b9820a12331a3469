"""Every page of the console: accessible, as wide as its screen, and with nothing from elsewhere."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.console.browser import AXE, IN_A_BROWSER, PHONE, WIDE, faults_of, watched
from tests.console.elements import LIVE, button, expect, go, too_wide
from tests.console.hostile_answers import hostile_answers, unhurt
from tests.console.places import every_place, named, settings
from tests.console.scene import Scene, set_up
from tests.scale import sized
from tests.support.programs import made

pytestmark = [*IN_A_BROWSER, pytest.mark.timeout(600)]

FULL = {"width": 1440, "height": 900}
SCREENS = tuple((screen, scheme) for screen in (FULL, WIDE, PHONE) for scheme in ("light", "dark"))

AXE_EVERY = sized(len(SCREENS), len(SCREENS), 1)
"""axe takes a second for each screen: at the smaller sizes each page has one of them, by turns."""

LONGEST_SECONDS = 10
"""CPU time of a page with hostile texts. A record with mebibytes of them takes a third of it, all others a tenth."""

REPORTED = """
window.violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  violations.push(`${violatedDirective} ${blockedURI}`);
});
"""


class Visited(NamedTuple):
    """A server with a record of each kind, and all places of the console."""

    scene: Scene
    places: list[str]


@pytest.fixture(scope="module")
def visited(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    with set_up(tmp_path_factory.mktemp("every"), **settings()) as scene:
        yield Visited(scene, every_place(scene))
        scene.gates["looked-at"].release()


def check(page: Any, what: str, number: int) -> None:
    """Fail if the page has a fault of accessibility, or is wider than its screen; the last one is a phone."""
    for turn, (screen, scheme) in enumerate(SCREENS):
        where = f"{what} ({screen['width']} pixels, {scheme})"
        if turn % 2 == 0:  # colours change no width
            page.set_viewport_size(screen)
            assert (wide := too_wide(page)) <= 0, f"{where} is {wide} pixels too wide"
        if (number + turn) % AXE_EVERY == 0:
            page.emulate_media(color_scheme=scheme)
            assert not (faults := faults_of(page)), f"{where}:\n" + "\n".join(faults[:10])
    for table in page.locator("main:not(:has(.compared)) .scroll").all():  # two runs side by side need more
        wide = table.evaluate("table => table.scrollWidth - table.clientWidth")
        assert wide <= 0, f"a table of {what} is {wide} pixels too wide for a phone"


@made(AXE, "axe-core", "console")
def test_every_page_is_accessible_and_fits_its_screen_and_asks_only_its_server(browser: Any, visited: Visited) -> None:
    scene, places = visited
    headers = named("ada")
    with watched(browser, scene.server.url, reduced_motion="reduce", extra_http_headers=headers) as page:
        asked: set[str] = set()
        page.on("request", lambda request: asked.add(request.url))
        page.on("websocket", lambda socket: asked.add(socket.url))
        page.add_init_script(REPORTED)
        policy = page.goto("/").headers["content-security-policy"]
        assert "unsafe" not in policy
        expect(page.locator(LIVE)).to_be_visible()
        assert page.locator("script:not([src]), style").count() == 0
        page.evaluate(AXE.read_text("utf-8"))
        for number, place in enumerate(places):
            page.set_viewport_size(FULL)
            go(page, place)
            if "tab=steps" in place:
                page.locator(".tree .model").first.click()
            if place == "system":
                button(page, "View checksums").click()
                page.get_by_role("columnheader", name="Checksum").wait_for()
            check(page, place, number)
        assert page.evaluate("window.violations") == []
        origins = {urlsplit(url)[:2] for url in asked if not url.startswith("data:")}
        assert origins == {urlsplit(scene.server.url)[:2]}


@made(AXE, "axe-core", "console")
def test_every_dialog_is_accessible_and_fits_its_screen(browser: Any, visited: Visited) -> None:
    scene, places = visited
    headers = named("ada")
    with watched(browser, scene.server.url, reduced_motion="reduce", extra_http_headers=headers) as page:
        go(page, "fleet")
        page.evaluate(AXE.read_text("utf-8"))
        dialog = page.get_by_role("dialog")
        for key in ("Control+k", "?"):
            page.keyboard.press(key)
            expect(dialog).to_be_visible()
            check(page, key, len(key))
            page.keyboard.press("Escape")
        seen = set()
        for place in places:
            if re.match("(fleet|runs/|tokens|schedules/|letters|policy|memory/|rej|audit)", place) and "=" not in place:
                page.set_viewport_size(FULL)
                go(page, place)
                for name in page.get_by_role("button", name=re.compile(" …$")).all_inner_texts():
                    if name not in seen:
                        seen.add(name)
                        button(page, name).first.click()
                        expect(dialog).to_be_visible()
                        check(page, f"the dialog {name} of {place}", len(seen))
                        page.keyboard.press("Escape")
                        page.set_viewport_size(FULL)
        assert len(seen) > 5, seen


# Hostile texts


def worked(tool: Any) -> float:
    """Return the CPU time of the page's own thread, in seconds."""
    metrics = tool.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def test_hostile_texts_break_no_page(browser: Any, visited: Visited) -> None:
    """Each list has all of the corpus, and a record all of it at its full length."""
    scene, places = visited
    with watched(browser, scene.server.url, reduced_motion="reduce", extra_http_headers=named("ada")) as page:
        hostile_answers(page)
        tool = page.context.new_cdp_session(page)
        tool.send("Performance.enable", {"timeDomain": "threadTicks"})
        for place in places:
            before = worked(tool)
            go(page, place)
            for row in page.locator(".events .row").all()[:10]:
                row.click()
            for screen in (WIDE, PHONE):
                page.set_viewport_size(screen)
                unhurt(page, f"{place} ({screen['width']} pixels)")
            assert worked(tool) - before < LONGEST_SECONDS, place
        page.unroute_all(behavior="ignoreErrors")

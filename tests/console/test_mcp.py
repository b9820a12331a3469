"""MCP servers in a browser, against a real server with the fake MCP server."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import LIVE, expect
from tests.support.server import Server

pytestmark = IN_A_BROWSER

FAKE_MCP = Path(__file__).parents[1] / "support" / "fake_mcp.py"


class McpSite(NamedTuple):
    """A server with a fake MCP server, and the file that switches its misbehaviours on."""

    server: Server
    control: Path

    def check(self, *switches: str) -> None:
        """Set the switches, then let the server list the tools."""
        self.control.write_text("\n".join(switches))
        self.server.api.post("/mcp-servers/fake/check")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpSite]:
    place = tmp_path_factory.mktemp("mcp")
    control, file = place / "control", place / "mcp.toml"
    control.touch()
    command = json.dumps([sys.executable, "-I", "-S", str(FAKE_MCP), f"control={control}"])
    file.write_text(f"[servers.fake]\ncommand = {command}\nsandbox = false\n")
    file.chmod(0o600)
    with Server(place, mcp_servers=str(file)) as server:
        yield McpSite(server, control)


def opened(page: Any, place: str) -> Any:
    page.goto(place)
    expect(page.locator(LIVE)).to_be_visible()
    return page


def panel(page: Any, name: str) -> Any:
    return page.locator(".panel", has=page.get_by_role("heading", name=name, exact=True))


def test_a_server_is_checked_and_its_tools_are_shown(browser: Any, site: McpSite) -> None:
    site.control.write_text("")
    with watched(browser, site.server.url) as page:
        opened(page, "/#/mcp").get_by_role("link", name="fake").click()
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_role("status").filter(has_text="fake answered: 9 tools.")).to_be_visible()
        expect(panel(page, "Changes to accept")).to_have_count(0)
        tool = panel(page, "Tools").locator("details", has_text="echo").first
        tool.locator("summary").click()
        expect(tool.get_by_label("Arguments")).to_contain_text('"type": "object"')


def test_a_changed_description_is_shown_as_a_diff_and_accepted(browser: Any, site: McpSite) -> None:
    site.check()
    with watched(browser, site.server.url) as page:
        opened(page, "/#/mcp/fake")
        site.check("changed")
        change = panel(page, "Changes to accept").get_by_role("article", name="echo")
        expect(change.locator(".old")).to_have_count(1)
        expect(change.locator(".new")).to_have_count(1)
        change.get_by_role("button", name="Accept").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator('[data-command="athena"]')).to_contain_text("athena mcp-servers accept fake")
        dialog.get_by_label("Note").fill("the new release")
        dialog.get_by_role("button", name="Accept", exact=True).click()
        expect(panel(page, "Changes to accept")).to_have_count(0)


def test_texts_of_a_server_are_text(browser: Any, site: McpSite) -> None:
    site.check()
    site.check("injection")
    with watched(browser, site.server.url) as page:
        changes = panel(opened(page, "/#/mcp/fake"), "Changes to accept")
        shown = changes.get_by_role("article", name="injection", exact=True).get_by_label("Description")
        expect(shown).to_contain_text("![x](https://evil.test/?q=1) <script>alert(1)</script>")
        assert "\u202e" not in shown.inner_text()
        assert page.locator("main script, main img").count() == 0
    site.check()

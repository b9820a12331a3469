"""A browser as the MCP server of a run in a sandbox, as the how-to page registers it."""

import tomllib
from pathlib import Path

import pytest

from tests.support import real_mcp
from tests.support.mcp_site import mcp_site
from tests.support.model import call
from tests.support.pages import blocks
from tests.support.programs import BOXED, made, needs

CHROMIUM = Path("/usr/lib/chromium/chromium")
PAGE = "data:text/html,<title>Pears</title><h1>Ripe</h1>"


@pytest.mark.heavy
@BOXED
@needs("node", "chromium")
@made(real_mcp.PLACE / "@playwright", "@playwright/mcp", "mcp")
def test_a_browser_works_in_the_sandbox_of_a_run(tmp_path: Path) -> None:
    (block,) = [text for _, text in blocks("docs/how-to/mcp-tools.md") if "[servers.browser]" in text]
    servers = tomllib.loads(block.replace("/opt/mcp", str(real_mcp.PLACE.parent)))["servers"]
    with mcp_site(tmp_path, servers) as site:
        turns = (
            call("browser__browser_navigate", url=PAGE),
            call("browser__browser_snapshot"),
            call("browser__browser_take_screenshot", filename="pears.png", scale="css", type="png"),
        )
        run_id = site.start("look", *turns, "seen", profile=site.profile("browser"))
        assert site.server.api.await_ending(run_id) == "run.completed"
        opened, snapshot, picture = (entry["content"] for entry in site.results("look"))
    assert "Page Title: Pears" in opened
    assert 'heading "Ripe"' in snapshot
    assert "pears.png" in picture, picture

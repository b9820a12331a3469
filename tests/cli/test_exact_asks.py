"""Asks that hide a part, on a terminal: the marks, the exact text, and the decision about it."""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cli import screens
from tests.cli.screens import SCREENS, WIDTHS
from tests.cli.terminal import Terminal, attentive
from tests.support.agent_model import shell
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, agent_site

TOKEN = f"ghp_{'a1' * 18}"
COMMAND = f"echo {TOKEN} '\u202e' > out.txt"
EXACT = f"│ echo {TOKEN} '[U+202E]' > out.txt"
FIRST = "Allow it? Open it first: [e]xact text (recorded), [n]o: "
THEN = "Allow it? [y]es, [n]o: "
SALTED = re.compile("sha256 [0-9a-f]{12}")


class Desk(NamedTuple):
    """A server with an agent that asks, and a terminal in front of it."""

    site: AgentSite
    terminal: Terminal

    def ask(self, task: str) -> Json:
        """Start a run whose ask hides a token. Return the ask."""
        run_id = self.site.start(
            task, shell(COMMAND), "Done.", profile=self.site.profile(), sessionId=task.replace(" ", "-")
        )
        self.site.server.api.await_event("run.asked", runId=run_id)
        (ask,) = self.site.server.api.items("/asks", runId=run_id)
        return ask


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("desk")
    with attentive(), agent_site(directory, {"fake": ()}) as site:
        terminal = Terminal(directory)
        terminal.settings |= {"api_base_url": site.server.url, "cli_transport": "auto"}
        yield Desk(site, terminal)
        terminal.close()


def test_the_dialog_opens_the_exact_text_before_it_allows(desk: Desk) -> None:
    ask = desk.ask("opened in the dialog")
    screen = desk.terminal.screen("answer", ask["id"])
    shown = screen.read_until(FIRST)
    assert "1 part is hidden (40 characters).\n" in shown
    assert f"[hidden: 40 characters, sha256 {ask['hidden'][0]['sha256'][:12]}]" in shown.replace("\n  ┆ ", "")
    assert TOKEN not in shown
    screen.type("y\n")
    screen.read_until(FIRST + "y\n" + FIRST)
    screen.type("e\n")
    shown = screen.read_until(THEN)
    assert EXACT in shown
    assert "\u202e" not in screen.text
    screen.type("y\n")
    assert screen.end() == 0, screen.text
    desk.site.server.api.await_ending(ask["runId"])
    assert (desk.site.files(ask["runId"]) / "out.txt").read_text() == f"{TOKEN} \u202e\n"


def test_a_script_is_led_to_the_exact_text(desk: Desk) -> None:
    ask = desk.ask("allowed by a script")
    refused = desk.terminal.run("answer", ask["id"], "allow")
    assert refused.code != 0
    assert "hides 40 characters" in refused.err
    assert "athena asks get ASK --exact" in refused.err
    remembered = desk.terminal.run("answer", ask["id"], "allow", "--remember", "run")
    assert "can only be allowed once" in remembered.err
    opened = desk.terminal.run("asks", "get", ask["id"], "--exact")
    assert TOKEN in opened.out
    assert desk.terminal.run("answer", ask["id"], "allow").code == 0
    desk.site.server.api.await_ending(ask["runId"])


@pytest.mark.parametrize("exact", [(), ("--exact",)], ids=["hidden", "exact"])
def test_a_hidden_ask_shows_its_committed_screen(desk: Desk, exact: tuple[str, ...]) -> None:
    ask = desk.ask(f"shown {len(exact)}")
    shown = ""
    for width in WIDTHS:
        said = screens.Screen(desk.site.server.url, width).show(["asks", "get", ask["id"], *exact])
        shown += f"{width} columns $ athena asks get ask {' '.join(exact)}\n{SALTED.sub('sha256 000000000000', said)}\n"
    path = SCREENS / f"asks-get-hidden{'-exact' if exact else ''}.txt"
    if "REFRESH_SCREENS" in os.environ:
        path.write_text(shown)
    assert shown == path.read_text(), f"look at the difference; `make screens` writes {path.name} again"
    desk.site.server.api.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "deny"})
    desk.site.server.api.await_ending(ask["runId"])

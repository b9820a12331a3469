"""Sixty commands on a terminal of 80 and of 120 columns, as committed in ``screens``: a change is a diff in review.

``make screens`` writes them again.
"""

import json
import os
import re
import shlex
import string
from collections.abc import Iterator
from typing import Any

import pytest

from athena_cli import client, transport
from athena_cli.commands import run_activity
from tests.cli.screen_world import furnished
from tests.cli.screens import SCREENS, WIDTHS, Screen
from tests.console.scene import Scene

COMMANDS = """
agents list
mcp-servers list
mcp-servers get notes
mcp-servers get docs
ps
ps -a
ps -q
logs $agent
logs $failed
logs $paused
runs list
runs list --status failed
runs list --status timed-out
runs list --status faild
runs list --columns run,status,error.code,costMicroUsd
runs list -q --limit 3
runs active
runs cancel-requests
runs get $agent
runs get $failed
runs get $paused
runs get $queued
runs get $running
runs get nothing-of-that-name
explain $agent
explain $queued
explain $failed
evidence list $agent
evidence get $agent $evidence
open $agent
ids find $agent
open dead-letters
sessions list
sessions get pears-weekly
sessions transcript pears-weekly
sessions transcript prices
events list --run $agent
events list --limit 10 --columns type,session
events list --limit 5
fleet
series --by model
health
workers
whoami
audit
policy get
rejections list
rejections list --columns reason,requested-by,request.input
schedules list
schedules get weekly-report
schedules get nightly
schedules logs new-year
schedules preview nightly --count 3 --from 2027-01-01T00:00:00Z
workflows list
workflows get $workflow
workflows status $flow
workflows status $broken
workflows runs $broken
asks list
asks get $ask
queues list
profiles list
profiles get $profile
directives list --limit 5
directives get $directive
templates list
templates get $template
messages list
messages get $message
dead-letters list
dead-letters list --columns letter,colour
dead-letters get $dead
queues get --session reminders
memory list
memory get $entry
reviews list
anchors list
""".strip().splitlines()

OTHERS = {"asks-get-hidden", "asks-get-hidden-exact"}
"""Screens of ``test_exact_asks.py``."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, dict[str, str]]]:
    with furnished(tmp_path_factory.mktemp("screens")) as (scene, kept):
        yield scene, kept


def name_of(command: str) -> str:
    """The name of a command's file."""
    return "".join(letter if letter.isalnum() else "-" for letter in command.replace("$", "")).replace("--", "-")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_shows_its_committed_screen(world: tuple[Scene, dict[str, str]], command: str) -> None:
    scene, kept = world
    shown = ""
    for width in WIDTHS:
        arguments = shlex.split(string.Template(command).substitute(kept))
        shown += f"{width} columns $ athena {command}\n{Screen(scene.server.url, width).show(arguments)}\n"
    assert "Traceback" not in shown
    path = SCREENS / f"{name_of(command)}.txt"
    if "REFRESH_SCREENS" in os.environ:
        SCREENS.mkdir(exist_ok=True)
        path.write_text(shown)
    assert shown == path.read_text(), f"look at the difference; `make screens` writes {path.name} again"


def run(world: tuple[Scene, dict[str, str]], command: str, width: int = 100) -> str:
    """Run a command on a terminal, without masks of ids. Return its screen."""
    scene, kept = world
    arguments = shlex.split(string.Template(command).substitute(kept))
    return Screen(scene.server.url, width, masked=False).show(arguments)


@pytest.mark.parametrize(
    "cut", [slice(-8, None), slice(-6, None), slice(0, 28)], ids=["printed", "shortest", "beginning"]
)
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("agent", "runs get"),
        ("agent", "logs"),
        ("flow", "workflows status"),
        ("workflow", "workflows get"),
        ("profile", "profiles get"),
        ("directive", "directives get"),
        ("template", "templates get"),
        ("dead", "dead-letters get"),
        ("message", "messages get"),
        ("entry", "memory get"),
    ],
)
def test_a_part_of_an_id_is_as_good_as_the_whole(
    world: tuple[Scene, dict[str, str]], name: str, command: str, cut: slice
) -> None:
    whole = world[1][name]
    shown = run(world, f"{command} {whole[cut]}")
    assert whole in shown
    assert shown == run(world, f"{command} {whole}")


def test_parts_of_ids_name_evidence_and_filter_events(world: tuple[Scene, dict[str, str]]) -> None:
    agent, evidence = world[1]["agent"], world[1]["evidence"]
    assert evidence in run(world, f"evidence get {agent[-8:]} {evidence[-8:]}")
    assert run(world, f"events list --run {agent[-8:]}") == run(world, f"events list --run {agent}")


def test_a_part_that_fits_several_ids_lists_them_and_one_that_fits_none_is_not_found(
    world: tuple[Scene, dict[str, str]],
) -> None:
    kept = world[1]
    shown = run(world, f"runs get {kept['agent'][:7]}")
    assert "fits several ids: run run_" in shown
    assert "[exit 2]" in shown
    dead_letter = kept["dead"][-8:]
    for nothing in ("zzzzzz", "run_00000000000000000000000000", dead_letter):
        assert re.search(r"no run '.*' exists", run(world, f"runs get {nothing}")), nothing


@pytest.mark.parametrize("part", ["", "x", "../../policy", "a" * 5_000, "run_%", "run_\x1b[31m", "値段を教えて"])
def test_hostile_parts_of_ids_are_refused_in_one_line(world: tuple[Scene, dict[str, str]], part: str) -> None:
    shown = Screen(world[0].server.url, 100, masked=False).show(["runs", "get", part])
    assert "Traceback" not in shown
    assert "\x1b" not in shown
    assert "[exit 0]" not in shown


def test_the_timeline_of_the_newest_run_is_shown_without_an_id(world: tuple[Scene, dict[str, str]]) -> None:
    assert world[1]["queued"] in run(world, "logs")


def test_a_browser_is_opened_at_the_page_of_a_run(
    world: tuple[Scene, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(run_activity, "open_browser", opened.append)
    scene, kept = world
    run(world, f"open {kept['agent'][-8:]}")
    run(world, "open runs --no-browser")
    assert opened == [f"{scene.server.url}/#/runs/{kept['agent']}"]


def test_a_list_is_shown_again_and_again_until_it_is_ended(
    world: tuple[Scene, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    read = transport.Transport.request

    async def request(self: transport.Transport, operation_id: str, **parts: Any) -> bytes:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise KeyboardInterrupt
        return await read(self, operation_id, **parts)

    monkeypatch.setattr(client, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(transport.Transport, "request", request)
    shown = run(world, "runs list --status running --watch")
    assert shown.count("hold watch") == 3
    assert "[exit 130]" in shown
    assert "--watch needs a terminal" in run(world, "runs list --watch -q")


@pytest.mark.parametrize("more", ["", "--all --limit 2", "--limit 2"])
def test_runs_of_a_span_are_listed(world: tuple[Scene, dict[str, str]], more: str) -> None:
    assert run(world, f"runs list --since 1h -q {more}") == run(world, f"runs list -q {more}")  # the clock is earlier
    assert run(world, f"runs list --since 2999-01-01 {more}") == "None.\n[exit 0]\n"
    whole = json.loads(run(world, f"runs list -o json {more}").removesuffix("[exit 0]\n"))
    second = whole["items"][1]["createdAt"]
    shown = json.loads(run(world, f"runs list --since {second} -o json {more}").removesuffix("[exit 0]\n"))
    assert shown["items"] == whole["items"][:2]


def test_followed_events_are_lines(world: tuple[Scene, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    follow = transport.Transport.follow

    async def some(self: transport.Transport, operation_id: str, **parts: Any) -> Any:
        number = 0
        async for item in follow(self, operation_id, **parts):
            yield item
            number += item.record is not None
            if number == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(transport.Transport, "follow", some)
    agent = world[1]["agent"]
    lines = run(world, f"events tail --run {agent[-8:]}", 120).splitlines()
    said = ("run.created               pears-weekly      {}  openai · gpt-4o-mini", "run.leased", "run.started")
    for line, words in zip(lines, said, strict=False):
        assert re.match(r"\d\d:\d\d:\d\d  " + re.escape(words.format(agent[-8:])), line), line
    assert lines[3].startswith("Cursor: A")
    assert '{"id":"A' in run(world, f"events tail --run {agent} -o json")


def test_every_committed_screen_is_compared() -> None:
    assert {path.stem for path in SCREENS.iterdir()} == {name_of(command) for command in COMMANDS} | OTHERS
    assert len(COMMANDS) >= 60

"""``--as-of``: what commands printed then, they print again."""

import asyncio
import inspect
import re
from collections.abc import Callable
from typing import get_args

import httpx2
import pytest

from athena_api.operations import OPERATIONS
from athena_cli.client import PastOption
from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS
from athena_cli.exit_codes import Failed
from athena_cli.operation_command import command_of
from athena_cli.transport import Transport
from athena_client import AsyncCore
from docs.command_table import words_of
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal

OF_SEVERAL_REQUESTS = {"ps", "logs", "open"}
"""Commands with a past whose words differ from the words of an operation."""

READS = (
    *("runs list", "ps -a", "sessions transcript s", "events list", "schedules list"),
    *("logs RUN", "queues get --session s", "ids find RUN"),
)
CHANGED = 5
"""The first ones, which print something else after another run and a schedule."""


def test_every_command_that_reads_views_has_a_past_and_no_other() -> None:
    commands = {**COMMANDS, **{words: command_of(row.id) for words, row in GENERATED_COMMANDS.items()}}
    found = set()
    for words, command in commands.items():
        options = inspect.signature(command).parameters.get("connection")
        annotation = None if options is None else options.annotation
        if any(isinstance(one, type) and issubclass(one, PastOption) for one in get_args(annotation)):
            found.add(words)
    assert found == {words_of(row) for row in OPERATIONS if row.past} | OF_SEVERAL_REQUESTS


@pytest.mark.parametrize(("transport", "many", "name"), [("api", len(READS), "id"), ("local", 2, "createdAt")])
def test_what_was_printed_is_printed_again(
    terminal: Terminal, here: Here, transport: str, many: int, name: str
) -> None:
    def read(*past: str) -> list[str]:
        return [here(*words.split(), *past, *more).out for words in reads]

    more = ("--transport", transport)
    with terminal.served() as server:
        run = server.api.run("hello", sessionId="s")["runId"]
        reads = [words.replace("RUN", run) for words in READS[:many]]
        then, event = read(), server.api.get("/events", limit=500)["events"][-1]
        server.api.run("hello again", sessionId="s")
        server.api.put("/schedules/nightly", {"cron": "0 3 * * *", "input": "x", "sessionId": "s"})
        now = read()
        if transport == "local":
            server.stop()
        assert read("--as-of", event[name]) == then
    assert [before != after for before, after in zip(then, now, strict=True)][:CHANGED] == [True] * min(many, CHANGED)


def test_the_moment_is_named(terminal: Terminal, here: Here) -> None:
    with terminal.served() as server:
        run = server.api.run("hello", sessionId="s")["runId"]
        shown = here("runs", "list", "-q", "--as-of", "1")
        assert shown.out == ""
        assert re.fullmatch(r"As it was at [0-9-]+ [0-9:]+ \w+ \(\d+ \w+ ago\), position 1\n(None\.\n)?", shown.err)
        assert here("runs", "list", "-q", "--as-of", "0").err.startswith(
            "As it was before the first event, position 0\n"
        )
        assert here("runs", "list", "-q", "--as-of", "1d").err.startswith(
            "As it was before the first event, position 0\n"
        )
        now = here("runs", "list", "-q", "--as-of", "0s")
        assert now.out == f"{run}\n"


def test_all_requests_of_a_command_are_about_the_same_position() -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params["asOf"])
        headers = {"athena-position": "41", "athena-as-of": "2026-11-28T02:09:59.000Z"}
        return httpx2.Response(200, headers=headers, json={"ok": True, "data": {}})

    asyncio.run(read_twice(answer))
    assert asked == ["2026-11-28T02:10", "41"]


def test_a_server_that_does_not_know_the_past_is_not_believed() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"athena-position": "41"}, json={"ok": True, "data": {}})

    with pytest.raises(Failed, match="too old"):
        asyncio.run(read_twice(answer))


async def read_twice(answer: Callable[[httpx2.Request], httpx2.Response]) -> None:
    url = "http://127.0.0.1"
    async with AsyncCore(url, transport=httpx2.MockTransport(answer)) as client:
        transport = Transport(client, url, None, "2026-11-28T02:10")
        for _ in range(2):
            await transport.request("listRuns")


def test_a_difference_ends_with_its_counts(history: Terminal, here: Here) -> None:
    shown = here("diff", "0", "--limit", "1", "-o", "table").out.splitlines()
    counts = here("diff", "0", "-o", "json").data["counts"]
    runs = next(count for count in counts if count["kind"] == "run")
    assert (runs["appeared"], runs["ended"]) == (3, 3)
    assert "run: 3 appeared, 3 ended" in shown[-1], shown
    assert len(shown) == 3
    assert len(here("diff", "0", "--limit", "1", "--counts", "false", "-o", "table").out.splitlines()) == 2
    every = here("diff", "0", "--all", "--limit", "2", "-o", "json").data
    assert every["counts"] == counts
    assert every["items"] == here("diff", "0", "--limit", "500", "-o", "json").data["items"]

"""Erased text in the past: no moment before the erasure shows it again."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from athena_api.operations import OPERATIONS
from athena_api.streams.lines import LINES_TYPE
from athena_core.clock import FixedDate
from athena_core.services.erasure import redaction
from projections.engine.projection import BLOCK_EVENTS
from tests.api.examples import PROFILE
from tests.conftest import Serve
from tests.reliability.commands import command
from tests.support.all_records import erasable, records, strings
from tests.support.api import soon
from tests.support.golden import STATES, GoldenState, name_of
from tests.support.inside import Inside
from tests.support.records import META, all_rows
from tests.support.server import Server

CANARY = re.compile("canary-[a-z]+")
FORMS: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
    ("/events", {}, {"accept": LINES_TYPE}),
    ("/governance/audit-trail", {"format": "csv"}, {}),
)
"""Answers that are no JSON: their paths, parameters and headers."""


class Story:
    """Records with texts of their own, most of which are replaced or deleted in later blocks."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.api = server.api
        self.moments: list[int] = []

    def begin(self) -> None:
        """Write the first texts."""
        self.run_id = self.api.run("canary-input", sessionId="s")["runId"]
        self.entry = self.api.post("/memory", {"text": "canary-note", "metadata": {"k": "canary-metadata"}})["id"]
        self.put_schedule("canary-schedule")
        self.api.post("/schedules/n/pause", {"note": "canary-pause"})
        self.directive = self.api.post(
            "/directives", {"input": "canary-directive", "metadata": {"persona": "canary-persona"}}
        )["id"]
        profile = self.api.post("/harness-profiles", PROFILE | {"verificationPolicies": None})["id"]
        self.template = self.api.post(
            "/run-templates", {"harnessProfileId": profile, "directiveTemplate": "x", "defaultParams": {}}
        )["id"]
        self.put_template(profile, "canary-template")
        self.api.post("/work/enqueue", {"sessionId": "q", "payload": "canary-item", "mode": "followup"})
        self.moments.append(self.api.head())
        self.to_next_block()
        self.moments += [self.api.head() - 1, self.api.head(), self.api.head() + 1]

        self.put_schedule("something else")
        self.api.post("/schedules/n/resume", {"note": "something else"})
        self.put_template(profile, "something else")
        self.api.post("/work/q/drain", {})
        self.api.run("canary-later", sessionId="s")
        self.moments.append(self.api.head())
        self.to_next_block()

        self.api.send("/schedules/n", method="DELETE")
        self.api.run("canary-last", sessionId="s")
        self.moments.append(self.api.head())

    def put_schedule(self, said: str) -> None:
        self.api.put("/schedules/n", {"cron": "0 3 * * *", "sessionId": "n", "input": said})

    def put_template(self, profile: str, said: str) -> None:
        body = {"harnessProfileId": profile, "directiveTemplate": said, "defaultParams": {"what": said}}
        self.api.put(f"/run-templates/{self.template}", body)

    def to_next_block(self) -> None:
        """Append events up to the end of the block."""
        self.server.put_filler(BLOCK_EVENTS - self.api.head() % BLOCK_EVENTS)

    def paths(self) -> Iterator[str]:
        """Yield the paths of all lists, and of the records."""
        yield from (row.path for row in OPERATIONS if row.past and ":" not in row.path)
        for run_id in {self.run_id, *(run["runId"] for run in self.api.items("/runs"))}:
            yield from (f"/runs/{run_id}{rest}" for rest in ("", "/explain", "/evidence"))
        for session in ("s", "q"):
            yield from (f"/sessions/{session}{rest}" for rest in ("", "/transcript", "/work-queue"))
        yield from (f"/memory/{self.entry}", f"/directives/{self.directive}", f"/run-templates/{self.template}")
        yield from (f"/schedules/n{rest}" for rest in ("", "/logs", "/preview"))

    def found(self, paths: Sequence[str]) -> set[tuple[str, str]]:
        """Return the texts that are shown at any moment, with their paths. The last moments are asked for first."""
        found = set()
        for moment in sorted(self.moments, reverse=True):
            for path, query, headers in (*((path, {}, {}) for path in paths), *FORMS):
                answer = self.api.http.get(path, params={"asOf": str(moment), **query}, headers=headers)
                assert answer.status_code in (200, 404), answer.text
                found |= {(path, text) for text in CANARY.findall(answer.text)}
            found |= {("/diff", text) for text in CANARY.findall(self.diff(moment).text)}
        return found

    def diff(self, moment: int) -> httpx2.Response:
        return self.api.http.get("/diff", params={"from": "0", "to": str(moment), "limit": "500"})


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_what_another_process_erases_is_shown_at_no_earlier_moment(serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path, memory_enabled="true")
    story = Story(server)
    story.begin()
    paths = tuple(story.paths())
    texts = {text for _, text in story.found(paths)}
    assert texts == {
        *("canary-input", "canary-note", "canary-metadata", "canary-schedule", "canary-directive", "canary-persona"),
        *("canary-pause", "canary-template", "canary-item", "canary-later", "canary-last"),
    }
    (written,) = (event for event in story.api.events(types="directive.created") if is_of(event, story.directive))
    place = str(story.api.get("/events", limit=1, cursor=written["id"], asOf=written["id"])["head"])
    assert command(tmp_path, server.database_url, "redact", "--position", place, "--reason", "asked")["redacted"] == 1
    assert story.api.send(f"/memory/{story.entry}", method="DELETE").is_success
    assert {text for _, text in story.found(paths)} == texts - {
        *("canary-directive", "canary-persona", "canary-note", "canary-metadata")
    }

    with server.opened_log() as log, closing(log.reader()) as reader:
        rows = [row for row in all_rows(reader) if row.text is not None]
        found = redaction.ErasableText(tuple(rows), (), frozenset())
        anyio.run(redaction.redact, log, reader, found, "asked", META)
    for _ in soon():  # a busy machine may need more than the two seconds that a read waits
        if story.api.http.get("/runs").is_success:
            break
    assert story.found(paths) == set()


def is_of(event: dict[str, Any], directive_id: str) -> bool:
    return bool(event["payload"]["directiveId"] == directive_id)


def shown(inside: Inside, positions: Sequence[int], texts: set[str]) -> set[str]:
    """Return which of these texts are shown as of these positions."""

    def then(position: int, path: str) -> Any:
        return inside.data("GET", f"{path}{'&' if '?' in path else '?'}asOf={position}")

    found = {text for position in positions for text in strings(records(partial(then, position)))}
    return {text for text in texts if any(text in said for said in found)}


@pytest.mark.heavy
@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_no_erased_text_of_any_kind_is_shown_at_an_earlier_moment(state: GoldenState, tmp_path: Path) -> None:
    state.unpack(tmp_path)
    inside = Inside(tmp_path, FixedDate(state.expected.last_recorded_at), scheduler="off", executor="off")
    inside.start()
    try:
        rows = all_rows(inside.app.plane.reader)
        texts = erasable(rows)
        positions = [len(rows) * part // 4 for part in range(1, 5)]
        before = shown(inside, positions, texts)
        assert len(before) > 5

        inside.erase()
        assert shown(inside, positions, texts - erasable(all_rows(inside.app.plane.reader))) == set()
    finally:
        inside.stop()

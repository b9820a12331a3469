"""The mark of erased text: every record that loses a text says so."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from athena_core.clock import FixedDate
from tests.support.all_records import records
from tests.support.golden import STATES, GoldenState, name_of
from tests.support.inside import Inside

LOSING = {
    "state-0.1": {"directives", "run-templates", "schedules", "runs", "sessions", "a2a", "personas"},
    "state-0.2": {
        *("directives", "run-templates", "schedules", "runs", "sessions", "a2a", "personas", "asks"),
        *("permission-rules", "tokens", "governance", "workflows"),
    },
    "state-0.2-asks": {"directives", "runs", "sessions", "asks", "permission-rules"},
    "state-0.2-tokens": {"directives", "runs", "sessions", "tokens", "governance"},
    "state-0.2-workspaces": {"directives", "runs", "sessions", "asks", "workflows"},
    "state-0.2-agents": {"directives", "runs", "sessions", "asks", "permission-rules"},
    "state-0.2-mcp": {"directives", "runs", "sessions", "asks"},
}
"""The kinds of records with texts in each state."""


def lost(before: Any, after: Any, place: str = "", *, marked: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the place of each value that is gone, and whether a record around it says so."""
    if isinstance(before, dict) and isinstance(after, dict):
        marked = marked or after.get("redacted") is True
        for key, value in before.items():
            yield from lost(value, after.get(key), f"{place}/{key}", marked=marked)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for old, new in zip(before, after, strict=True):
            yield from lost(old, new, place, marked=marked)
    elif before and not after:
        yield place, marked


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_every_record_that_loses_a_text_says_so(state: GoldenState, tmp_path: Path) -> None:
    state.unpack(tmp_path)
    inside = Inside(tmp_path, FixedDate(state.expected.last_recorded_at), scheduler="off", executor="off")
    inside.start()
    try:
        get = partial(inside.data, "GET")
        before = records(get)

        inside.erase()
        places = list(lost(before, records(get)))
        assert [place for place, marked in places if not marked] == []
        assert {place.split("/")[2] for place, _ in places} >= LOSING[name_of(state)]
    finally:
        inside.stop()


def test_a_repeated_key_answers_that_the_output_was_erased(tmp_path: Path) -> None:
    inside = Inside(tmp_path, scheduler="off")
    inside.start()
    try:
        body = {"input": "hello", "provider": "mock", "model": "mock-model"}
        first = inside.data("POST", "/runs", body, idempotency_key="k")
        assert first["output"] and inside.data("POST", "/runs", body, idempotency_key="k") == first
        inside.erase()
        again = inside.data("POST", "/runs", body, idempotency_key="k")
        assert (again["runId"], again["output"], again["redacted"]) == (first["runId"], "", True)
        run = inside.data("GET", f"/runs/{first['runId']}")
        assert (run.get("output"), run["redacted"]) == (None, True)
        assert inside.data("GET", f"/directives/{first['directiveId']}")["redacted"] is True
    finally:
        inside.stop()

"""Answers of a server with any number of runs, for lists that are larger than a test can fill."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

Json = dict[str, Any]
LISTS = re.compile(r"/api/v1/runs\?")
DAY_START = "2026-01-01T00:00:00.000Z"


def run(number: int, **fields: Any) -> Json:
    """Return the record of a run that has ended."""
    run_id = f"run_01{number:024d}"
    links = {"self": f"/api/v1/runs/{run_id}", "session": "", "events": "", "cancel": ""}
    return {
        "runId": run_id,
        "sessionId": f"session-{number % 7}",
        "status": "completed",
        "createdAt": DAY_START,
        "finishedAt": DAY_START,
        "directiveId": "d_1",
        "harnessProfileId": "hp_1",
        "agentName": "Reviewer",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "attempt": 1,
        "evidenceCount": 0,
        "inputPreview": f"Review ticket {number}.",
        "outputPreview": f"Ticket {number} is about pears.",
        "outputChars": 100,
        "costMicroUsd": 1_000 + number,
        "usage": {"inputTokens": 900, "outputTokens": 100},
        "links": links,
        **fields,
    }


def serve(page: Any, runs: Sequence[Mapping[str, Any]]) -> None:
    """Answer the lists of runs that a page reads."""

    def answer(route: Any) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        first, limit = int(query.get("cursor", ["0"])[0]), int(query.get("limit", ["50"])[0])
        more = {"nextCursor": str(first + limit)} if first + limit < len(runs) else {}
        data = {"items": runs[first : first + limit], **more}
        route.fulfill(
            status=200,
            headers={"content-type": "application/json", "athena-position": "0"},
            body=msgspec.json.encode({"ok": True, "data": data}),
        )

    page.route(LISTS, answer)

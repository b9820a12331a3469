"""All records of a plane that have texts, and the texts that an erasure of everything must take out of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from athena_core.protocols import Row
from tests.support.api import Json

LISTS = {
    "/directives": "id",
    "/run-templates": "id",
    "/schedules": "id",
    "/workflows": "id",
    "/runs": "runId",
    "/runs/cancel-requests": "runId",
    "/asks": "id",
    "/permission-rules": "id",
    "/tokens": "tokenId",
    "/a2a/messages": "messageId",
    "/a2a/dlq": "id",
    "/sessions": "id",
    "/personas/runs": "runId",
    "/governance/audit-trail": "id",
    "/policy/rejections": "id",
}
"""The lists of records with text, and the field with the id of a record."""
DETAILS = {
    "/runs": ("/runs/{}", "/runs/{}/evidence"),
    "/workflows": ("/workflows/run/{}",),
    "/sessions": ("/sessions/{}/transcript", "/sessions/{}/work-queue"),
    "/personas/runs": ("/personas/runs/{}",),
}
"""Further paths of each record of a list."""

TEXT_CHARS_MIN = 8
"""Shorter texts also stand in records for other reasons."""


def records(get: Callable[[str], Any]) -> Json:
    """Return the data of all these paths. Items of lists are by their ids."""
    found: Json = {}
    for path, name in LISTS.items():
        found[path] = by_id(list(items(get, path))) or {}
        for record in found[path].values():
            for more in DETAILS.get(path, ()):
                target = more.format(record[name])
                found[target] = by_id(get(target))
                if more.endswith("/evidence"):
                    for evidence_id in by_id(found[target]["items"]):
                        found[f"{target}/{evidence_id}"] = get(f"{target}/{evidence_id}")
    return found


def items(get: Callable[[str], Any], path: str) -> Iterator[Json]:
    """Yield the items of all pages of a list."""
    page = get(f"{path}?limit=500")
    yield from page["items"]
    while "nextCursor" in page:
        page = get(f"{path}?limit=500&cursor={page['nextCursor']}")
        yield from page["items"]


def by_id(data: Any) -> Any:
    if isinstance(data, list) and data and all(isinstance(item, dict) for item in data):
        for name in ("id", "runId", "messageId", "tokenId"):
            if all(name in item for item in data):
                return {item[name]: by_id(item) for item in data}
    return {key: by_id(value) for key, value in data.items()} if isinstance(data, dict) else data


def erasable(rows: Sequence[Row]) -> set[str]:
    """Return the longer texts of events that stand in no public part of an event."""
    public = b"".join(row.data + row.stream.encode() for row in rows)
    texts = {text for row in rows if row.text is not None for text in strings(msgspec.json.decode(row.text))}
    return {text for text in texts if len(text) >= TEXT_CHARS_MIN and text.encode() not in public}


def strings(value: Any) -> Iterator[str]:
    """Yield the strings in JSON."""
    match value:
        case str():
            yield value
        case dict() | list():
            for part in value.values() if isinstance(value, dict) else value:
                yield from strings(part)

"""The sets of values in the document: exact, named once, and open where a set may grow."""

from collections.abc import Iterator
from typing import Any

from athena_api.document.enums import ALIASES, NAMES
from athena_api.document.openapi import document
from athena_api.operations import OPERATIONS

SPEC: Any = document(OPERATIONS, "1.2.3")
CLOSED = ("status", "kind", "role", "mode", "level", "source", "scope", "strategy", "reason", "type", "result", "code")
OPEN = {
    "AuditEntry.type": "an event type",
    "Cause.type": "an event type",
    "ChangeEvent.type": "an event type",
    "EventRecord.type": "an event type",
    "Caller.scope": "an object",
    "EventRecord.scope": "an object",
    "Fault.reason": "text for people",
    "AuditEntry.reason": "text of a client",
    "CancelRequest.reason": "text of a client",
    "HaltRecord.reason": "text of a client",
    "Health.reason": "text for people",
    "SandboxCapabilities.reason": "text for people",
    "TextTrace.reason": "text for people",
    "AppliedFile.reason": "text for people",
    "Run.agentMode": "a mode of the agent's own",
    "RegisteredAgent.boxedMode": "a mode that the agent names",
    "RegisteredAgent.mode": "a mode that the agent names",
    "AppliedRedriveFilter.reason": "as the client sent it",
    "AppliedRedriveFilter.source": "as the client sent it",
}
"""Strings of answers that are not one of a known set, and why. Every ``code`` is a code of docs/reference/errors.md."""


def fields() -> Iterator[tuple[str, str, Any]]:
    for component, schema in SPEC["components"]["schemas"].items():
        for name, part in schema.get("properties", {}).items():
            yield component, name, part


def is_plain(part: Any) -> bool:
    options = part.get("anyOf", [part])
    return any(
        option.get("type") == "string" and not option.keys() & {"enum", "const", "pattern"} for option in options
    )


def test_a_status_or_kind_of_an_answer_is_one_of_a_known_set() -> None:
    bodies = {"CancelBody", "CancelWorkflowBody", "RedriveFilter"}
    found = {
        f"{component}.{name}"
        for component, name, part in fields()
        if component not in bodies and name != "code" and name.lower().endswith(CLOSED) and is_plain(part)
    }
    found -= {one for one in found if one.endswith("Code")}
    assert found == {name for name in OPEN if not name.endswith(".scope")}


def test_every_named_set_is_a_component() -> None:
    schemas = SPEC["components"]["schemas"]
    assert {name: frozenset(schemas.get(name, {}).get("enum", ())) for name in ALIASES} == {
        name: members for members, name in NAMES.items()
    }

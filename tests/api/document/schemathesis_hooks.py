"""Hooks that make requests of Schemathesis obey the rules that a document cannot state.

A valid PUT /policy names what the server has. No read names a moment of the past: ``asOf`` excludes other parameters,
and is an event, a position or a time. An invalid request has no null, blank or ``limit``, since the server
takes the first two for absent and the last to the nearest allowed number.
"""

import os
from typing import Any
from urllib.parse import parse_qsl, urlencode

import schemathesis

KNOWN = {"session": "demo", "provider": "mock", "harness-profile": os.environ["SCHEMATHESIS_PROFILE"]}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Change the case. Schemathesis then finds out anew whether it is valid."""
    if case.meta is None:
        return
    if "asOf" in (case.query or {}):
        case.query = {name: value for name, value in case.query.items() if name != "asOf"}
    if not case.meta.generation.mode.is_positive:
        case.body = tidy(case.body)
        case.query = {name: value for name, value in (case.query or {}).items() if name != "limit" and not empty(value)}
    elif case.operation.label == "PUT /api/v1/policy":
        policy = case.body.get("policy", case.body)
        policy.pop("updatedAt", None)  # any JSON, in which integers must be exact
        if policy.get("limits"):
            policy["limits"] = known(policy["limits"])


def known(limits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the limits with keys of things that exist, each thing once. The server has no agents."""
    named = [
        limit | {"key": KNOWN[limit["scope"]]}
        if "key" in limit and limit["scope"] in KNOWN
        else {name: value for name, value in limit.items() if name != "key"}
        for limit in limits
    ]
    return list({(limit["scope"], limit.get("key")): limit for limit in named}.values())


def empty(value: Any) -> bool:
    """Return True if a query parameter is sent without a value, or with a blank one at last, which is what counts."""
    parts = list(value) if isinstance(value, dict | list) else [value]
    sent = parse_qsl(urlencode([("name", part) for part in parts if part is not None], doseq=True), True)
    return not sent or not sent[-1][1].strip()


def tidy(value: Any) -> Any:
    """Return the value without members of objects that count as absent."""
    if isinstance(value, list):
        return [tidy(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {name: tidy(part) for name, part in value.items() if part is not None and str(part).strip()}

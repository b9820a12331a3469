"""Scope checks: the caller's scope must cover the sessions, runs and personas that a request concerns."""

from typing import Any

import msgspec

from athena_api.endpoint.operation import ApiCall, Operation
from athena_api.plane import ControlPlane
from athena_core.domain import run
from athena_core.errors import ConfigError
from athena_core.event import Meta
from athena_core.protocols import Row
from athena_core.values import Identity, persona_named

SCOPED_RECORDS = ("/asks", "/workspaces")
"""The beginning of paths whose commands apply the scope themselves: what it does not cover is not found."""


async def require_scope(
    plane: ControlPlane, operation: Operation[Any, Any], call: ApiCall[Any, Any], who: Identity, meta: Meta
) -> None:
    """Return if the caller's scope covers the request. Raise AuthzDenied.

    If the path begins with a session, a run or a directive, that must be covered. A row that ``narrows`` a kind filters
    its answer by scope, or names the affected things in its body. If its path begins with a run, the session and the
    persona of that run must be covered. All other rows are denied to scoped callers.
    """
    if operation.shared or who.scope is None:
        return
    proof: dict[str, tuple[str, ...]] = {}
    first = next((part[1:] for part in operation.path.split("/") if part.startswith(":")), None)
    session_id = run_id = None
    if first == "sessionId":
        session_id = call.path[first]
        proof["sessions"] = (session_id,)
    elif first == "runId":
        run_id = call.path[first]
        proof["sessions"] = (session_of(plane, run_id),)
        if operation.narrows:
            proof["personas"] = (persona_of_run(plane, run_id),)
        else:
            proof["runs"] = (run_id,)
    elif first == "directiveId":
        proof["personas"] = (persona_of_directive(plane, call.path[first]),)
    elif first is None or operation.method == "GET" or operation.path.startswith(SCOPED_RECORDS):
        itself = operation.method == "GET" or operation.path.startswith(SCOPED_RECORDS) or hasattr(call.body, "filter")
        for kind in operation.narrows:
            proof[kind] = () if itself else names_in_body(plane, kind, call.body)
        session_id = getattr(call.body, "session_id", None)
    await plane.access.require_scope(who, operation.id, proof, meta, session_id, run_id)


def names_in_body(plane: ControlPlane, kind: str, body: Any) -> tuple[str, ...]:
    """Return the names of this kind in the body of a command. No scope covers an empty name."""
    if kind == "personas":
        personas = [persona_named(getattr(body, "metadata", None)) or ""]
        if getattr(body, "directive_id", None):
            personas.append(persona_of_directive(plane, body.directive_id))
        return tuple(personas)
    sessions = [getattr(body, "session_id", None) or ""]
    if getattr(body, "parent_run_id", None):
        sessions.append(session_of(plane, body.parent_run_id))
    return tuple(sessions)


def session_of(plane: ControlPlane, run_id: str) -> str:
    """Return the session of a run, or an empty string."""
    first = _first_row(plane, run_id)
    return (first.session_id or "") if first else ""


def persona_of_run(plane: ControlPlane, run_id: str) -> str:
    """Return the persona of a run, or an empty string."""
    first = _first_row(plane, run_id)
    event = plane.log.codec.decode(first).event if first else None
    return (persona_named(event.metadata) or "") if isinstance(event, run.RunRequest) else ""


def _first_row(plane: ControlPlane, run_id: str) -> Row | None:
    rows = plane.reader.part(run_id, 0, 1, 1, backwards=False) if run.DECIDER.owns(run_id) else []
    return rows[0] if rows else None


def persona_of_directive(plane: ControlPlane, directive_id: str) -> str:
    """Return the persona of a directive, or an empty string."""
    try:
        created, _ = plane.catalog.directive(directive_id, "directiveId")
    except (ConfigError, msgspec.MsgspecError):
        return ""
    return persona_named(created.metadata) or ""

"""The reads of runs and sessions, with their JSON decoded to values."""

from typing import Any

import msgspec

from athena_core.protocols import Connection
from athena_core.values import Scope
from projections import runs, sessions
from projections.engine.page import Page
from projections.run_answer import Run
from projections.sessions import Session

decode_run = msgspec.json.Decoder(Run).decode
decode_session = msgspec.json.Decoder(Session).decode


def run_by_id(connection: Connection, run_id: str, scope: Scope | None = None) -> Run | None:
    found = runs.run_by_id(connection, run_id, scope)
    return None if found is None else decode_run(found)


def list_runs(connection: Connection, *wanted: Any, **named: Any) -> Page[Run]:
    page = runs.list_runs(connection, *wanted, **named)
    return Page(items=list(map(decode_run, page.items)), next_cursor=page.next_cursor)


def session_by_id(connection: Connection, session_id: str) -> Session | None:
    found = sessions.session_by_id(connection, session_id)
    return None if found is None else decode_session(found)


def list_sessions(connection: Connection, **named: Any) -> Page[Session]:
    page = sessions.list_sessions(connection, **named)
    return Page(items=list(map(decode_session, page.items)), next_cursor=page.next_cursor)

"""The table of access, measured: each operation without an identity, in each role, and under each scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from athena_api.endpoint.operation import Operation
from athena_api.mcp.tools import tools
from athena_api.operations import OPERATIONS
from tests.api import access_of_runs
from tests.api.callers import KINDS, OWN_PERSONA, OWN_SESSION, ROLES, cells
from tests.api.examples import EXAMPLES
from tests.support.inside import Inside, said_by_tool
from tests.support.server import NO_FLOOD

HEAD = """\
# Who may do what, found out by asking. "yes": the operation is not denied; "-": denied; "401": nobody is not heard.
# V O A: Viewer, Operator, Admin. Then a Viewer and an Operator who are narrowed to one session, one run, one persona,
# asking for a thing of their own and of somebody else's: V.s O.s V.s' O.s' (session), the same with r (run) and p.
# Rows of "mcp." are the tools of /mcp.
# Rows of "run." say what a run is given, or may cause, that such a caller starts: "-": it is not, or the run is denied.
# Its own session holds a run of its own persona, the other one a run of another persona.
"""


@contextmanager
def asked(**settings: str) -> Iterator["Question"]:
    """Yield questions to a plane with a run in a session of the caller's, and one elsewhere."""
    with TemporaryDirectory() as directory:
        inside = Inside(
            Path(directory),
            auth_enabled="true",
            auth_identity_role_map=f"{ROLES},api-token:Operator",
            **settings,
            **NO_FLOOD,
            requests_per_second="100000",
            workspace_root=directory,
        )
        inside.start()
        try:
            yield Question(inside)
        finally:
            inside.stop()


class Question:
    """Sends the example of an operation as a caller."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.run_id = self._run(OWN_SESSION)
        self._run("elsewhere")

    def _run(self, session: str) -> str:
        body = {"sessionId": session, "input": "hello", "metadata": {"personaName": OWN_PERSONA}}
        answer = self.inside.ask("POST", "/runs", body, x_athena_identity="ada")
        return str(answer.json()["data"]["runId"])

    def answer(self, operation: str, headers: dict[str, str]) -> str:
        """Return the cell of the table for one question."""
        (row,) = [row for row in OPERATIONS if row.id == operation]
        example, headers = EXAMPLES[operation], self._scoped(headers)
        path, body = "/".join(self._segments(row)), self._body(row)
        if example.query and row.method == "GET":
            path += "?" + "&".join(f"{name}={value}" for name, value in example.query.items())
        if row.stream:
            headers["last_event_id"] = "not-a-cursor"  # refused after the check of access, before it streams
        answer = self.inside.ask(row.method, path, body, **headers)
        if operation == "startHalt":
            self.inside.ask("DELETE", "/halt", x_athena_identity="ada")
        return _cell(answer)

    def answer_to_tool(self, name: str, headers: dict[str, str]) -> str:
        """Return the cell of the table for the same question to a tool of ``/mcp``."""
        tool = tools()[name]
        row = tool.operation
        named = zip(row.path.split("/"), self._segments(row), strict=True)
        arguments: dict[str, Any] = {part[1:]: value for part, value in named if part.startswith(":")}
        arguments |= {**(EXAMPLES[row.id].query or {}), **(self._body(row) or {}), "waitSeconds": 0}
        assert isinstance(tool.served.input_schema, dict)
        known = tool.served.input_schema["properties"]
        arguments = {name: value for name, value in arguments.items() if name in known}
        answer = self.inside.ask_tool(name, arguments, **self._scoped(headers))
        if answer.status_code != 200:
            return _cell(answer)
        return "-" if '"code":"AUTHZ_DENIED"' in said_by_tool(answer) else "yes"

    def _segments(self, row: Operation[Any, Any]) -> list[str]:
        first = next((part for part in row.path.split("/") if part.startswith(":")), None)
        ours = {":sessionId": OWN_SESSION, ":runId": self.run_id}
        parts = zip(row.path.split("/"), EXAMPLES[row.id].path.split("/"), strict=True)
        return [ours.get(part, had) if part == first else had for part, had in parts]

    def _body(self, row: Operation[Any, Any]) -> dict[str, Any] | None:
        if row.method == "GET":
            return None
        body = dict(EXAMPLES[row.id].body or {})
        if "sessionId" in body:
            body["sessionId"] = OWN_SESSION
        if "metadata" in body:
            body["metadata"] = {"personaName": OWN_PERSONA}
        return body

    def _scoped(self, headers: dict[str, str]) -> dict[str, str]:
        headers = dict(headers)
        for kind, own in zip(KINDS, (OWN_SESSION, self.run_id, OWN_PERSONA), strict=True):
            if whose := headers.pop(kind, None):
                headers[f"x_athena_scope_{kind}"] = own if whose == "own" else "another"
        return headers


def _cell(answer: httpx2.Response) -> str:
    if answer.status_code == 403:
        return "-" if answer.json()["error"]["code"] == "AUTHZ_DENIED" else "403"
    if answer.status_code == 401 or (answer.status_code == 400 and "AUTH_IDENTITY_AMBIGUOUS" in answer.text):
        return str(answer.status_code)
    assert answer.status_code < 429, answer.text
    return "yes"


def _line(name: str, found: list[str]) -> str:
    return f"{name:<36}" + "".join(f"{cell:<6}" for cell in found).rstrip() + "\n"


def access_text() -> str:
    """Return the whole table, by operation."""
    columns = list(cells())
    lines = [HEAD, f"{'':<36}" + "".join(f"{mark:<6}" for mark, _ in columns).rstrip() + "\n"]
    with asked() as question:
        for row in sorted(OPERATIONS, key=lambda row: row.id):
            found = [question.answer(row.id, headers) for _, headers in columns]
            lines.append(_line(row.id, found))
        for name in tools():
            lines.append(_line(f"mcp.{name}", [question.answer_to_tool(name, headers) for _, headers in columns]))
    lines += [_line(name, found) for name, found in access_of_runs.rows()]
    return "".join(lines)

"""The request filter alone: one request at its door, and what reaches the application."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from athena_api.edge.asgi import Message, Scope
from athena_api.edge.browser import BrowserChecks
from athena_api.edge.identity import Identification
from athena_api.edge.replies import failure, status_of
from athena_api.edge.request_filter import RequestFilter
from athena_core.errors import AthenaError
from athena_core.proxies import TrustedProxies
from athena_core.values import Identity
from tests.support.tokens import TokenLog

Headers = list[tuple[bytes, bytes]]
LOCALLY = ("127.0.0.1", 8787)


class Asked(NamedTuple):
    """The scope that reached the application, or else the messages sent instead."""

    scope: Scope | None
    sent: Sequence[Message]

    @property
    def identity(self) -> Identity | None:
        assert self.scope is not None, self.sent
        found: Identity | None = self.scope.get("athena.identity")
        return found

    @property
    def status(self) -> int:
        assert self.scope is None
        status: int = self.sent[0]["status"]
        return status

    @property
    def code(self) -> str:
        code: str = json.loads(self.sent[1]["body"])["error"]["code"]
        return code

    @property
    def message(self) -> str:
        message: str = json.loads(self.sent[1]["body"])["error"]["message"]
        return message

    def header(self, name: bytes) -> list[bytes]:
        return [value for field, value in self.sent[0]["headers"] if field == name]


async def ask(
    plane: TokenLog,
    headers: Headers,
    *,
    enabled: bool = True,
    method: str = "GET",
    path: str = "/api/v1/runs",
    query: bytes = b"",
    client: tuple[str, int] | None = ("127.0.0.1", 50_000),
    server: tuple[str, int | None] | None = LOCALLY,
    proxies: TrustedProxies | None = None,
    groups_header: str | None = None,
    tls: bool = False,
) -> Asked:
    """Send a request to a filter with the tokens of ``plane``."""
    proxies = proxies or TrustedProxies()
    identification = Identification(
        header="X-Athena-Identity",
        roster=plane.roster,
        proxies=proxies,
        tokens=plane.tokens,
        failures=plane.limits,
        groups_header=groups_header,
        tls=tls,
    )
    gate = RequestFilter(
        browsers=BrowserChecks(),
        proxies=proxies,
        identification=identification if enabled else None,
    )
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(name.lower(), value) for name, value in headers],  # as every server hands them on
        "client": client,
        "server": server,
        "athena.trace": "trace",
    }
    refusal: Headers = []
    try:
        gate.check(scope, refusal)
    except AthenaError as error:
        start = {"type": "http.response.start", "status": status_of(error), "headers": refusal}
        return Asked(None, [start, {"type": "http.response.body", "body": failure(error, "trace")}])
    return Asked(scope, [])

"""Tokens for tests: a log by hand with the services that look tokens up, and tokens made in it."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from athena_core.clock import CountingIds, FixedClock, Ids
from athena_core.decider import Transaction, record
from athena_core.domain import DECIDERS
from athena_core.domain.token import TokenCreated, TokenRevoked
from athena_core.event import Event, Meta
from athena_core.log.engine import open_store
from athena_core.log.submission import Committed, Submission
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.roles import Roster
from athena_core.services.access.authentication_limits import AuthenticationLimits
from athena_core.services.access.token_text import hash_of, new_text
from athena_core.services.access.tokens import Tokens
from athena_core.values import Role
from tests.support.records import CODEC

API_TOKEN = "a-token-of-the-settings"
ROLES: Mapping[str, Role] = {
    "alice": Role.ADMIN,
    "spiffe://a:b": Role.OPERATOR,
    "api-token": Role.OPERATOR,
    "out": Role.NONE,
}
DAY_MS = 86_400_000
META = Meta(actor="test", correlation="trace-1")


def new_token(
    ids: Ids,
    identity: str,
    role: Role,
    expires_at_ms: int,
    *,
    by: str,
    scope: dict[str, tuple[str, ...]] | None = None,
    parent: str | None = None,
) -> tuple[str, TokenCreated]:
    """Return the text of a new token, and the event that creates it."""
    token_id = ids.new("tok")
    text = new_text(token_id, ids)
    created = TokenCreated(
        token_id=token_id,
        identity=identity,
        role=role,
        expires_at_ms=expires_at_ms,
        sha256=hash_of(text),
        by=by,
        scope=scope,
        parent=parent,
    )
    return text, created


class TokenLog:
    """A log whose transactions the test commits, the tail of it, and the lookup of its tokens."""

    def __init__(self, directory: Path, *, url: str | None = None, api_token: str | None = API_TOKEN) -> None:
        self.clock, self.ids = FixedClock(), CountingIds()
        self.log = Log(open_store(directory, url, self.ids), CODEC, DECIDERS, clock=self.clock, ids=self.ids)
        self.tail = Tail(self.log)
        self.roster = Roster(enabled=True, roles=dict(ROLES), default=Role.VIEWER)
        self.limits = AuthenticationLimits(self.log, self.clock, self.ids)
        self.tokens = Tokens(self.log, self.tail, self.clock, self.ids, self.roster, self.limits, api_token)

    def commit(self, *transactions: Transaction[Any]) -> None:
        """Commit transactions, and deliver their events."""
        futures: list[Future[Committed[Any]]] = [Future() for _ in transactions]
        for transaction, future in zip(transactions, futures, strict=True):
            self.log.enqueue(Submission(transaction, META, None, frozenset(), None, future))
        self.log.commit_waiting()
        for future in futures:
            future.result(timeout=0)
        self.tail._commits_seen = self.log.commits
        self.tail.refresh()

    def create(
        self,
        identity: str = "ci",
        role: Role = Role.OPERATOR,
        *,
        ms: int = 90 * DAY_MS,
        scope: dict[str, tuple[str, ...]] | None = None,
        parent: str | None = None,
    ) -> tuple[str, str]:
        """Create a token. Return its text and its id."""
        text, created = new_token(
            self.ids, identity, role, self.clock.now() + ms, by="alice", scope=scope, parent=parent
        )
        self.add(created.token_id, created)
        return text, created.token_id

    def revoke(self, token_id: str) -> None:
        self.add(token_id, TokenRevoked(token_id=token_id, cause="requested", by="alice"))

    def add(self, stream: str, *events: Event) -> None:
        self.commit(record(stream, *events))

    def close(self) -> None:
        self.tokens.close()
        self.tail.close()
        self.log.close()


@contextmanager
def token_log(directory: Path, *, url: str | None = None, api_token: str | None = API_TOKEN) -> Iterator[TokenLog]:
    made = TokenLog(directory, url=url, api_token=api_token)
    try:
        yield made
    finally:
        made.close()

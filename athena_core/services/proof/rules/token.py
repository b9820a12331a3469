"""Rules of tokens: created once, revoked once, and no session has more rights or time than its parent."""

from collections import defaultdict

from athena_core.domain.token import DECIDER as TOKEN
from athena_core.domain.token import SESSIONS_A_PARENT_MAX, TOKENS_MAX, TokenCreated, TokenRevoked
from athena_core.log.codec import at_of
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.values import unpinned


class TokenRules(RuleSet):
    """The tokens that are not revoked, and the open sessions of each parent, by id."""

    def __init__(self) -> None:
        self._valid: dict[str, TokenCreated] = {}
        self._sessions: defaultdict[str, set[str]] = defaultdict(set)

    @rule(TokenCreated)
    def tokens(self, row: Row, event: TokenCreated) -> str | None:
        """A token is created once in a stream of its own, for a time to come, and there is room for it."""
        if row.stream != event.token_id or row.version != 1:
            return f"{event.token_id} was created as event {row.version} of {row.stream}"
        if event.expires_at_ms <= at_of(row):
            return f"{event.token_id} had expired when it was created"
        if len(self._valid) >= TOKENS_MAX:
            return f"{event.token_id} is beyond the limit of {TOKENS_MAX} tokens"
        return None

    @rule(TokenCreated)
    def login_sessions(self, row: Row, event: TokenCreated) -> str | None:
        """A session has the identity of its parent, and at most its role, its scope and its time."""
        if event.parent is None:
            return None
        if len(self._sessions[event.parent]) >= SESSIONS_A_PARENT_MAX:
            return f"{event.token_id} is beyond the limit of {SESSIONS_A_PARENT_MAX} sessions of {event.parent}"
        if not TOKEN.owns(event.parent):
            return None
        parent = self._valid.get(event.parent)
        if parent is None or parent.parent is not None:
            return f"{event.token_id} is a session of {event.parent}, which is not a valid token"
        if parent.identity != event.identity or not parent.role.reaches(event.role):
            return f"{event.token_id} is for {event.identity} as {event.role.value}, which {event.parent} is not"
        if event.expires_at_ms > parent.expires_at_ms:
            return f"{event.token_id} outlives {event.parent} by {event.expires_at_ms - parent.expires_at_ms} ms"
        if _is_wider(event, parent):
            return f"{event.token_id} has a wider scope than {event.parent}"
        return None

    @rule(TokenRevoked)
    def revocations(self, row: Row, event: TokenRevoked) -> str | None:
        """Only a valid token is revoked, after its sessions, and it expires when its time is over."""
        known = self._valid.get(event.token_id)
        if known is None or row.stream != event.token_id:
            return f"{event.token_id} was revoked in {row.stream}, but was not valid"
        if event.cause == "expiry" and at_of(row) < known.expires_at_ms:
            return f"{event.token_id} expired {known.expires_at_ms - at_of(row)} ms too early"
        if event.cause == "superseded" and known.parent is None:
            return f"{event.token_id} was superseded, but is not a session"
        if self._sessions.get(event.token_id):
            return f"{event.token_id} was revoked, but its session {min(self._sessions[event.token_id])} was not"
        return None

    @follow(TokenCreated, TokenRevoked)
    def advance(self, row: Row, event: TokenCreated | TokenRevoked) -> None:
        if isinstance(event, TokenCreated):
            self._valid[event.token_id] = event
            if event.parent is not None:
                self._sessions[event.parent].add(event.token_id)
            return
        ended = self._valid.pop(event.token_id, None)
        if ended is not None and ended.parent is not None:
            self._sessions[ended.parent].discard(event.token_id)


def _is_wider(event: TokenCreated, parent: TokenCreated) -> bool:
    """Return True if the scope of a session allows something that its parent's does not."""
    inner, outer = unpinned(event.scope), unpinned(parent.scope)
    if outer is None:
        return False
    kinds = ((getattr(outer, kind), getattr(inner, kind, None)) for kind in outer.__struct_fields__)
    return any(names is not None and (own is None or not own <= names) for names, own in kinds)

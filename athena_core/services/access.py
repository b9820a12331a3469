"""Access: whether an identity may do an operation; a denial is recorded before it is answered."""

from collections.abc import Mapping
from typing import Literal

from athena_core.clock import iso
from athena_core.decider import Context, Outcome, Reader, Rejected
from athena_core.domain import plane
from athena_core.errors import AuthzDenied
from athena_core.event import Fact, Meta
from athena_core.roles import Roster
from athena_core.store.log import Log
from athena_core.values import Identity, Role


class Access:
    """Authorises operations by role; an operation that the map does not name is denied (decisions E32)."""

    def __init__(self, log: Log, roles: Mapping[str, frozenset[Role]], roster: Roster) -> None:
        """Take the roles of each operation, and who has which."""
        self._log = log
        self._roles = roles
        self.roster = roster

    def allows(self, who: Identity, operation: str) -> bool:
        """Whether an identity may do an operation."""
        return who.role in self._roles.get(operation, frozenset())

    def on_behalf(self, subject: str) -> Identity:
        """Whoever is named in a definition, with the role of now: what it causes is checked anew (decisions E36)."""
        return self.roster.identity(subject)

    async def require(self, who: Identity, operation: str, meta: Meta) -> None:
        """Return if allowed; else record the denial and raise AuthzDenied."""
        if not self.allows(who, operation):
            names = tuple(sorted(self._roles.get(operation, frozenset())))
            await self._log.submit(lambda reader, context: deny(reader, context, who, operation, names), meta)


def deny(reader: Reader, context: Context, who: Identity, operation: str, required: tuple[str, ...]) -> Outcome:
    """The denial and the violation that is derived from it (contract 6), then the error."""
    denied = plane.AuthzDenied(
        subject=who.subject,
        role=who.role,
        operation=operation,
        required_roles=required,
        deny_reason="ROLE_MISSING",
    )
    violation = violation_of(reader, context, denied.TYPE, who, "authorization", "denied", "ROLE_MISSING")
    facts = tuple(Fact(stream=plane.STREAM, event=event) for event in (denied, violation))
    allowed = " or ".join(required) or "nobody"
    raise Rejected(AuthzDenied(f"{operation} needs the role {allowed}; {who.subject} is {who.role}"), facts)


def violation_of(
    reader: Reader,
    context: Context,
    source: str,
    who: Identity,
    category: Literal["authorization", "policy", "sandbox"],
    outcome: Literal["denied", "blocked", "failed", "violated"],
    code: str,
) -> plane.SafetyViolation:
    """The violation derived from the first event of the same transaction."""
    return plane.SafetyViolation(
        schema_version=1,
        source=plane.ViolationSource(
            position=reader.head + 1,
            trace_id=context.meta.correlation,
            type=source,
            created_at=iso(context.now),
        ),
        category=category,
        severity="high",
        outcome=outcome,
        violation_code=code,
        actor=plane.ViolationActor(subject=who.subject, role=who.role),
    )

"""Authorization: checks the role and scope of an identity; a denial is recorded before the response."""

from collections.abc import Mapping
from typing import Literal, NoReturn, TypeAlias

from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.decider import Context, Outcome, Reader, Rejected, facts_of
from athena_core.domain import plane
from athena_core.enums import AuthzMode
from athena_core.errors import AthenaError, AuthzDeniedError
from athena_core.event import Fact, Meta
from athena_core.log.writer import Log
from athena_core.roles import Roster
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.services.access.seen_groups import SeenGroups
from athena_core.values import Identity, Role, Scope

ScopeProof: TypeAlias = Mapping[str, tuple[str, ...]]
"""The sessions, runs and so on that a request concerns, by kind of scope. A scope must cover all of them.

For an absent kind they are unknown, so a scope of that kind never covers the request.
"""

PROTECTED = frozenset(("putPolicy", "cancelRun", "cancelRunByRunId", "getAuditTrail"))
"""The operations that ``soft-enforce`` guards."""

ALWAYS_GUARDED = frozenset(("createToken", "getToken", "listTokens", "revokeToken"))
"""The operations that every mode guards, because a token outlives the mode."""


class Access:
    """Authorizes operations by role and scope; an operation without an entry in ``roles`` is denied.

    ``mode`` is one of ``off`` (checks nothing), ``observe`` (only records denials), ``soft-enforce`` (guards the
    protected operations) and ``enforce`` (guards all). ``strict`` makes the middle two guard every operation.
    """

    def __init__(
        self,
        log: Log,
        roles: Mapping[str, frozenset[Role]],
        roster: Roster,
        refusal_limits: RefusalLimits,
        *,
        names: Mapping[str, str] | None = None,
        mode: AuthzMode = "enforce",
        strict: bool = False,
        seen_groups: SeenGroups | None = None,
    ) -> None:
        """``names`` are the names of operations in recorded denials, by operation id."""
        self._log = log
        self._roles = roles
        self._names = names or {}
        self.roster = roster
        self._refusal_limits = refusal_limits
        self._seen_groups = seen_groups
        self.mode: AuthzMode = mode if roster.enabled else "off"
        self._strict = strict

    def allows(self, who: Identity, operation: str) -> bool:
        """Return True if the identity's role allows an operation, or the mode does not guard it."""
        return self._granted(who, operation) or not self._guards(who, operation)

    def _granted(self, who: Identity, operation: str) -> bool:
        return who.role in self._roles.get(operation, frozenset())

    def _guards(self, who: Identity, operation: str) -> bool:
        """Return True if the mode enforces a denial of this operation. It always does for a locked-out identity."""
        if who.role is Role.NONE or operation in ALWAYS_GUARDED:
            return True
        match self.mode:
            case "off":
                return False
            case "observe":
                return self._strict
            case "soft-enforce":
                return self._strict or operation in PROTECTED
        return True

    def on_behalf(self, subject: str, scope: Scope | None = None) -> Identity:
        """Return the identity that a definition names, with its current role and the given scope.

        Its groups are those that a proxy named last.

        The scope is the one recorded at the start, because others may have contributed to it.
        """
        groups = () if self._seen_groups is None else self._seen_groups.of(subject)
        return replace(self.roster.identity(subject, groups=groups), scope=scope)

    async def note_groups(self, who: Identity, meta: Meta) -> None:
        """Record the groups of a caller before a command of it, if a proxy has named others before."""
        seen = self._seen_groups
        if seen is not None and self.roster.groups and who.token is None and who.groups != seen.of(who.subject):
            await seen.note(who, meta)

    async def _note_loss(self, seen: SeenGroups, who: Identity, meta: Meta) -> None:
        """Record the groups of a caller if they give it less than before.

        So a person who lost a group, and therefore sends no more commands, has no work with the old role. Groups that
        give more are recorded before a command, because two open sessions with other groups could take turns.
        """
        last = seen.of(who.subject)
        if not last or last == who.groups or who.token is not None:
            return
        if not who.role.reaches(self.roster.identity(who.subject, groups=last).role):
            try:
                await seen.note(who, meta)
            except AthenaError:  # a read must not fail because of the record
                return

    async def require(self, who: Identity, operation: str, meta: Meta) -> None:
        """Check the role. Record a denial, and raise AuthzDenied if the mode guards the operation."""
        if self.roster.groups and (seen := self._seen_groups) is not None:
            await self._note_loss(seen, who, meta)
        if not self._granted(who, operation) and (self.mode != "off" or self._guards(who, operation)):
            denied, message = self._missing(who, operation)
            await self._deny(who, operation, denied, message, meta)

    def _missing(self, who: Identity, operation: str) -> tuple[plane.AuthzDenied, str]:
        """Return the denial for a missing role, as an event and in words."""
        names = tuple(sorted(self._roles.get(operation, frozenset())))
        denied = plane.AuthzDenied(
            subject=who.subject,
            role=who.role,
            operation=self._names.get(operation, operation),
            required_roles=names,
            deny_reason="ROLE_MISSING",
        )
        allowed = " or ".join(names) or "(none)"
        return denied, f"{operation} needs the role {allowed}; {who.subject} has the role {who.role}"

    def refuse(self, reader: Reader, context: Context, who: Identity, operation: str) -> NoReturn:
        """Raise the denial of an operation on behalf of an identity, as the first events of a transaction."""
        denied, message = self._missing(who, operation)
        violation = violation_of(reader, context, denied.TYPE, who, "authorization", "denied", denied.deny_reason)
        raise Rejected(AuthzDeniedError(message), facts_of(plane.STREAM, (denied, violation)))

    async def require_scope(
        self, who: Identity, operation: str, proof: ScopeProof, meta: Meta, session_id: str | None, run_id: str | None
    ) -> None:
        """Check that the identity's scope covers what the request concerns; otherwise act as ``require`` does.

        Missing and forbidden resources get the same answer, so existence is not revealed.
        """
        found = self._uncovered(who, operation, proof)
        if found is not None:
            await self._deny(who, operation, *found, meta, session_id, run_id)

    def _uncovered(self, who: Identity, operation: str, proof: ScopeProof) -> tuple[plane.AuthzDenied, str] | None:
        """Return what a scope does not cover, as an event and in words; None if it covers all."""
        if who.scope is None or self.mode == "off":
            return None
        for kind in who.scope.__struct_fields__:
            covered = getattr(who.scope, kind)
            if covered is not None and (kind not in proof or not covered.issuperset(proof[kind])):
                denied = plane.AuthzDenied(
                    subject=who.subject,
                    role=who.role,
                    operation=self._names.get(operation, operation),
                    required_roles=(),
                    deny_reason="SCOPED_ACCESS_VIOLATION",
                )
                return denied, f"{operation} is outside of the {kind} in the scope of {who.subject}"
        return None

    def hides(self, who: Identity, operation: str) -> bool:
        """Return True if the identity's scope denies an operation that concerns everything."""
        return self._uncovered(who, operation, {}) is not None and self._guards(who, operation)

    def demand(
        self,
        reader: Reader,
        context: Context,
        who: Identity,
        operation: str,
        proof: ScopeProof,
        why: str,
        *,
        session_id: str | None = None,
        behind: int = 0,
    ) -> tuple[Fact, ...]:
        """Check within a transaction that an identity may do what the transaction causes: by role, then by scope.

        Raise Rejected with the denial if the mode guards the operation. Otherwise return the record of the denial. It
        follows ``behind`` other events of the transaction.
        """
        found = None
        if not self._granted(who, operation) and (self.mode != "off" or self._guards(who, operation)):
            found = self._missing(who, operation)
        found = found or self._uncovered(who, operation, proof)
        if found is None:
            return ()
        denied, message = found
        guarded = self._guards(who, operation)
        outcome: Literal["denied", "violated"] = "denied" if guarded else "violated"
        violation = violation_of(
            reader,
            context,
            denied.TYPE,
            who,
            "authorization",
            outcome,
            denied.deny_reason,
            behind=0 if guarded else behind,
        )
        facts = facts_of(plane.STREAM, (denied, violation), session_id=session_id)
        if guarded:
            raise Rejected(AuthzDeniedError(f"{why}: {message}"), facts)
        return facts

    async def _deny(
        self,
        who: Identity,
        operation: str,
        denied: plane.AuthzDenied,
        message: str,
        meta: Meta,
        session_id: str | None = None,
        run_id: str | None = None,
    ) -> None:
        guarded = self._guards(who, operation)

        def deny(reader: Reader, context: Context) -> Outcome:
            """Record the denial and the violation derived from it, then raise the error."""
            outcome: Literal["denied", "violated"] = "denied" if guarded else "violated"
            reason = denied.deny_reason
            violation = violation_of(reader, context, denied.TYPE, who, "authorization", outcome, reason)
            facts = facts_of(plane.STREAM, (denied, violation), session_id=session_id, run_id=run_id)
            if guarded:
                raise Rejected(AuthzDeniedError(message), facts)
            return Outcome(facts=facts)

        if guarded:
            await self._log.submit(deny, meta)
        elif self._refusal_limits.spares(who.subject, operation):
            self._refusal_limits.refused(who.subject, operation)
            try:
                await self._log.submit(deny, meta)
            except AthenaError:  # nothing was denied, so the request must not fail because of the record
                return


SYSTEM = plane.ViolationActor(subject="system", role="system")
"""The actor of a violation that no caller caused."""


def decision_denied(
    reader: Reader, context: Context, who: Identity, operation: str, role: str, message: str
) -> Rejected:
    """Return the denial of a decision to a caller who may not take it, with the violation that is derived from it."""
    code: Literal["SCOPED_ACCESS_VIOLATION"] = "SCOPED_ACCESS_VIOLATION"
    denied = plane.AuthzDenied(
        subject=who.subject, role=who.role, operation=operation, required_roles=(role,), deny_reason=code
    )
    violation = violation_of(reader, context, denied.TYPE, who, "authorization", "denied", code)
    return Rejected(AuthzDeniedError(message), facts_of(plane.STREAM, (denied, violation)))


def violation_of(
    reader: Reader,
    context: Context,
    source: str,
    who: Identity | None,
    category: Literal["authorization", "policy", "sandbox"],
    outcome: Literal["denied", "blocked", "failed", "violated"],
    code: str,
    *,
    behind: int = 0,
) -> plane.SafetyViolation:
    """Return the violation derived from a transaction's first event, or from the one after ``behind`` others.

    ``who`` is None if the server acted on its own.
    """
    return plane.SafetyViolation(
        schema_version=1,
        source=plane.ViolationSource(
            position=reader.head + behind + 1,
            trace_id=context.meta.correlation,
            type=source,
            created_at=iso(context.now),
        ),
        category=category,
        severity="high",
        outcome=outcome,
        violation_code=code,
        actor=plane.ViolationActor(subject=who.subject, role=who.role) if who else SYSTEM,
    )

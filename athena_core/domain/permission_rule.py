"""The permission rule: a person's lasting permission for one exact tool call, in a run, a session or a profile."""

import hashlib
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec.structs import replace

from athena_core.decider import Context, Decider, Reader
from athena_core.definitions.profile import HarnessSpec
from athena_core.enums import RuleScope
from athena_core.errors import NotFound, PermissionRuleLimit
from athena_core.event import Event, Guard, Recorded, Shows, Text, Value, says
from athena_core.values import RuleBound

RULES_A_SCOPE_MAX = 1_000
"""Maximum number of permission rules in force for one run, session or profile."""

RULES_MAX = 10_000
"""Maximum number of permission rules in force."""

RULE_GUARD = "permission-rule"
"""The guard kind of rules in force. Its rows hold the place, the place with the tool, and the expiry in ms."""

RevocationCause = Literal["requested", "expiry"]


def profile_sha256(profile: HarnessSpec) -> str:
    """Return the hash of a profile without its model, which a run may choose."""
    plain = replace(profile, config=replace(profile.config, provider="", model=""))
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()


# Stored events. Their TYPE is storage: never rename one.


class PermissionRuleCreated(Event):
    """A person allowed an exact call until ``expires_at_ms``: in a run, a session, or every run of a profile.

    ``call_sha256`` is the hash of the salt and the call. ``ask_id`` is the ask that was answered with "always".
    ``credentials`` are the names of the credentials that the call carries, no others. ``secrets`` are the names that
    stand in the arguments in place of secrets. ``bound`` is what else has to be the same; a rule without it is from an
    older release, and allows the call only under the conditions of the run that asked.
    """

    TYPE: ClassVar[str] = "permission-rule.created"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    rule_id: str
    scope: Annotated[RuleScope, says("Where it is in force.")]
    tool_name: str
    call_sha256: str
    ask_id: str
    by: Annotated[str, says("Identity whose answer created it.")]
    expires_at_ms: int
    run_id: str | None = None
    session_id: str | None = None
    harness_profile_id: str | None = None
    credentials: tuple[str, ...] | None = None
    secrets: tuple[str, ...] | None = None
    bound: RuleBound | None = None
    arguments: Text = None
    call_salt: Text = None

    @property
    def target(self) -> str:
        """The id of the run, session or profile that the rule is for."""
        return self.run_id or self.session_id or self.harness_profile_id or ""

    @property
    def place(self) -> str:
        """The target with its kind, as its guard names it."""
        return place_of(self.scope, self.target)


class PermissionRuleRevoked(Event):
    """A permission rule ended: an identity revoked it, or it expired."""

    TYPE: ClassVar[str] = "permission-rule.revoked"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    rule_id: str
    cause: Annotated[RevocationCause, says("Why it ended.")]
    by: Annotated[str | None, says("Identity that revoked it; absent if it expired.")] = None


# State


class PermissionRuleState(Value):
    """The rule without its text; None before it is created."""

    created: PermissionRuleCreated | None = None
    revoked: bool = False


def evolve(state: PermissionRuleState, event: Event) -> PermissionRuleState:
    match event:
        case PermissionRuleCreated():
            return replace(state, created=replace(event, arguments=None, call_salt=None))
        case PermissionRuleRevoked():
            return replace(state, revoked=True)
        case _:
            return state


# Guards


def place_of(scope: RuleScope, record_id: str) -> str:
    """Return the name of a run, session or profile in a guard."""
    return f"{scope}:{record_id}"


def tool_at(place: str, tool_name: str) -> str:
    """Return the name of a tool of a place in a guard."""
    return f"{place}/{tool_name}"


def _created_guards(recorded: Recorded[PermissionRuleCreated]) -> tuple[Guard, ...]:
    event = recorded.event
    value = (event.place, tool_at(event.place, event.tool_name), event.expires_at_ms)
    return (Guard(kind=RULE_GUARD, key=event.rule_id, value=value),)


def _revoked_guards(recorded: Recorded[PermissionRuleRevoked]) -> tuple[Guard, ...]:
    return (Guard(kind=RULE_GUARD, key=recorded.event.rule_id, value=None),)


def check_room(reader: Reader, place: str) -> None:
    """Raise PermissionRuleLimit if no further rule may be created for a place."""
    in_force = len(reader.guards(RULE_GUARD))
    if in_force >= RULES_MAX:
        raise PermissionRuleLimit(f"{in_force} permission rules are in force. Revoke some, then answer again.")
    here = reader.count(RULE_GUARD, place)
    if here >= RULES_A_SCOPE_MAX:
        raise PermissionRuleLimit(f"{here} permission rules are in force for {place}. Revoke some, then answer again.")


def in_force(reader: Reader, rule_id: str, now: int) -> bool:
    """Return True if a rule is in force. Reads one guard."""
    guard = reader.guards(RULE_GUARD).get(rule_id)
    return guard is not None and int(guard[2]) > now


# Commands


class CreatePermissionRule(Value):
    """Create a rule under a new id."""

    rule: PermissionRuleCreated


class RevokePermissionRule(Value):
    """Revoke a rule on request of ``by``; without it, because it expired."""

    rule_id: str
    by: str | None = None


def decide(
    command: CreatePermissionRule | RevokePermissionRule, state: PermissionRuleState, context: Context
) -> tuple[Event, ...]:
    """Create or revoke the rule once. Raise NotFound if it does not exist."""
    match command:
        case CreatePermissionRule():
            return () if state.created else (command.rule,)
        case RevokePermissionRule():
            created = state.created
            if created is None:
                raise NotFound(f"no permission rule {command.rule_id!r} exists")
            if state.revoked or (command.by is None and created.expires_at_ms > context.now):
                return ()
            cause: RevocationCause = "expiry" if command.by is None else "requested"
            return (PermissionRuleRevoked(rule_id=command.rule_id, cause=cause, by=command.by),)


DECIDER: Decider[PermissionRuleState] = Decider(
    category="rule",
    events=(PermissionRuleCreated, PermissionRuleRevoked),
    initial=PermissionRuleState(),
    evolve=evolve,
    occupies={PermissionRuleCreated: _created_guards, PermissionRuleRevoked: _revoked_guards},
    over=lambda state: state.revoked,
)

"""Read model of permission rules: the calls that people allowed for good, and how often each rule was used."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.domain.permission_rule import PermissionRuleCreated, PermissionRuleRevoked
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.run import RunAnswered
from athena_core.enums import RuleScope
from athena_core.event import Recorded, Value, says
from athena_core.outside_text import visible_marks
from athena_core.protocols import Cell, Connection
from athena_core.values import RuleBound
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json_or_null

PermissionRuleStatus: TypeAlias = Literal["in-force", "revoked", "expired"]


class PermissionRuleRow(msgspec.Struct, gc=False):
    """A permission rule, by the position of its event. ``target`` is its run, session or profile.

    ``credentials``, ``secrets`` and ``bound`` are JSON.
    """

    position: int
    rule_id: str
    status: PermissionRuleStatus
    scope: RuleScope
    target: str
    tool_name: str
    arguments: str | None
    ask_id: str
    created_by: str
    created_at: int
    expires_at: int
    revoked_at: int | None = None
    revoked_by: str | None = None
    uses: int = 0
    last_used_at: int | None = None
    redacted: bool = False
    credentials: str | None = None
    secrets: str | None = None
    bound: str | None = None


class PermissionRulePlaceRow(msgspec.Struct, gc=False):
    """The position of a permission rule, by its id."""

    rule_id: str
    position: int


RULE = Table(
    "permission_rule", PermissionRuleRow, key=("position",), indexes=(("status", "position"), ("target", "position"))
)
PLACE = Table("permission_rule_place", PermissionRulePlaceRow, key=("rule_id",))
PERMISSION_RULES = Projection("permission_rules", version=3, tables=(RULE, PLACE))


@PERMISSION_RULES.handler
def rule_created(rows: Rows, recorded: Recorded[PermissionRuleCreated]) -> None:
    event = recorded.event
    rows.append(
        RULE,
        PermissionRuleRow(
            position=recorded.position,
            rule_id=event.rule_id,
            status="in-force",
            scope=event.scope,
            target=event.target,
            tool_name=event.tool_name,
            arguments=event.arguments,
            ask_id=event.ask_id,
            created_by=event.by,
            created_at=recorded.at,
            expires_at=event.expires_at_ms,
            credentials=to_json_or_null(event.credentials),
            secrets=to_json_or_null(event.secrets),
            bound=to_json_or_null(event.bound),
        ),
    )
    rows.put(PLACE, PermissionRulePlaceRow(event.rule_id, recorded.position))


@PERMISSION_RULES.handler
def rule_revoked(rows: Rows, recorded: Recorded[PermissionRuleRevoked]) -> None:
    event = recorded.event
    row = _rule(rows, event.rule_id)
    if row is not None:
        row.status = "expired" if event.cause == "expiry" else "revoked"
        row.revoked_at, row.revoked_by = recorded.at, event.by


@PERMISSION_RULES.handler
def ask_answered(rows: Rows, recorded: Recorded[RunAnswered]) -> None:
    """Count a use of a rule."""
    row = None if recorded.event.rule_id is None else _rule(rows, recorded.event.rule_id)
    if row is not None:
        row.uses += 1
        row.last_used_at = recorded.at


@PERMISSION_RULES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the arguments of a rule. It allows nothing any more, because its salt is gone."""
    row = rows.erase(RULE, recorded.event.target, "arguments")
    if row is not None:
        row.redacted = True


def _rule(rows: Rows, rule_id: str) -> PermissionRuleRow | None:
    place = rows.get(PLACE, rule_id)
    return None if place is None else rows.change(RULE, place.position)


class PermissionRule(Value):
    """A permission for one exact call, given with the answer to an ask. It is for one run, session or profile.

    ``arguments`` is the JSON text of the call. A rule with ``redacted`` lost it, and allows nothing any more. ``bound``
    is what else has to be the same. Without it, the rule is from an older release: it allows the call where all is the
    same as in the run that asked.
    """

    id: str
    status: PermissionRuleStatus
    scope: Annotated[RuleScope, says("Where it is in force.")]
    tool_name: Annotated[str, says("Tool whose calls it allows.")]
    ask_id: Annotated[str, says("The ask whose answer created it.")]
    created_by: str
    created_at: str
    expires_at: Annotated[str, says("When it expires.")]
    uses: Annotated[int, says("Number of calls that it allowed.")]
    run_id: Annotated[str | None, says("Its run; absent for another scope.")] = None
    session_id: Annotated[str | None, says("Its session; absent for another scope.")] = None
    harness_profile_id: Annotated[str | None, says("Its profile; absent for another scope.")] = None
    arguments: Annotated[str | None, says("JSON text of the call's arguments; absent once redacted.")] = None
    credentials: Annotated[
        tuple[str, ...] | None, says("Names of the credentials that the call carries; absent: none.")
    ] = None
    secrets: Annotated[
        tuple[str, ...] | None, says("Names that stand in the arguments in place of secrets; absent: none.")
    ] = None
    bound: Annotated[RuleBound | None, says("What else has to be the same; absent for a rule of release 0.2.")] = None
    last_used_at: Annotated[str | None, says("When it last allowed a call; absent before that.")] = None
    revoked_at: Annotated[str | None, says("When it was revoked or expired; absent while in force.")] = None
    revoked_by: str | None = None
    redacted: bool | None = None


NEWEST = Keyset(kind="permission-rules")


def list_rules(
    connection: Connection,
    *,
    status: PermissionRuleStatus | None = None,
    scope: RuleScope | None = None,
    tool_name: str | None = None,
    targets: Mapping[RuleScope, str | None],
    cursor: str | None,
    limit: int,
) -> Page[PermissionRule]:
    """Return a page of permission rules, newest first. ``targets`` names a run, a session or a profile, or none."""
    where = [("status = ?", status), ("scope = ?", scope), ("tool_name = ?", tool_name)]
    for kind, target in targets.items():
        if target is not None:
            where += [("scope = ?", kind), ("target = ?", target)]
    return NEWEST.page(connection, RULE.all, where, cursor=cursor, limit=limit, show=_to_view)


def rule_by_id(connection: Connection, rule_id: str) -> PermissionRule | None:
    place = PLACE.one(connection, rule_id)
    return None if place is None else first(connection, f"{RULE.all} WHERE position = ?", (place.position,), _to_view)


def _to_view(values: tuple[Cell, ...]) -> PermissionRule:
    row = RULE.load(values)
    return PermissionRule(
        id=row.rule_id,
        status=row.status,
        scope=row.scope,
        run_id=row.target if row.scope == "run" else None,
        session_id=row.target if row.scope == "session" else None,
        harness_profile_id=row.target if row.scope == "profile" else None,
        tool_name=row.tool_name,
        arguments=None if row.arguments is None else visible_marks(row.arguments),
        credentials=None if row.credentials is None else msgspec.json.decode(row.credentials, type=tuple[str, ...]),
        secrets=None if row.secrets is None else msgspec.json.decode(row.secrets, type=tuple[str, ...]),
        bound=None if row.bound is None else msgspec.json.decode(row.bound, type=RuleBound),
        ask_id=row.ask_id,
        created_by=row.created_by,
        created_at=iso(row.created_at),
        expires_at=iso(row.expires_at),
        uses=row.uses,
        last_used_at=iso_or_none(row.last_used_at),
        revoked_at=iso_or_none(row.revoked_at),
        revoked_by=row.revoked_by,
        redacted=row.redacted or None,
    )

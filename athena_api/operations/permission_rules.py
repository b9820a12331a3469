"""Operations on permission rules: list and revoke what people allowed for good."""

from typing import TYPE_CHECKING, Annotated, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.enums import RuleScope
from athena_core.event import Value, says
from athena_core.values import ClientId, Label, RecordId
from projections import permission_rules
from projections.engine.page import Page
from projections.permission_rules import PermissionRule, PermissionRuleStatus

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

VIEWS = ("permission_rules",)


class PermissionRulesQuery(Value):
    """Filters of permission rules."""

    status: Annotated[PermissionRuleStatus | None, says("Only rules with this status.")] = None
    scope: Annotated[RuleScope | None, says("Only rules of this scope.")] = None
    tool_name: Annotated[Label | None, says("Only rules of this tool.")] = None
    run_id: Annotated[RecordId | None, says("Only rules of this run.")] = None
    session_id: Annotated[ClientId | None, says("Only rules of this session.")] = None
    harness_profile_id: Annotated[RecordId | None, says("Only rules of this profile.")] = None


async def list_permission_rules(plane: "ControlPlane", call: ApiCall[NoBody, PermissionRulesQuery]) -> Reply:
    """List permission rules, newest first. Each allows one exact call in a run, a session or a profile."""
    query = call.query
    targets: dict[RuleScope, str | None] = {
        "run": query.run_id,
        "session": query.session_id,
        "profile": query.harness_profile_id,
    }
    page, position = await plane.query(
        VIEWS,
        lambda rows: permission_rules.list_rules(
            rows,
            status=query.status,
            scope=query.scope,
            tool_name=query.tool_name,
            targets=targets,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position, steady=True)


async def get_permission_rule(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a permission rule, in force or not."""
    rule_id = call.path["ruleId"]
    rule, position = await plane.query(VIEWS, lambda rows: permission_rules.rule_by_id(rows, rule_id))
    return Reply(data=existing(rule, "permission rule", rule_id), position=position, steady=True)


async def revoke_permission_rule(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Revoke a permission rule. The next call of its kind asks again."""
    rule_id = call.path["ruleId"]
    done = await plane.permission_rules.revoke(rule_id, call.who.subject, call.meta, call.key)
    rule, position = await plane.read(VIEWS, done.position, lambda rows: permission_rules.rule_by_id(rows, rule_id))
    return Reply(data=existing(rule, "permission rule", rule_id), position=position, replayed=done.replayed)


row = Noun("asks", reads=VIEWS).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "permission-rules.list",
        "GET /permission-rules",
        list_permission_rules,
        answer=Page[PermissionRule],
        paging="cursor",
    ),
    row("permission-rules.get", "GET /permission-rules/:ruleId", get_permission_rule, answer=PermissionRule),
    row(
        "permission-rules.revoke",
        "DELETE /permission-rules/:ruleId",
        revoke_permission_rule,
        answer=PermissionRule,
        errors=("NOT_FOUND",),
        command="permission-rules revoke",
    ),
)

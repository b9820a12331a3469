"""Operations on directives: create and read them."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.clock import iso
from athena_core.domain.directive import DirectiveSpec
from athena_core.services.context.compiler import check_references
from projections import directives
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


async def create_directive(plane: "ControlPlane", call: ApiCall[DirectiveSpec, NoQuery]) -> Reply:
    """Create a directive."""
    check_references(call.body.context_refs or ())
    created = await plane.catalog.create_directive(call.body, call.meta, call.key)
    record = directives.Directive(
        id=created.subject or "",
        input=call.body.input,
        created_at=iso(created.at),
        context_refs=call.body.context_refs or None,
        metadata=call.body.metadata or None,
    )
    return Reply(data=record, position=created.position, replayed=created.replayed)


async def list_directives(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List directives, newest first."""
    page, position = await plane.query(
        ("catalog",),
        lambda rows: directives.list_directives(rows, scope=call.scope, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position)


async def get_directive(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a directive."""
    directive_id = call.path["directiveId"]
    directive, position = await plane.query(("catalog",), lambda rows: directives.directive_by_id(rows, directive_id))
    return Reply(data=existing(directive, "directive", directive_id), position=position)


row = Noun("catalog", reads=("catalog",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "directives.list",
        "GET /directives",
        list_directives,
        answer=Page[directives.Directive],
        paging="cursor",
        narrows={"personas"},
    ),
    row("directives.create", "POST /directives", create_directive, answer=directives.Directive, narrows={"personas"}),
    row("directives.get", "GET /directives/:directiveId", get_directive, answer=directives.Directive),
)

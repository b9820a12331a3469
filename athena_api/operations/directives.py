"""Directives: creating and reading them."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import (
    EVERYBODY,
    WRITERS,
    ApiCall,
    NoBody,
    NoQuery,
    Operation,
    Reply,
    existing,
)
from athena_core.clock import iso
from athena_core.domain.directive import DirectiveSpec
from projections import catalog
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


async def create_directive(plane: "ControlPlane", call: ApiCall[DirectiveSpec, NoQuery]) -> Reply:
    """Create a directive."""
    created = await plane.catalog.create_directive(call.body, call.meta, call.key)
    record = catalog.Directive(
        id=created.subject or "",
        input=call.body.input,
        created_at=iso(created.at),
        context_refs=call.body.context_refs or None,
        metadata=call.body.metadata or None,
    )
    return Reply(data=record, position=created.position, replayed=created.replayed)


async def list_directives(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Directives, newest first."""
    page, position = await plane.query(
        ("catalog",),
        lambda rows: catalog.list_directives(rows, scope=call.who.scope, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position)


async def get_directive(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One directive."""
    directive_id = call.path["directiveId"]
    directive, position = await plane.query(("catalog",), lambda rows: catalog.directive_by_id(rows, directive_id))
    return Reply(data=existing(directive, "directive", directive_id), position=position)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        id="listDirectives",
        narrows=frozenset({"personas"}),
        context="directives.list",
        method="GET",
        path="/directives",
        tag="catalog",
        summary="Directives, newest first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("catalog",),
        answer=Page[catalog.Directive],
        handle=list_directives,
    ),
    Operation(
        id="createDirective",
        narrows=frozenset({"personas"}),
        context="directives.create",
        method="POST",
        path="/directives",
        tag="catalog",
        summary="Create a directive.",
        roles=WRITERS,
        body=DirectiveSpec,
        answer=catalog.Directive,
        handle=create_directive,
    ),
    Operation(
        id="getDirective",
        context="directives.get",
        method="GET",
        path="/directives/:directiveId",
        tag="catalog",
        summary="One directive.",
        roles=EVERYBODY,
        reads=("catalog",),
        answer=catalog.Directive,
        errors=("NOT_FOUND",),
        handle=get_directive,
    ),
)

"""Run templates: writing, reading and running them."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from athena_api.endpoint.etag import etag, expectation
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
from athena_api.operations.runs import RUN_ERRORS, answered
from athena_core.domain.template import Params, TemplateSpec
from athena_core.event import Value
from athena_core.values import INTEGER_MAX, Body, ClientId, RunResult
from projections import runs, templates
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.writer import Committed


class TemplateQuery(Value):
    """Which version; the newest unless it says so."""

    version: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)] | None = None


class RunTemplateBody(Body):
    """The parameters of a run, and the session that it belongs to; a new one if absent."""

    params: Params | None = None
    session_id: ClientId | None = None


async def list_templates(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Run templates, newest first."""
    page, position = await plane.query(
        ("templates",), lambda rows: templates.list_templates(rows, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position)


async def create_template(plane: "ControlPlane", call: ApiCall[TemplateSpec, NoQuery]) -> Reply:
    """Create a run template."""
    created = await plane.templates.create(call.body, call.meta, call.key)
    return await _record(plane, created)


async def get_template(plane: "ControlPlane", call: ApiCall[NoBody, TemplateQuery]) -> Reply:
    """One run template."""
    template_id, version = call.path["templateId"], call.query.version
    record, position = await plane.query(
        ("templates",), lambda rows: templates.template_by_id(rows, template_id, version)
    )
    kind = "run template" if version is None else f"version {version} of run template"
    shown = existing(record, kind, template_id)
    return Reply(data=shown, position=position, headers=(etag(shown.version),))


async def update_template(plane: "ControlPlane", call: ApiCall[TemplateSpec, NoQuery]) -> Reply:
    """Make another version of a run template."""
    expected = expectation(call.if_match)
    updated = await plane.templates.update(call.path["templateId"], call.body, call.meta, call.key, expected)
    return await _record(plane, updated, int(updated.answer))


async def _record(plane: "ControlPlane", done: "Committed", version: int = 1) -> Reply:
    template_id = done.subject or ""
    record, position = await plane.read(
        ("templates",), done.position, lambda rows: templates.template_by_id(rows, template_id, version)
    )
    return Reply(data=record, position=position, replayed=done.replayed, headers=(etag(version),))


async def run_template(plane: "ControlPlane", call: ApiCall[RunTemplateBody, NoQuery]) -> Reply:
    """Start a run of a template, and wait for its answer unless the caller would rather not."""
    launch = plane.templates.prepare(call.path["templateId"], call.body.params, call.body.session_id, call.who)
    started = await plane.runs.begin(launch, call.meta, call.key, wait=call.wait)
    return await answered(plane, call, started)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        id="listRunTemplates",
        context="runTemplates.list",
        method="GET",
        path="/run-templates",
        tag="templates",
        summary="Run templates in their newest version, newest first.",
        roles=EVERYBODY,
        paging="cursor",
        reads=("templates",),
        answer=Page[templates.RunTemplate],
        handle=list_templates,
    ),
    Operation(
        id="createRunTemplate",
        context="runTemplates.create",
        method="POST",
        path="/run-templates",
        tag="templates",
        summary="Create a run template: a directive with placeholders, and the profile that runs it.",
        roles=WRITERS,
        body=TemplateSpec,
        answer=templates.RunTemplate,
        handle=create_template,
    ),
    Operation(
        id="getRunTemplate",
        context="runTemplates.get",
        method="GET",
        path="/run-templates/:templateId",
        tag="templates",
        summary="One run template, in its newest version or in another.",
        roles=EVERYBODY,
        query=TemplateQuery,
        reads=("templates",),
        answer=templates.RunTemplate,
        errors=("NOT_FOUND",),
        versioned=True,
        handle=get_template,
    ),
    Operation(
        id="updateRunTemplate",
        context="runTemplates.update",
        method="PUT",
        path="/run-templates/:templateId",
        tag="templates",
        summary="Make another version of a run template; runs of earlier versions stay what they were.",
        roles=WRITERS,
        body=TemplateSpec,
        answer=templates.RunTemplate,
        errors=("NOT_FOUND",),
        versioned=True,
        handle=update_template,
    ),
    Operation(
        id="runTemplate",
        command="run",
        context="templates.run",
        method="POST",
        path="/templates/:templateId/run",
        tag="templates",
        summary="Start a run of a template's newest version; waits for its end unless asked not to.",
        roles=EVERYBODY,
        body=RunTemplateBody,
        answer=RunResult,
        accepted=runs.Run,
        errors=("NOT_FOUND", *RUN_ERRORS),
        handle=run_template,
    ),
)

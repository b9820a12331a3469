"""Operations on run templates: write, read and run them."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from athena_api.endpoint.etag import etag, expectation
from athena_api.endpoint.operation import EVERYBODY, ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_api.operations.runs import RUN_ERRORS, reply_to_start
from athena_core.domain.template import Params, TemplateSpec
from athena_core.event import Value, says
from athena_core.services.runs.results import RunResult
from athena_core.values import INTEGER_MAX, Body, ClientId
from projections import templates
from projections.engine.page import Page
from projections.run_answer import Run

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.submission import Committed


class TemplateQuery(Value):
    """Version of a template, the newest by default."""

    version: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)] | None, says("Version; absent: the newest.")
    ] = None


class RunTemplateBody(Body):
    """Parameters of a run, and its session, a new one by default."""

    params: Params | None = None
    session_id: Annotated[ClientId | None, says("Session to run in; absent, a new one.")] = None


async def list_run_templates(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the newest versions of run templates, newest first."""
    page, position = await plane.query(
        ("templates",), lambda rows: templates.list_templates(rows, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position)


async def create_run_template(plane: "ControlPlane", call: ApiCall[TemplateSpec, NoQuery]) -> Reply:
    """Create a run template: a directive with placeholders, and the profile that runs it."""
    created = await plane.templates.create(call.body, call.meta, call.key)
    return await _template_reply(plane, created)


async def get_run_template(plane: "ControlPlane", call: ApiCall[NoBody, TemplateQuery]) -> Reply:
    """Get the newest version of a run template, or the one that `version` names."""
    template_id, version = call.path["templateId"], call.query.version
    record, position = await plane.query(
        ("templates",), lambda rows: templates.template_by_id(rows, template_id, version)
    )
    kind = "run template" if version is None else f"version {version} of run template"
    shown = existing(record, kind, template_id)
    return Reply(data=shown, position=position, headers=(etag(shown.version),))


async def update_run_template(plane: "ControlPlane", call: ApiCall[TemplateSpec, NoQuery]) -> Reply:
    """Create a new version of a run template. Runs of earlier versions are not affected."""
    expected = expectation(call.if_match)
    updated = await plane.templates.update(call.path["templateId"], call.body, call.meta, call.key, expected)
    return await _template_reply(plane, updated, updated.answer)


async def _template_reply(plane: "ControlPlane", done: "Committed[object]", version: int = 1) -> Reply:
    template_id = done.subject or ""
    record, position = await plane.read(
        ("templates",), done.position, lambda rows: templates.template_by_id(rows, template_id, version)
    )
    return Reply(data=record, position=position, replayed=done.replayed, headers=(etag(version),))


async def run_template(plane: "ControlPlane", call: ApiCall[RunTemplateBody, NoQuery]) -> Reply:
    """Start a run of a template's newest version. Waits for its result unless `Prefer: respond-async` is sent."""
    launch = await plane.templates.prepare(call.path["templateId"], call.body.params, call.body.session_id, call.who)
    started = await plane.runs.begin(launch, call.meta, call.key, wait=call.wait)
    return await reply_to_start(plane, call, started)


row = Noun("templates", reads=("templates",), word="templates").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "runTemplates.list",
        "GET /run-templates",
        list_run_templates,
        answer=Page[templates.RunTemplate],
        paging="cursor",
    ),
    row("runTemplates.create", "POST /run-templates", create_run_template, answer=templates.RunTemplate),
    row(
        "runTemplates.get",
        "GET /run-templates/:templateId",
        get_run_template,
        answer=templates.RunTemplate,
        versioned=True,
    ),
    row(
        "runTemplates.update",
        "PUT /run-templates/:templateId",
        update_run_template,
        answer=templates.RunTemplate,
        errors=("NOT_FOUND",),
        versioned=True,
    ),
    row(
        "templates.run",
        "POST /templates/:templateId/run",
        run_template,
        answer=RunResult,
        accepted=Run,
        roles=EVERYBODY,
        errors=("NOT_FOUND", *RUN_ERRORS),
        command="run",
    ),
)

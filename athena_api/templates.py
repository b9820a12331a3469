"""Run templates over HTTP: what goes in, and the handlers of their operations."""

from typing import TYPE_CHECKING, Annotated

import msgspec

from athena_api.endpoint.etag import etag, expectation
from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Reply, existing
from athena_api.running import answered
from athena_core.domain.template import Params, TemplateSpec
from athena_core.event import Value
from athena_core.values import INTEGER_MAX, Body, ClientId
from projections import templates

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

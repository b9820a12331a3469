"""Read model of run templates, with all versions."""

from typing import Annotated, Any

import msgspec

from athena_core.clock import iso
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.template import RunTemplateCreated, RunTemplateUpdated
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json_or_null


class TemplateRow(msgspec.Struct, gc=False):
    """A template, by the position of its first version. ``newest`` is the position of its newest version."""

    position: int
    template_id: str
    newest: int
    created_at: int


class TemplateVersionRow(msgspec.Struct, gc=False):
    """A version, by its position. Its text is NULL once redacted."""

    position: int
    template_id: str
    version: int
    made_at: int
    harness_profile_id: str
    params_schema: str | None
    display_name: str | None
    directive_template: str | None
    default_params: str | None


TEMPLATE = Table("run_template", TemplateRow, key=("template_id",), indexes=(("position",),))
VERSION = Table("run_template_version", TemplateVersionRow, key=("position",), indexes=(("template_id", "version"),))
TEMPLATES = Projection("templates", version=2, tables=(TEMPLATE, VERSION))

COLUMNS = ", ".join(("t.position", "t.created_at", *(f"v.{column}" for column in VERSION.columns)))
SELECT_NEWEST = f"SELECT {COLUMNS} FROM run_template t JOIN run_template_version v ON v.position = t.newest"
SELECT_VERSION = (
    f"SELECT {COLUMNS} FROM run_template t JOIN run_template_version v ON v.template_id = t.template_id"
    " WHERE t.template_id = ? AND v.version = ?"
)


@TEMPLATES.handler
def template_created(rows: Rows, recorded: Recorded[RunTemplateCreated]) -> None:
    row = TemplateRow(
        position=recorded.position,
        template_id=recorded.event.run_template_id,
        newest=recorded.position,
        created_at=recorded.at,
    )
    rows.append(TEMPLATE, row)
    _append_version(rows, recorded)


@TEMPLATES.handler
def template_updated(rows: Rows, recorded: Recorded[RunTemplateUpdated]) -> None:
    row = rows.change(TEMPLATE, recorded.event.run_template_id)
    row.newest = recorded.position
    _append_version(rows, recorded)


def _append_version(rows: Rows, recorded: Recorded[Any]) -> None:
    event: RunTemplateCreated | RunTemplateUpdated = recorded.event
    rows.append(
        VERSION,
        TemplateVersionRow(
            position=recorded.position,
            template_id=event.run_template_id,
            version=event.version,
            made_at=recorded.at,
            harness_profile_id=event.harness_profile_id,
            params_schema=to_json_or_null(event.params_schema),
            display_name=event.display_name,
            directive_template=event.directive_template,
            default_params=to_json_or_null(event.default_params),
        ),
    )


@TEMPLATES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    rows.erase(VERSION, recorded.event.target, "directive_template", "default_params")


class RunTemplate(Value):
    """A version of a run template. ``directiveTemplate`` and ``defaultParams`` are null once redacted.

    ``redacted`` is true if its text was erased. ``createdAt`` is when the template was created, ``updatedAt`` when this
    version was.
    """

    id: str
    version: int
    harness_profile_id: str
    directive_template: Annotated[str | None, says("Text with placeholders; null once redacted.")]
    default_params: Annotated[
        dict[str, Any] | None, says("Values of parameters that a run does not give; null once redacted.")
    ]
    created_at: Annotated[str, says("When the template was created.")]
    updated_at: Annotated[str, says("When this version was created.")]
    params_schema: dict[str, Any] | None = None
    display_name: str | None = None
    redacted: bool | None = None


NEWEST = Keyset(kind="run-templates", columns=(("position", "t.position", int),))


def template_by_id(connection: Connection, template_id: str, version: int | None = None) -> RunTemplate | None:
    """Return a version of a template, the newest by default."""
    if version is None:
        return first(connection, f"{SELECT_NEWEST} WHERE t.template_id = ?", (template_id,), _to_view)
    return first(connection, SELECT_VERSION, (template_id, version), _to_view)


def list_templates(connection: Connection, *, cursor: str | None, limit: int) -> Page[RunTemplate]:
    """Return a page of templates in their newest versions, newest template first."""
    return NEWEST.page(connection, SELECT_NEWEST, (), cursor=cursor, limit=limit, show=_to_view)


def _to_view(values: tuple[Cell, ...]) -> RunTemplate:
    created_at, row = values[1], VERSION.load(values[2:])
    return RunTemplate(
        id=row.template_id,
        version=row.version,
        harness_profile_id=row.harness_profile_id,
        directive_template=row.directive_template,
        default_params=None if row.default_params is None else msgspec.json.decode(row.default_params),
        created_at=iso(int(created_at or 0)),
        updated_at=iso(row.made_at),
        params_schema=None if row.params_schema is None else msgspec.json.decode(row.params_schema),
        display_name=row.display_name,
        redacted=True if row.directive_template is None else None,
    )

"""Read model of directives."""

from typing import Annotated

import msgspec

from athena_core.clock import iso
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.plane import PayloadRedacted
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import Scope, persona_named
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json_or_null


class DirectiveRow(msgspec.Struct, gc=False):
    """A directive. Its text is NULL once redacted."""

    position: int
    directive_id: str
    created_at: int
    shadow: bool
    input: str | None
    context_refs: str | None
    metadata: str | None
    persona: str | None


DIRECTIVE = Table("directive", DirectiveRow, key=("position",), indexes=(("directive_id",), ("persona", "position")))
DIRECTIVES = Projection("catalog", version=2, tables=(DIRECTIVE,))
"""Part of a read model with one name and version. The profiles are the other part."""


@DIRECTIVES.handler
def directive_created(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
    event = recorded.event
    rows.insert(
        DIRECTIVE,
        (
            recorded.position,
            event.directive_id,
            recorded.at,
            bool(event.shadow),
            event.input,
            to_json_or_null(event.context_refs),
            to_json_or_null(event.metadata),
            persona_named(event.metadata),
        ),
    )


@DIRECTIVES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    rows.erase(DIRECTIVE, recorded.event.target, "input", "context_refs", "metadata", "persona")


class Directive(Value):
    """A directive. ``input`` is null once redacted. ``shadow`` is true if a run created it from plain input.

    ``redacted`` is true if its text was erased.
    """

    id: str
    input: Annotated[str | None, says("Text of the task; null once redacted.")]
    created_at: str
    context_refs: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    shadow: bool | None = None
    redacted: bool | None = None


NEWEST = Keyset(kind="directives")


def directive_by_id(connection: Connection, directive_id: str) -> Directive | None:
    return first(connection, f"{DIRECTIVE.all} WHERE directive_id = ?", (directive_id,), _to_view)


def list_directives(
    connection: Connection, *, scope: Scope | None = None, cursor: str | None, limit: int
) -> Page[Directive]:
    """Return a page of directives, newest first, restricted to the personas of the scope."""
    within = None if scope is None else {"persona": scope.personas}
    return NEWEST.page(connection, DIRECTIVE.all, (), within=within, cursor=cursor, limit=limit, show=_to_view)


def _to_view(values: tuple[Cell, ...]) -> Directive:
    row = DIRECTIVE.load(values)
    return Directive(
        id=row.directive_id,
        input=row.input,
        created_at=iso(row.created_at),
        context_refs=None if row.context_refs is None else msgspec.json.decode(row.context_refs, type=tuple[str, ...]),
        metadata=None if row.metadata is None else msgspec.json.decode(row.metadata, type=dict[str, str]),
        shadow=row.shadow or None,
        redacted=True if row.input is None else None,
    )

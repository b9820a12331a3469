"""The directives, as they were created."""

import msgspec

from athena_core.clock import iso
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.plane import PayloadRedacted
from athena_core.event import Recorded, Value
from athena_core.protocols import Cell, Connection
from athena_core.values import Scope, persona_named
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json_or_null


class DirectiveRow(msgspec.Struct, gc=False):
    """A directive; what people wrote is gone once it was redacted."""

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
"""Half of a read model: the profiles are the rest. It has one name and one version."""


@DIRECTIVES.handler
def directive_created(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
    event = recorded.event
    rows.append(
        DIRECTIVE,
        DirectiveRow(
            position=recorded.position,
            directive_id=event.directive_id,
            created_at=recorded.at,
            shadow=bool(event.shadow),
            input=event.input,
            context_refs=to_json_or_null(event.context_refs),
            metadata=to_json_or_null(event.metadata),
            persona=persona_named(event.metadata),
        ),
    )


@DIRECTIVES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    rows.erase(DIRECTIVE, recorded.event.target, "input", "context_refs", "metadata", "persona")


class Directive(Value):
    """A directive as clients see it (contract 4.4); ``input`` is null once it was redacted."""

    id: str
    input: str | None
    created_at: str
    context_refs: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    shadow: bool | None = None


NEWEST = Keyset(kind="directives")


def directive_by_id(connection: Connection, directive_id: str) -> Directive | None:
    return first(connection, f"{DIRECTIVE.all} WHERE directive_id = ?", (directive_id,), _to_view)


def list_directives(
    connection: Connection, *, scope: Scope | None = None, cursor: str | None, limit: int
) -> Page[Directive]:
    """Directives, newest first; of a scope, only those for its personas."""
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
    )

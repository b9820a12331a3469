"""The catalog: directives and harness profiles as they were created."""

import msgspec

from athena_core.clock import iso
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.profile import HarnessProfileCreated
from athena_core.event import Recorded, Value
from athena_core.protocols import Cell, Connection
from athena_core.values import HarnessProfile, HarnessSpec, Scope, persona_named
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json, to_json_or_null


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


class HarnessProfileRow(msgspec.Struct, gc=False):
    """A harness profile, as JSON."""

    position: int
    profile_id: str
    created_at: int
    profile: str


DIRECTIVE = Table("directive", DirectiveRow, key=("position",), indexes=(("directive_id",), ("persona", "position")))
HARNESS_PROFILE = Table("harness_profile", HarnessProfileRow, key=("position",), indexes=(("profile_id",),))
CATALOG = Projection("catalog", version=2, tables=(DIRECTIVE, HARNESS_PROFILE))


@CATALOG.handler
def directive_created(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
    """Keep the directive."""
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


@CATALOG.handler
def harness_profile_created(rows: Rows, recorded: Recorded[HarnessProfileCreated]) -> None:
    """Keep the profile."""
    profile = to_json(recorded.event.profile)
    row = HarnessProfileRow(recorded.position, recorded.event.harness_profile_id, recorded.at, profile)
    rows.append(HARNESS_PROFILE, row)


@CATALOG.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Forget what a redacted directive said."""
    rows.erase(DIRECTIVE, recorded.event.target, "input", "context_refs", "metadata", "persona")


class Directive(Value):
    """A directive as clients see it (contract 4.4); ``input`` is null once it was redacted."""

    id: str
    input: str | None
    created_at: str
    context_refs: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    shadow: bool | None = None


DIRECTIVES = Keyset(kind="directives")
PROFILES = Keyset(kind="harness-profiles")


def directive_by_id(connection: Connection, directive_id: str) -> Directive | None:
    """One directive."""
    return first(connection, f"{DIRECTIVE.all} WHERE directive_id = ?", (directive_id,), _directive)


def list_directives(
    connection: Connection, *, scope: Scope | None = None, cursor: str | None, limit: int
) -> Page[Directive]:
    """Directives, newest first; of a scope, only those for its personas."""
    within = None if scope is None else {"persona": scope.personas}
    return DIRECTIVES.page(connection, DIRECTIVE.all, (), within=within, cursor=cursor, limit=limit, show=_directive)


def harness_profile_by_id(connection: Connection, profile_id: str) -> HarnessProfile | None:
    """One harness profile."""
    return first(connection, f"{HARNESS_PROFILE.all} WHERE profile_id = ?", (profile_id,), _profile)


def list_harness_profiles(connection: Connection, *, cursor: str | None, limit: int) -> Page[HarnessProfile]:
    """Harness profiles, newest first."""
    return PROFILES.page(connection, HARNESS_PROFILE.all, (), cursor=cursor, limit=limit, show=_profile)


def _directive(values: tuple[Cell, ...]) -> Directive:
    row = DIRECTIVE.load(values)
    return Directive(
        id=row.directive_id,
        input=row.input,
        created_at=iso(row.created_at),
        context_refs=None if row.context_refs is None else msgspec.json.decode(row.context_refs, type=tuple[str, ...]),
        metadata=None if row.metadata is None else msgspec.json.decode(row.metadata, type=dict[str, str]),
        shadow=row.shadow or None,
    )


def _profile(values: tuple[Cell, ...]) -> HarnessProfile:
    row = HARNESS_PROFILE.load(values)
    spec = msgspec.json.decode(row.profile, type=HarnessSpec)
    fields = {name: getattr(spec, name) for name in HarnessSpec.__struct_fields__}
    return HarnessProfile(id=row.profile_id, created_at=iso(row.created_at), **fields)

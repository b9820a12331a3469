"""Read model of harness profiles."""

import msgspec

from athena_core.clock import iso
from athena_core.definitions.profile import HarnessProfile, HarnessSpec
from athena_core.domain.profile import HarnessProfileCreated
from athena_core.event import Recorded, Value
from athena_core.protocols import Cell, Connection
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json


class ProfileRow(msgspec.Struct, gc=False):
    """A harness profile, as JSON."""

    position: int
    profile_id: str
    created_at: int
    profile: str


PROFILE = Table("harness_profile", ProfileRow, key=("position",), indexes=(("profile_id",),))
PROFILES = Projection("catalog", version=2, tables=(PROFILE,))
"""Part of a read model with one name and version. The directives are the other part."""


@PROFILES.handler
def profile_created(rows: Rows, recorded: Recorded[HarnessProfileCreated]) -> None:
    event = recorded.event
    rows.append(
        PROFILE,
        ProfileRow(
            position=recorded.position,
            profile_id=event.harness_profile_id,
            created_at=recorded.at,
            profile=to_json(event.profile),
        ),
    )


NEWEST = Keyset(kind="harness-profiles")


def profile_by_id(connection: Connection, profile_id: str) -> HarnessProfile | None:
    return first(connection, f"{PROFILE.all} WHERE profile_id = ?", (profile_id,), _to_view)


def display_name(connection: Connection, profile_id: str) -> str | None:
    return first(connection, f"{PROFILE.all} WHERE profile_id = ?", (profile_id,), _to_name)


def list_profiles(connection: Connection, *, cursor: str | None, limit: int) -> Page[HarnessProfile]:
    return NEWEST.page(connection, PROFILE.all, (), cursor=cursor, limit=limit, show=_to_view)


class Named(Value):
    """The name in a harness profile."""

    display_name: str | None = None


def _to_name(values: tuple[Cell, ...]) -> str | None:
    return msgspec.json.decode(PROFILE.load(values).profile, type=Named).display_name


def _to_view(values: tuple[Cell, ...]) -> HarnessProfile:
    row = PROFILE.load(values)
    spec = msgspec.json.decode(row.profile, type=HarnessSpec)
    fields = {name: getattr(spec, name) for name in HarnessSpec.__struct_fields__}
    return HarnessProfile(id=row.profile_id, created_at=iso(row.created_at), **fields)

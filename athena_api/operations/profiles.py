"""Operations on harness profiles: create and read them."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.clock import iso
from athena_core.definitions.profile import HarnessProfile, HarnessSpec
from projections import profiles
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


async def create_harness_profile(plane: "ControlPlane", call: ApiCall[HarnessSpec, NoQuery]) -> Reply:
    """Create a harness profile."""
    created = await plane.catalog.create_profile(call.body, call.meta, call.key)
    profile_id = created.subject or ""
    spec, at = plane.catalog.profile(profile_id, "id")
    fields = {name: getattr(spec, name) for name in HarnessSpec.__struct_fields__}
    record = HarnessProfile(id=profile_id, created_at=iso(at), **fields)
    return Reply(data=record, position=created.position, replayed=created.replayed)


async def list_harness_profiles(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List harness profiles, newest first."""
    page, position = await plane.query(
        ("catalog",), lambda rows: profiles.list_profiles(rows, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position)


async def get_harness_profile(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a harness profile."""
    profile_id = call.path["harnessProfileId"]
    profile, position = await plane.query(("catalog",), lambda rows: profiles.profile_by_id(rows, profile_id))
    return Reply(data=existing(profile, "harness profile", profile_id), position=position)


row = Noun("catalog", reads=("catalog",), word="profiles").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "harnessProfiles.list",
        "GET /harness-profiles",
        list_harness_profiles,
        answer=Page[HarnessProfile],
        paging="cursor",
        shared=True,
    ),
    row("harnessProfiles.create", "POST /harness-profiles", create_harness_profile, answer=HarnessProfile),
    row(
        "harnessProfiles.get",
        "GET /harness-profiles/:harnessProfileId",
        get_harness_profile,
        answer=HarnessProfile,
        shared=True,
    ),
)

"""Operations on the policy: read, replace and simulate it, and list its rejections."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec.structs import replace

from athena_api.endpoint.body import Time
from athena_api.endpoint.etag import etag, expectation
from athena_api.endpoint.operation import ADMINS, ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from athena_core.clock import iso
from athena_core.domain.policy import (
    CommentedPolicyBody,
    PlainPolicyBody,
    PolicyDocument,
    PutPolicyBody,
    SimulateBody,
    supposed_policy,
)
from athena_core.errors import ConfigError, CursorInvalid
from athena_core.event import Position, Value, says
from athena_core.services.proof import simulate
from athena_core.services.proof.recorded_requests import HistoryReader
from athena_core.values import INTEGER_MAX, ClientId, Label
from projections import feed, policy
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import StoreReader


class RejectionsQuery(Value):
    """Filters and order of rejections, oldest first by default. Times are inclusive.

    ``offset`` applies only without a cursor. A cursor keeps the order of the page that it came from.
    """

    session_id: ClientId | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    offset: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)] | None, says("Rejections to skip, without a cursor.")
    ] = None
    reason: Annotated[Label | None, says("Only rejections with this reason.")] = None
    actor: Label | None = None
    provider: Label | None = None
    harness_profile_id: Label | None = None
    order: Annotated[Literal["newest", "oldest"] | None, says("Order; absent: oldest first.")] = None


DAY_MS = 86_400_000


async def get_policy(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the current policy, or null if there is none."""
    (document, version), position = await plane.query(("policy",), policy.policy_in_force)
    return Reply(data=document, position=position, headers=(etag(version),))


async def put_policy(plane: "ControlPlane", call: ApiCall[PutPolicyBody, NoQuery]) -> Reply:
    """Replace the whole policy. Limits that the body omits no longer apply."""
    done = await plane.policies.put(call.body, call.who, call.meta, call.key, expectation(call.if_match))
    put = done.answer
    return Reply(data=put.document, position=done.position, replayed=done.replayed, headers=(etag(put.version),))


async def simulate_policy(plane: "ControlPlane", call: ApiCall[SimulateBody, NoQuery]) -> Reply:
    """Check recorded run requests against another policy, without changing anything."""
    limits = supposed_policy(call.body)
    plane.policies.check(call.body.policy.limits or (), "policy.")
    yesterday = iso(plane.clock.now() - DAY_MS)
    runs_max = plane.settings.executor_max_runs

    def read(log: "StoreReader") -> simulate.Simulation:
        since = _since(call.body.since or yesterday, log)
        history = HistoryReader(log, plane.log.codec.decode, since).collect()
        return simulate.simulate(history, limits, runs_max=runs_max, run_id=call.body.run_id)

    (_, version), _ = await plane.read(("policy",), plane.reader.head(), policy.policy_in_force)
    simulation = await plane.scan_now(read)
    return Reply(data=replace(simulation, policy_version=version), position=simulation.to)


def _since(text: str, log: "StoreReader") -> Position:
    """Return the position before a time, or the position of a cursor. Raise ConfigError."""
    try:
        return feed.resolve(feed.parse_cursor(text), log)
    except CursorInvalid:
        pass
    try:
        return feed.position_before(text, log)
    except (CursorInvalid, OverflowError) as error:
        remedy = "an ISO-8601 time, a position, or the id of an event"
        raise ConfigError.of("since", f"{text[:40]!r} is neither a time nor a cursor", remedy) from error


async def list_policy_concurrency_rejections(plane: "ControlPlane", call: ApiCall[NoBody, RejectionsQuery]) -> Reply:
    """List runs that the policy rejected, oldest first, or newest first with `order=newest`."""
    query = call.query
    page, position = await plane.query(
        ("policy",),
        lambda rows: policy.list_rejections(
            rows,
            plane.log.log_id,
            session_id=query.session_id,
            created_after=query.created_after,
            created_before=query.created_before,
            reason=query.reason,
            actor=query.actor,
            provider=query.provider,
            harness_profile_id=query.harness_profile_id,
            newest_first=query.order == "newest",
            offset=query.offset or 0,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position)


row = Noun("policy", reads=("policy",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("policy.get", "GET /policy", get_policy, answer=PolicyDocument | None, shared=True, versioned=True),
    row(
        "policy.put",
        "PUT /policy",
        put_policy,
        answer=PolicyDocument,
        forms=(PlainPolicyBody, CommentedPolicyBody),
        roles=ADMINS,
        versioned=True,
    ),
    row(
        "policy.simulate",
        "POST /policy/simulate",
        simulate_policy,
        answer=simulate.Simulation,
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        mcp="simulate_policy",
        price_ms=200,
    ),
    row(
        "policy.rejections",
        "GET /policy/rejections",
        list_policy_concurrency_rejections,
        answer=Page[policy.Rejection],
        paging="cursor",
        command="rejections list",
    ),
)

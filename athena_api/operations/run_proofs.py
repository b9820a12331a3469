"""Operations on what a run did, from the log: the requests that it sent to models, and its place in the chain."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from msgspec.structs import replace

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_api.operations.runs import events_of
from athena_core.clock import iso
from athena_core.domain.run import DECIDER as RUN
from athena_core.event import Position, Value, says
from athena_core.protocols import Connection, Row
from athena_core.services.context.compiler import ContextCompiler
from athena_core.services.mcp.catalogue import PastCatalogue
from athena_core.services.proof import sent_requests
from athena_core.services.proof.anchors import Destination, DestinationKind
from athena_core.values import INTEGER_MAX
from projections import feed, runs

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import BoundedReader

TURN = re.compile(r"[1-9][0-9]{0,8}")


class ProvenEvent(Value):
    """An event in the chain. ``chain`` is its chain value, in hex."""

    id: str
    position: Position
    chain: Annotated[str, says("Chain value at the event, in hex.")]
    created_at: str


class SentAnchor(Value):
    """The last anchor that this server has sent to a destination since it started."""

    kind: Annotated[DestinationKind, says("Kind of the destination.")]
    position: Annotated[Position, says("Position of the anchor.")]


class RunProof(Value):
    """The place of a run in the chain, and how to prove it.

    A chain value depends on all events up to its position. So an anchor at or after ``last`` that is kept elsewhere
    proves every event of the run. ``anchor`` is the newest one that this server has sent. ``covered`` is false if there
    is none at or after ``last``. ``links`` counts the events from ``first`` to that anchor, or else to ``head``: a
    bundle that reaches it has that many hashes. ``commands`` export the bundle and verify it; PLACE stands for a
    destination of anchors.
    """

    run_id: str
    log_id: str
    events: Annotated[int, says("Number of events of the run.")]
    first: Annotated[ProvenEvent, says("First event of the run.")]
    last: Annotated[ProvenEvent, says("Last event of the run.")]
    head: Annotated[ProvenEvent, says("Last event of the log.")]
    sent: Annotated[tuple[SentAnchor, ...], says("Destinations of anchors, with the last position that each received.")]
    covered: Annotated[bool, says("True if that anchor is at or after the last event of the run.")]
    links: Annotated[int, says("Events from the first one to the anchor, or else to the head.")]
    commands: Annotated[tuple[str, ...], says("Commands that export the run as a bundle, and verify it.")]
    anchor: Annotated[ProvenEvent | None, says("Newest anchor that this server has sent; absent without one.")] = None


async def get_sent_request(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the request of one turn of a run to its model: the messages as they were sent, and the tools.

    It is compiled again from the log, within the limits of contexts that are set now. Tools of MCP servers are
    described as they were accepted then, other tools as in this release. Erased texts are missing. The requests of
    outside agents are not known.
    """
    run_id = call.path["runId"]
    turn = int(call.path["turn"]) if TURN.fullmatch(call.path["turn"]) else 0

    def read(rows: Connection, log: "BoundedReader") -> sent_requests.SentRequest:
        existing(runs.run_status(rows, run_id), "run", run_id)
        recorded = list(events_of(plane, log, run_id, sent_requests.READ))
        compiler = ContextCompiler(plane.settings, plane.log.codec, log)
        sent, request, after, until = sent_requests.sent_request(recorded, turn, compiler, call.scope)
        if not request.profile_named:
            return sent
        tools = plane.mcp_parts.tools_in(request, PastCatalogue(plane.log.codec, log, after, until))
        specs = tools.specs(request.harness_profile_snapshot.config.tools)
        return replace(sent, tools=specs, erased_tools=tools.erased() or None)

    sent, position = await plane.search(("runs",), read)
    return Reply(data=sent, position=position)


async def get_run_proof(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the place of a run in the chain, the newest anchor that was sent, and the commands that prove the run.

    When an anchor was sent is not recorded, so a past answer has none.
    """
    run_id = call.path["runId"]
    sent = plane.anchors.sent if call.as_of is None else {}
    proof = await plane.scan(lambda log: existing(_proof(log, run_id, sent), "run", run_id))
    return Reply(data=proof, position=call.position)


def _proof(log: "BoundedReader", run_id: str, sent: Mapping[Destination, Position]) -> RunProof | None:
    """Return the proof of a run, if it exists."""
    rows = log.part(run_id, 0, 1, 1, backwards=False) if RUN.owns(run_id) else []
    head = log.row(log.head())
    if not rows or head is None:
        return None
    (first,), (last,) = rows, log.part(run_id, 0, INTEGER_MAX, 1, backwards=True)
    anchors = [SentAnchor(kind=to.kind, position=at) for to, at in sent.items() if at <= head.position]
    newest = max((one.position for one in anchors), default=0)
    anchor = log.row(newest) if newest else None
    covered = newest >= last.position
    to, file = newest if covered else head.position, f"{run_id}.bundle"
    return RunProof(
        run_id=run_id,
        log_id=log.log_id,
        events=last.version,
        first=_proven(log.log_id, first),
        last=_proven(log.log_id, last),
        head=_proven(log.log_id, head),
        sent=tuple(anchors),
        covered=covered,
        links=to - first.position + 1,
        commands=(
            f"athena export --run {run_id} --to {to} --out {file}",
            f"athena verify --bundle {file}",
            f"athena verify --bundle {file} --against PLACE",
            "athena verify",
        ),
        anchor=None if anchor is None else _proven(log.log_id, anchor),
    )


def _proven(log_id: str, row: Row) -> ProvenEvent:
    return ProvenEvent(
        id=feed.event_id(log_id, row.position, row.chain),
        position=row.position,
        chain=row.chain.hex(),
        created_at=iso(row.recorded_at),
    )


row = Noun("runs", reads=("runs",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "runs.request",
        "GET /runs/:runId/turns/:turn/request",
        get_sent_request,
        answer=sent_requests.SentRequest,
        errors=("NOT_FOUND", "CONTEXT_OVERFLOW"),
        command="runs request",
        price_ms=10,
    ),
    row(
        "runs.proof",
        "GET /runs/:runId/proof",
        get_run_proof,
        answer=RunProof,
        errors=("NOT_FOUND",),
        command="runs proof",
        price_ms=2,
    ),
)

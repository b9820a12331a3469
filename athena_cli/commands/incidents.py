"""The parts of an exported incident: the answers about the time between two moments, beside its events."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from athena_cli.exit_codes import Failed, Misused, NotAllowed
from athena_cli.output.options import past_of
from athena_cli.render import note

if TYPE_CHECKING:
    from athena_cli.transport import Transport
    from athena_core.log.port import StoreReader
    from athena_core.services.proof.bundle import BundleScope
    from athena_core.services.proof.incident import PartName
    from athena_core.settings import Settings

PAGE_ITEMS = "500"
EXAMPLE = "give FROM..TO, such as 2026-11-28T02:00..2026-11-28T02:30, 40000..41233, or 2h.. until now"


class OpenList(NamedTuple):
    """A list of the API with open records: its operation and filter, and the members of a record that are exported."""

    kind: str
    operation: str
    query: Mapping[str, str]
    id: str
    since: str = "createdAt"
    status: str = "status"


OPEN_LISTS = (
    *(OpenList("run", "listRuns", {"status": status}, "runId") for status in ("queued", "running", "paused")),
    OpenList("ask", "listAsks", {"status": "open"}, "id", "askedAt", "kind"),
    *(OpenList("message", "listA2aMessages", {"status": status}, "messageId") for status in ("sent", "started")),
    OpenList("dead-letter", "listA2aDlq", {"status": "pending"}, "id", status="reason"),
    OpenList("queue", "listWorkQueues", {}, "sessionId", "oldestItemSince", "itemCount"),
    OpenList("review", "listPersonaRuns", {"status": "running"}, "runId"),
)


def ends_of(interval: str, reader: "StoreReader") -> tuple[int, int]:
    """Return the positions of ``FROM..TO``. Raise Misused or AthenaError."""
    from athena_core.values import DIFF_EVENTS_MAX

    start, dots, end = interval.partition("..")
    if not dots or not start.strip():
        raise Misused(f"--incident: {interval[:80]!r} is not an interval", EXAMPLE)
    after = _position(start, reader)
    to = _position(end, reader) if end.strip() else reader.head()
    if after > to:
        raise Misused(f"--incident: FROM is position {after}, which lies after TO, position {to}", "swap them")
    if after == to:
        raise Misused(f"--incident: both moments are position {to}, without an event between them", EXAMPLE)
    if to - after > DIFF_EVENTS_MAX:
        raise Misused(
            f"--incident: there are {to - after:,} events between the positions {after} and {to}, and an incident has"
            f" at most {DIFF_EVENTS_MAX:,}",
            "choose moments that are closer together, or export --since",
        )
    return after, to


def _position(moment: str, reader: "StoreReader") -> int:
    """Return the position of a moment. Raise Misused or AthenaError."""
    from athena_core.errors import CursorAhead
    from projections.feed import position_of

    try:
        return position_of(past_of(moment), reader, "--incident")
    except CursorAhead as error:
        raise Misused(f"--incident: {moment[:80]} lies beyond position {reader.head()}, the end of the log") from error


def next_anchor(settings: "Settings", reader: "StoreReader", position: int) -> int | None:
    """Return the first position from here that was anchored in a place of the settings; None if none was."""
    from athena_cli.commands.log import read_witnesses
    from athena_core.errors import ConfigError

    found: list[int] = []
    for place in settings.anchor_to:
        try:
            anchors = read_witnesses((place,), reader.log_id).anchors()
        except ConfigError as error:
            note(f"Warning: no anchor was read: {error.message}")
            continue
        found += [one.position for one in anchors if one.log_id == reader.log_id]
    later = [one for one in found if position <= one <= reader.head()]
    if settings.anchor_to and not later:
        note(f"Warning: no anchor was kept since position {position}. Send one with `athena anchor`, and export again.")
    return min(later, default=None)


def read_parts(
    settings: "Settings", reader: "StoreReader", after: int, to: int, *, redact: bool
) -> "tuple[BundleScope, dict[PartName, object]]":
    """Return the scope of an incident, and its parts as the server shows them to this caller. Raise Exit."""
    from athena_cli.client import call_with

    async def work(transport: "Transport") -> "tuple[BundleScope, dict[PartName, object]]":
        return await IncidentReads(transport, reader, after, to).read(redact=redact)

    return call_with(settings, work)


class IncidentReads:
    """The reads of the API about an incident."""

    def __init__(self, transport: "Transport", reader: "StoreReader", after: int, to: int) -> None:
        """Read nothing yet."""
        self._transport = transport
        self._reader = reader
        self._after, self._to = after, to
        self._narrowed: dict[str, list[str]] = {}

    async def read(self, *, redact: bool) -> "tuple[BundleScope, dict[PartName, object]]":
        """Return the scope and the parts. Raise Exit."""
        from athena_core.services.proof.bundle import BundleScope

        caller = await self._get("getCaller")
        if "getAuditTrail" not in caller["operations"]:
            raise NotAllowed(
                f"--incident: {caller['identity']} has the role {caller['role']}, and the file names the actor of each"
                " event",
                "use the token or the identity of an Admin",
            )
        self._narrowed = caller.get("scope") or {}
        diff = await self._diff()
        parts: dict[PartName, object] = {
            "diff": diff,
            "open": await self._open(),
            "policy": {"from": await self._get("getPolicy", self._after), "to": await self._get("getPolicy", self._to)},
            "explanations": await self._explanations(diff["items"], redact=redact),
        }
        sessions, runs = (self._narrowed.get(kind) for kind in ("sessions", "runs"))
        return BundleScope(
            after=self._after,
            to=self._to,
            sessions=None if sessions is None else tuple(sessions),
            runs=None if runs is None else tuple(runs),
        ), parts

    async def _get(self, operation: str, position: int | None = None, /, **query: str) -> Any:
        import msgspec

        moment = {} if position is None else {"asOf": str(position)}
        return msgspec.json.decode(await self._transport.request(operation, query={**query, **moment}))

    async def _pages(
        self, operation: str, position: int | None, query: Mapping[str, str], **first: str
    ) -> AsyncIterator[Any]:
        """Yield the pages of a list. ``first`` is asked of the first one only."""
        asked: Mapping[str, str] = {**query, **first}
        while True:
            page = await self._get(operation, position, limit=PAGE_ITEMS, **asked)
            yield page
            if page.get("nextCursor") is None:
                return
            asked = {**query, "cursor": page["nextCursor"]}

    async def _diff(self) -> dict[str, Any]:
        """Return the difference on one page. Raise Failed if the server has another log."""
        from projections.engine.cursor import event_id

        whole: dict[str, Any] = {}
        moments = {"from": str(self._after), "to": str(self._to)}
        async for page in self._pages("getDiff", None, moments, counts="true"):
            page.pop("nextCursor", None)
            whole = whole and {**whole, "items": whole["items"] + page["items"]} or page
        row = self._reader.row(self._to)
        if row is None or whole["to"].get("id") != event_id(self._reader.log_id, self._to, row.chain):
            at = self._transport.server or "this directory"
            raise Failed(f"the server at {at} has another log than ATHENA_STATE_DIR", "export where the server runs")
        return whole

    async def _open(self) -> dict[str, Any]:
        """Return the open records of both moments."""
        from athena_cli.operations import OPERATIONS

        lists = [one for one in OPEN_LISTS if self._narrowed.keys() <= set(OPERATIONS[one.operation].narrows)]
        kinds = dict.fromkeys(one.kind for one in lists)
        cut: set[str] = set()
        ends: list[list[dict[str, Any]]] = []
        for position in (self._after, self._to):
            found: list[dict[str, Any]] = []
            for one in lists:
                found += await self._open_of(one, position, cut)
            ends.append(found)
        if not self._narrowed:
            kinds["workflow-run"] = None
            for records, position in zip(ends, (self._after, self._to), strict=True):
                records.extend(open_workflow_runs(self._reader, position))
        kinds |= dict.fromkeys(record["kind"] for found in ends for record in found)
        return {"from": ends[0], "to": ends[1], "kinds": list(kinds), "cut": sorted(cut)}

    async def _open_of(self, one: OpenList, position: int, cut: set[str]) -> list[dict[str, Any]]:
        """Return the open records of a list, as many as fit. A kind with more is added to ``cut``."""
        from athena_core.services.proof.incident import OPEN_RECORDS_MAX, RUN_ASKS

        found: list[dict[str, Any]] = []
        async for page in self._pages(one.operation, position, one.query):
            for record in page["items"]:
                if len(found) == OPEN_RECORDS_MAX:
                    cut.add(one.kind)
                    return found
                kind = "approval" if one.kind == "ask" and record["kind"] not in RUN_ASKS else one.kind
                values = {"status": str(record[one.status]), "since": record[one.since]}
                session = {"sessionId": record["sessionId"]} if "sessionId" in record else {}
                found.append({"kind": kind, "id": record[one.id], **values, **session})
        return found

    async def _explanations(self, items: Sequence[dict[str, Any]], *, redact: bool) -> dict[str, Any]:
        """Return why the first runs failed, in the order of their ends."""
        import msgspec

        from athena_core.services.proof.incident import EXPLAINED_RUNS_MAX, FAILURES, without_quotes
        from projections.engine.cursor import parse_cursor

        ended = [item for item in items if item["kind"] == "run" and item.get("ended", {}).get("type") in FAILURES]
        ended.sort(key=lambda item: parse_cursor(item["ended"]["id"]).position)
        explained = []
        for item in ended[:EXPLAINED_RUNS_MAX]:
            query = {"asOf": str(self._to)}
            answer = await self._transport.request("explainRun", path={"runId": item["id"]}, query=query)
            explanation = msgspec.json.decode(answer)
            explained.append(without_quotes(explanation) if redact else explanation)
        return {"items": explained, "omitted": len(ended) - len(explained)}


def open_workflow_runs(reader: "StoreReader", position: int) -> list[dict[str, Any]]:
    """Return the workflow runs that had not ended at a position."""
    from athena_core.clock import iso
    from athena_core.domain.workflow_run import ENDING_TYPES, WorkflowResumed, WorkflowRunCreated

    begins = (WorkflowRunCreated.TYPE, WorkflowResumed.TYPE)
    found: dict[str, str] = {}
    after = 0
    while rows := reader.of_types((*begins, *ENDING_TYPES), after, position, int(PAGE_ITEMS)):
        for row in rows:
            run_id = row.stream.partition(":")[2] or row.stream
            if row.type in ENDING_TYPES:
                found.pop(run_id, None)
            else:
                found.setdefault(run_id, iso(row.recorded_at))
        after = rows[-1].position
    return [{"kind": "workflow-run", "id": run_id, "since": since} for run_id, since in found.items()]

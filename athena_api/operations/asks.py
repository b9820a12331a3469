"""Operations on asks: list the questions that wait for a person."""

from functools import partial
from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.event import Value
from athena_core.protocols import Connection
from athena_core.values import ClientId, Label, RecordId
from projections import asks, runs
from projections.ask_rows import AskKind, AskStatus
from projections.engine.page import Page
from projections.workflow_subjects import SubjectReader

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

VIEWS = ("asks", "workflows", "runs")


class AsksQuery(Value):
    """Filters of asks. With ``answerable=true`` only open asks that the caller may answer are listed."""

    status: AskStatus = "open"
    kind: AskKind | None = None
    session_id: ClientId | None = None
    run_id: Label | None = None
    harness_profile_id: RecordId | None = None
    answerable: bool | None = None


async def list_asks(plane: "ControlPlane", call: ApiCall[NoBody, AsksQuery]) -> Reply:
    """List what waits for a person's decision, oldest first.

    Texts over 4,096 characters are cut, or left out if they are JSON; then `truncated` is true. Workflow approvals have
    no session and no run.
    """
    query = call.query

    def read(rows: Connection) -> Page[asks.Ask]:
        return asks.list_asks(
            rows,
            subjects(rows),
            status=query.status,
            kind=query.kind,
            session_id=query.session_id,
            run_id=query.run_id,
            harness_profile_id=query.harness_profile_id,
            answerable_by=call.who if query.answerable else None,
            scope=call.who.scope,
            cursor=call.cursor,
            limit=call.limit,
        )

    page, position = await plane.query(VIEWS, read)
    return Reply(data=page, position=position, steady=True)


async def get_ask(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get an ask, open or decided."""
    ask_id = call.path["askId"]
    ask, position = await plane.query(VIEWS, lambda rows: asks.ask_by_id(rows, subjects(rows), ask_id, call.who.scope))
    return Reply(data=existing(ask, "ask", ask_id), position=position, steady=True)


def subjects(rows: Connection) -> SubjectReader:
    """Return the reader of texts to approve, for one answer."""
    return SubjectReader(rows, partial(runs.output_of, rows))


row = Noun("asks", reads=VIEWS).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("asks.list", "GET /asks", list_asks, answer=Page[asks.Ask], paging="cursor", narrows={"sessions", "runs"}),
    row("asks.get", "GET /asks/:askId", get_ask, answer=asks.Ask, narrows={"sessions", "runs"}),
)

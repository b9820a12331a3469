"""Operations on asks: list the questions that wait for a person, and answer them."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from athena_api.endpoint.operation import EVERYBODY, ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.decider import Key
from athena_core.domain.workflow_run import DecideApproval
from athena_core.errors import AthenaError, ConfigError
from athena_core.event import Meta, Value, says
from athena_core.protocols import Connection
from athena_core.services.asks.answers import OPERATION, AnswerBody, SelectedAsks
from athena_core.services.runs.bulk_requests import ItemError
from athena_core.values import Body, ClientId, Label, RecordId, Scope
from projections import asks, runs
from projections.ask_rows import AskKind, AskStatus
from projections.asks import AskPlace
from projections.engine.page import Page
from projections.workflow_subjects import SubjectReader

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.submission import Committed

VIEWS = ("asks", "workflows", "runs")
ITEMS_MAX = 100
"""The most asks that one request answers."""
APPROVAL_OPTIONS = {"approve": True, "reject": False}
REJECTING = frozenset(("deny", "decline", "reject"))
"""Options that refuse; by filter only these can be chosen."""


class AsksQuery(Value):
    """Filters of asks. With ``answerable=true`` only open asks that the caller may answer are listed."""

    status: Annotated[AskStatus, says("Only asks with this status.")] = "open"
    kind: Annotated[AskKind | None, says("Only asks of this kind.")] = None
    session_id: ClientId | None = None
    run_id: Label | None = None
    harness_profile_id: RecordId | None = None
    answerable: Annotated[bool | None, says("True: only open asks that the caller may answer.")] = None


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
            scope=call.scope,
            cursor=call.cursor,
            limit=call.limit,
        )

    page, position = await plane.query(VIEWS, read)
    return Reply(data=page, position=position, steady=True)


class AskQuery(Value):
    """The form of an ask: its shown text, or also its exact one."""

    exact: Annotated[bool | None, says("Opens the exact text of an ask whose texts hide a part. It is recorded.")] = (
        None
    )


async def get_ask(plane: "ControlPlane", call: ApiCall[NoBody, AskQuery]) -> Reply:
    """Get an ask, open or decided.

    If its texts hide a part, `exact=true` adds the exact text. Only who may answer the ask may read it, and the first
    reading by each identity is recorded.
    """
    ask_id, scope = call.path["askId"], call.scope
    ask, position = await plane.query(VIEWS, lambda rows: asks.ask_by_id(rows, subjects(rows), ask_id, scope))
    found = existing(ask, "ask", ask_id)
    if not call.query.exact or found.hidden is None:
        return Reply(data=found, position=position, steady=not call.query.exact)
    if call.as_of is not None:
        raise ConfigError.of("exact", "the exact text can only be opened now", "leave out asOf")
    place, _ = await plane.query(VIEWS, lambda rows: asks.place_of(rows, ask_id, scope))
    exact, position = await plane.answers.open_exact(existing(place, "ask", ask_id).position, call.who, call.meta)
    return Reply(data=msgspec.structs.replace(found, exact=exact), position=position)


class AnswerItem(Body):
    """An ask to answer, with one of its options."""

    ask_id: RecordId
    subject_hash: Annotated[Label, says("Hash that was shown, `subjectHash` of the ask.")]
    option_id: Annotated[Label, says("An option of the ask.")]
    note: Label | None = None


class AskFilter(Body):
    """Open asks to reject, the oldest 100."""

    kind: Annotated[AskKind | None, says("Only asks of this kind.")] = None
    session_id: Annotated[ClientId | None, says("Only asks of this session.")] = None
    run_id: Annotated[RecordId | None, says("Only asks of this run.")] = None
    harness_profile_id: Annotated[RecordId | None, says("Only asks of this profile.")] = None


class AnswersBody(Body):
    """Answers to several asks: `items`, or a `filter` with an `optionId` that rejects."""

    items: Annotated[
        Annotated[tuple[AnswerItem, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)] | None,
        says("Asks to answer."),
    ] = None
    filter: Annotated[AskFilter | None, says("Open asks to reject instead, the oldest 100.")] = None
    option_id: Annotated[Label | None, says("With `filter`: `deny`, `decline` or `reject`, which all reject.")] = None
    note: Label | None = None


class AnsweredAsk(Value):
    """The outcome for one ask."""

    ask_id: str
    status: Annotated[Literal["answered", "failed"], says("Outcome.")]
    error: Annotated[ItemError | None, says("Why it failed; absent if it did not.")] = None


class AnsweredAsks(Value):
    """The outcome for each ask. ``more`` is true if the filter covers further open asks."""

    items: Annotated[tuple[AnsweredAsk, ...], says("Outcomes, in the order of the request or oldest first.")]
    more: Annotated[bool | None, says("True if the filter covers further asks; else absent.")] = None


async def answer_ask(plane: "ControlPlane", call: ApiCall[AnswerBody, NoQuery]) -> Reply:
    """Answer an ask: choose an option, or fill in its form. The first answer wins.

    A parked run goes on if there is room, else it waits in line. Tool permissions need an Operator, or the role of the
    profile. A question may also be answered by who requested the run.
    """
    ask_id, scope = call.path["askId"], call.scope
    place, _ = await plane.read(VIEWS, plane.reader.head(), lambda rows: asks.place_of(rows, ask_id, scope))
    done = await _answer(plane, call, existing(place, "ask", ask_id), call.body, call.meta, call.key)
    ask, position = await plane.read(
        VIEWS, done.position, lambda rows: asks.ask_by_id(rows, subjects(rows), ask_id, scope)
    )
    return Reply(data=existing(ask, "ask", ask_id), position=position, replayed=done.replayed)


async def _answer(
    plane: "ControlPlane", call: ApiCall[Any, NoQuery], place: AskPlace, body: AnswerBody, meta: Meta, key: Key | None
) -> "Committed":
    """Answer an ask of a run, or decide the approval of a workflow step."""
    if place.workflow_run_id is None:
        return await plane.answers.answer(place.position, body, call.who, meta, key)
    approve = APPROVAL_OPTIONS.get(body.option_id or "")
    if approve is None:
        raise ConfigError.of("optionId", f"{body.option_id!r} is not an option of an approval", "approve or reject")
    for name in ("values", "edited_arguments", "remember", "remember_for_ms"):
        if getattr(body, name) is not None:
            member = msgspec.structs.fields(AnswerBody)
            encoded = next(field.encode_name for field in member if field.name == name)
            raise ConfigError.of(encoded, "is not allowed for the approval of a workflow step", "leave it out")
    command = DecideApproval(
        step_id=place.step_id or "",
        subject_sha256=body.subject_hash,
        approve=approve,
        by=call.who.subject,
        note=body.note,
    )
    return await plane.workflows.judge(place.workflow_run_id, command, call.who, OPERATION, meta, key)


async def answer_asks(plane: "ControlPlane", call: ApiCall[AnswersBody, NoQuery]) -> Reply:
    """Answer up to 100 asks, or reject the oldest 100 open asks of a filter. Each one succeeds or fails alone.

    A repeated idempotency key rejects the asks that the filter selected the first time, and no others.
    """
    answers, more, replayed = await _wanted(plane, call)
    items = [await _answered(plane, call, *answer) for answer in answers]
    data = AnsweredAsks(items=tuple(items), more=more or None)
    return Reply(data=data, position=plane.reader.head(), replayed=replayed)


Wanted = list[tuple[str, AskPlace | None, AnswerBody]]


async def _wanted(plane: "ControlPlane", call: ApiCall[AnswersBody, NoQuery]) -> tuple[Wanted, bool, bool]:
    """Return the asks to answer with their answers, whether the filter covers more, and whether a key replayed it.

    Raise ConfigError.
    """
    body, scope = call.body, call.scope
    if (body.items is None) == (body.filter is None):
        raise ConfigError.of("items", "either items or a filter is required", "one of the two")
    if body.items is not None:
        if body.option_id is not None or body.note is not None:
            raise ConfigError.of("optionId", "belongs to each item", "optionId and note in the items")
        given = body.items
        places = await _places(plane, [item.ask_id for item in given], scope)
        answers = [
            AnswerBody(subject_hash=item.subject_hash, option_id=item.option_id, note=item.note) for item in given
        ]
        return list(zip((item.ask_id for item in given), places, answers, strict=True)), False, False
    wanted = body.filter or AskFilter()
    if body.option_id not in REJECTING:
        raise ConfigError.of("optionId", "a filter only rejects", f"one of {', '.join(sorted(REJECTING))}")
    found, _ = await plane.read(
        VIEWS,
        plane.reader.head(),
        lambda rows: asks.open_places(rows, **msgspec.structs.asdict(wanted), scope=scope, limit=ITEMS_MAX + 1),
    )
    chosen = SelectedAsks(tuple(place.ask_id for place in found[:ITEMS_MAX]), len(found) > ITEMS_MAX)
    selected = await plane.answers.select(chosen, call.meta, call.key)
    rejections: Wanted = []
    for place in await _places(plane, selected.answer.ask_ids, scope):
        if place is not None:
            option = _rejecting(place.kind)
            answer = AnswerBody(subject_hash=place.subject_sha256, option_id=option, note=body.note)
            rejections.append((place.ask_id, place, answer))
    return rejections, selected.answer.more, selected.replayed


async def _places(plane: "ControlPlane", ask_ids: Sequence[str], scope: Scope | None) -> list[AskPlace | None]:
    """Return the place of each ask, None for those outside of the scope."""
    places, _ = await plane.read(
        VIEWS, plane.reader.head(), lambda rows: [asks.place_of(rows, ask_id, scope) for ask_id in ask_ids]
    )
    return places


def _rejecting(kind: AskKind) -> str:
    """Return the option that refuses an ask of a kind."""
    return {"tool-permission": "deny", "workflow-approval": "reject"}.get(kind, "decline")


async def _answered(
    plane: "ControlPlane", call: ApiCall[AnswersBody, NoQuery], ask_id: str, place: AskPlace | None, body: AnswerBody
) -> AnsweredAsk:
    """Answer one ask of several. Refusals count like refusals of requests."""
    subject, limits = call.who.subject, plane.refusal_limits
    key = None if call.key is None else call.key.of_item(ask_id)
    try:
        limits.check(subject, OPERATION)
        meta = msgspec.structs.replace(call.meta, quiet=limits.exhausted(subject))
        await _answer(plane, call, existing(place, "ask", ask_id), body, meta, key)
    except AthenaError as error:
        if error.recorded is not None:
            limits.refused(subject, OPERATION, recorded=error.recorded)
        return AnsweredAsk(ask_id=ask_id, status="failed", error=ItemError(code=error.code, message=error.message))
    return AnsweredAsk(ask_id=ask_id, status="answered")


def subjects(rows: Connection) -> SubjectReader:
    """Return the reader of texts to approve, for one answer."""
    return SubjectReader(rows, partial(runs.output_of, rows))


ANSWER_ERRORS = (
    *("NOT_FOUND", "CONFLICT", "ASK_DECIDED", "ASK_EXPIRED", "ASK_ENDED", "ASK_CHANGED", "ASK_NOT_EDITABLE"),
    "EXACT_NOT_OPENED",
    "PERMISSION_RULE_LIMIT",
)
row = Noun("asks", reads=VIEWS).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "asks.list",
        "GET /asks",
        list_asks,
        answer=Page[asks.Ask],
        paging="cursor",
        narrows={"sessions", "runs"},
        mcp="list_asks",
    ),
    row("asks.get", "GET /asks/:askId", get_ask, answer=asks.Ask, narrows={"sessions", "runs"}),
    row(
        "asks.answer",
        "POST /asks/:askId/answer",
        answer_ask,
        answer=asks.Ask,
        roles=EVERYBODY,
        errors=ANSWER_ERRORS,
        narrows={"sessions", "runs"},
        command="answer",
        mcp="answer_ask",
    ),
    row(
        "asks.answerAll",
        "POST /asks/answer",
        answer_asks,
        answer=AnsweredAsks,
        roles=EVERYBODY,
        narrows={"sessions", "runs"},
        command="asks answer-all",
    ),
)

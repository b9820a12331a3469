"""Read model of asks: the open and decided questions to people, of runs and of workflow runs.

A list of open asks reads an index, so its cost grows neither with events nor with other asks. The text that a workflow
approval is about is not stored here: the operation reads it from the outputs of the steps before the approval.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.definitions.workflow_graph import Approval
from athena_core.enums import ApproverRole, AskExpiry, AskOrigin
from athena_core.event import Value, says
from athena_core.outside_text import HiddenSpan, marked_form, visible_marks
from athena_core.protocols import Cell, Connection
from athena_core.text import ERASED
from athena_core.values import Identity, Role, Scope
from projections.ask_rows import ANSWER, ASK, COUNT, TEXT, AskChoice, AskCountRow, AskKind, AskRow, AskStatus
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import to_json
from projections.run_rows import RUN

T = TypeVar("T")

INPUT_CHARS_MAX = 100_000
"""Maximum number of characters of input values that are shown, as JSON."""
LIST_CHARS_MAX = 4_096
"""Maximum number of characters of a text of an ask in a list."""
OPTION_NAMES = {"approve": "Approve", "reject": "Reject"}
"""Names of the options of a workflow approval."""

TEXTS = tuple(TEXT.look_up(name, "ask.position") for name in TEXT.columns[1:])
ANSWERS = tuple(ANSWER.look_up(name, "ask.answer_position") for name in ANSWER.columns[2:])
WIDTH = len(ASK.columns)
RUN_STATUS = RUN.look_up("status", "ask.run_id")
ASK_COLUMNS = ", ".join(f"ask.{name}" for name in ASK.columns)
SELECT_WHOLE = f"SELECT {ASK_COLUMNS}, {RUN_STATUS}, {', '.join((*TEXTS, *ANSWERS))} FROM ask"
SELECT_CUT = (
    f"SELECT {ASK_COLUMNS}, {RUN_STATUS},"
    f" {', '.join(f'substr({text}, 1, {LIST_CHARS_MAX + 1})' for text in (*TEXTS, *ANSWERS))} FROM ask"
)
SELECT_INPUT = "SELECT given, redacted FROM ask_input WHERE workflow_run_id = ? ORDER BY position"
SELECT_OLDEST = "SELECT asked_at FROM ask WHERE status = 'open' ORDER BY position LIMIT 1"

REQUESTED = "ask.position IN (SELECT mine.position FROM ask_requester AS mine WHERE mine.requester = ?)"
STARTED = f"ask.kind IN ('question', 'choice') AND {REQUESTED}"
NOT_REQUESTED = f"(ask.not_requester = 0 OR NOT {REQUESTED})"
NOT_RESUMED = (
    "(ask.not_requester = 0 OR NOT EXISTS (SELECT 1 FROM ask_input AS given"
    " WHERE given.workflow_run_id = ask.workflow_run_id AND replace(given.requesters, ?, '') <> given.requesters))"
)
"""The condition that a name, as JSON, did not start or resume the workflow run that asks, if that matters."""
IS_APPROVER = "(ask.approvers IS NULL OR replace(ask.approvers, ?, '') <> ask.approvers)"
"""The condition that a name, as JSON, stands in the list."""


class Ask(Value):
    """A question to a person, open or decided.

    Of a run: ``arguments`` belong to the call, as JSON text, and ``form`` is a JSON Schema of ``values``. An
    ``editable`` ask takes other arguments. It is ``parked`` if the run gave its slot back and waits for the answer.
    ``requestedBy`` requested the run, the first one if there are more. ``credentials`` are the names of those that the
    call would carry.

    The texts are those that a person reads. ``hidden`` are the parts that they do not have, in the order of their marks
    in the texts: the length, and the SHA-256 of the salt and the part. Such an ask is allowed by a person only after
    ``?exact=true`` was read, which adds ``exact``: the arguments, or the question with its form, as JSON text.
    ``secrets`` are the names that stand in a text in place of secrets of Athena. A character that people cannot see
    stands as a mark such as ``[U+202E]``. ``subjectHash`` covers the exact text.

    Of a workflow approval: ``subject`` is the text to approve, the outputs of the steps before it, and ``input`` the
    input values of the workflow run. Both are absent once the run repeated such a step.

    ``truncated`` is true if a part is cut or left out; a list shows 4,096 characters of a text. ``redacted`` is true if
    a part was erased.
    """

    id: str
    kind: Annotated[AskKind, says("Kind of the ask.")]
    status: AskStatus
    question: Annotated[str, says("Text that a person decides about.")]
    subject_hash: str
    options: Annotated[tuple[AskChoice, ...], says("Possible answers.")]
    role: Annotated[ApproverRole, says("Least role that may decide; questions also take an answer of `requestedBy`.")]
    parked: Annotated[bool, says("True if the run gave its slot back to wait for the answer.")]
    editable: Annotated[bool, says("True if the call may be allowed with other arguments.")]
    asked_at: Annotated[str, says("When it was asked.")]
    session_id: Annotated[str | None, says("Session that asks; absent for a workflow.")] = None
    run_id: Annotated[str | None, says("Run that asks; absent for a workflow.")] = None
    harness_profile_id: str | None = None
    agent_name: str | None = None
    requested_by: Annotated[str | None, says("Identity that requested the run, the first one if there are more.")] = (
        None
    )
    origin: Annotated[AskOrigin | None, says("Who asks: the loop, an outside agent, or an MCP server or endpoint.")] = (
        None
    )
    turn: Annotated[int | None, says("Turn of the model that asks.")] = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    arguments: Annotated[str | None, says("Arguments of the call, as JSON text.")] = None
    form: Annotated[dict[str, Any] | None, says("JSON Schema of `values`; absent without a form.")] = None
    credentials: Annotated[
        tuple[str, ...] | None, says("Names of the credentials that the call would carry; absent: none.")
    ] = None
    hidden: Annotated[
        tuple[HiddenSpan, ...] | None, says("The parts that the shown texts do not have, in the order of their marks.")
    ] = None
    secrets: Annotated[tuple[str, ...] | None, says("Names that stand in a text in place of secrets of Athena.")] = None
    exact: Annotated[
        str | None, says("The exact arguments, or the question with its form, as JSON text; only with `exact=true`.")
    ] = None
    workflow_id: Annotated[str | None, says("Its workflow; absent for a run.")] = None
    workflow_run_id: Annotated[str | None, says("Workflow run that waits; absent for a run.")] = None
    step_id: Annotated[str | None, says("Step that waits; absent for a run.")] = None
    subject: Annotated[
        str | None, says("Text to approve: the outputs of the steps before; absent once they were replaced.")
    ] = None
    input: Annotated[dict[str, Any] | None, says("Input values of the workflow run; absent without any.")] = None
    approvers: tuple[str, ...] | None = None
    not_requester: bool | None = None
    expires_at: str | None = None
    on_expiry: Annotated[
        AskExpiry | None, says("Consequence of no answer in time: the call is refused, or the run is cancelled.")
    ] = None
    decided_at: Annotated[str | None, says("When it was decided, expired or was cancelled; absent while open.")] = None
    decided_by: Annotated[str | None, says("Identity that decided; absent while open and at its expiry.")] = None
    option_id: Annotated[str | None, says("Option that was chosen.")] = None
    rule_id: Annotated[str | None, says("Permission rule that decided.")] = None
    values: Annotated[dict[str, Any] | None, says("Answers to the form, by field.")] = None
    edited_arguments: Annotated[str | None, says("Arguments that were allowed instead, as JSON text.")] = None
    note: Annotated[str | None, says("Note of the decision; absent without one.")] = None
    truncated: Annotated[bool | None, says("True if a text is cut or left out; else absent.")] = None
    redacted: bool | None = None


class AskSubject(NamedTuple):
    """The approval of a step in its workflow, and the text to approve; None once it was replaced."""

    approval: Approval
    text: str | None
    truncated: bool
    redacted: bool


class AskPlace(NamedTuple):
    """The place of an ask: in a run, or in a step of a workflow run."""

    position: int
    ask_id: str
    kind: AskKind
    status: AskStatus
    subject_sha256: str
    session_id: str | None
    run_id: str | None
    workflow_run_id: str | None
    step_id: str | None


SubjectOf: TypeAlias = Callable[[str, str, str, int], AskSubject]
"""Returns the subject of an approval: of a workflow, its run, the step, and the time of the request."""

SELECT_PLACES = f"SELECT {', '.join(f'ask.{name}' for name in AskPlace._fields)} FROM ask"
OLDEST = Keyset(kind="asks", columns=(("position", "ask.position", int),), oldest_first=True)


def list_asks(
    connection: Connection,
    subject_of: SubjectOf,
    *,
    status: AskStatus | None = None,
    kind: AskKind | None = None,
    session_id: str | None = None,
    run_id: str | None = None,
    harness_profile_id: str | None = None,
    answerable_by: Identity | None = None,
    scope: Scope | None = None,
    cursor: str | None,
    limit: int,
) -> Page[Ask]:
    """Return a page of asks, oldest first. Workflow approvals have no session and no run, so a scope excludes them.

    With ``answerable_by``, only open asks that this identity may answer.
    """
    where = (
        ("ask.status = ?", status),
        *_filters(kind, session_id, run_id, harness_profile_id),
        *(() if answerable_by is None else _answerable(answerable_by)),
    )
    return OLDEST.page(
        connection,
        SELECT_CUT,
        where,
        within=_in_scope(scope),
        cursor=cursor,
        limit=limit,
        show=partial(_to_view, connection, subject_of, chars_max=LIST_CHARS_MAX),
    )


def ask_by_id(connection: Connection, subject_of: SubjectOf, ask_id: str, scope: Scope | None = None) -> Ask | None:
    """Return an ask that the scope covers."""
    show = partial(_to_view, connection, subject_of, chars_max=None)
    found = first(connection, f"{SELECT_WHOLE} WHERE ask.ask_id = ?", (ask_id,), show)
    return found if found is not None and _covers(scope, found.session_id, found.run_id) else None


def place_of(connection: Connection, ask_id: str, scope: Scope | None = None) -> AskPlace | None:
    """Return the place of an ask that the scope covers, open or decided."""
    found = first(connection, f"{SELECT_PLACES} WHERE ask.ask_id = ?", (ask_id,), _to_place)
    return found if found is not None and _covers(scope, found.session_id, found.run_id) else None


def open_places(
    connection: Connection,
    *,
    kind: AskKind | None = None,
    session_id: str | None = None,
    run_id: str | None = None,
    harness_profile_id: str | None = None,
    scope: Scope | None = None,
    limit: int,
) -> list[AskPlace]:
    """Return the places of the oldest open asks of a filter, within the scope."""
    where = (("ask.status = ?", "open"), *_filters(kind, session_id, run_id, harness_profile_id))
    within = _in_scope(scope)
    return OLDEST.page(connection, SELECT_PLACES, where, within=within, cursor=None, limit=limit, show=_to_place).items


def _filters(
    kind: AskKind | None, session_id: str | None, run_id: str | None, harness_profile_id: str | None
) -> Sequence[tuple[str, Cell]]:
    return (
        ("ask.kind = ?", kind),
        ("ask.session_id = ?", session_id),
        ("ask.run_id = ?", run_id),
        ("ask.harness_profile_id = ?", harness_profile_id),
    )


def _in_scope(scope: Scope | None) -> dict[str, frozenset[str] | None]:
    return {} if scope is None else {"ask.session_id": scope.sessions, "ask.run_id": scope.runs}


def _covers(scope: Scope | None, session_id: str | None, run_id: str | None) -> bool:
    """Return True if a scope covers an ask. One by session or run covers no workflow approvals."""
    if scope is None or (scope.sessions is None and scope.runs is None):
        return True
    return run_id is not None and scope.shows(session_id or "", run_id)


def _to_place(values: tuple[Any, ...]) -> AskPlace:
    return AskPlace(*values)


def open_asks(connection: Connection) -> dict[AskKind, int]:
    """Return the number of open asks of each kind that there ever was."""
    counts: list[AskCountRow] = [COUNT.load(values) for values in connection.execute(COUNT.scan)]
    return {row.kind: row.open for row in counts}


def oldest_open_ask(connection: Connection) -> int | None:
    """Return the time of the oldest open ask, in milliseconds since 1970 UTC."""
    for (asked_at,) in connection.execute(SELECT_OLDEST):
        return int(asked_at or 0)
    return None


def _answerable(who: Identity) -> Sequence[tuple[str, Cell]]:
    """Return the conditions that an identity may answer an open ask.

    It has the role, or it requested the run that asks a question. It is an approver, if the ask lists them, and did
    not request the run, if that is excluded. Only the order of an index decides the cost for operators; other
    identities find their own questions by another index.
    """
    name, listed = who.subject, to_json(who.subject)
    role: tuple[tuple[str, Cell], ...] = ()
    if who.role is Role.OPERATOR:
        role = ((f"(ask.role = 'Operator' OR {STARTED})", name),)
    elif who.role is not Role.ADMIN:
        role = ((REQUESTED, name), ("ask.kind <> ?", "tool-permission"))
    return (
        *(("ask.status = ?", "open"), (IS_APPROVER, listed), (NOT_REQUESTED, name), (NOT_RESUMED, listed)),
        *role,
    )


def _to_view(connection: Connection, subject_of: SubjectOf, values: tuple[Cell, ...], *, chars_max: int | None) -> Ask:
    row, (run_status, *cells) = ASK.load(values[:WIDTH]), values[WIDTH:]
    texts = _Texts(cells, chars_max)
    title, arguments, names, form, edited, given, note = texts.cells
    options = msgspec.json.decode(row.options, type=tuple[AskChoice, ...])
    fields: dict[str, Any] = {}
    erased = row.redacted
    if row.kind == "workflow-approval":
        fields, cut, subject_erased = _approval(connection, subject_of, row)
        truncated, erased = texts.truncated or cut, erased or subject_erased
        option_names: dict[str, str] = OPTION_NAMES
    else:
        truncated = texts.truncated
        listed = () if names is None else msgspec.json.decode(names, type=tuple[str, ...])
        option_names = dict(zip((option.id for option in options), map(visible_marks, listed), strict=False))
        fields = {"question": ERASED if title is None else visible_marks(title)}
    return Ask(
        id=row.ask_id,
        kind=row.kind,
        status=row.status,
        subject_hash=row.subject_sha256,
        options=tuple(AskChoice(id=one.id, kind=one.kind, name=option_names.get(one.id)) for one in options),
        role=row.role,
        parked=row.status == "open" and run_status == "paused",
        editable=row.kind == "tool-permission" and row.origin != "agent",
        asked_at=iso(row.asked_at),
        session_id=row.session_id,
        run_id=row.run_id,
        harness_profile_id=row.harness_profile_id,
        agent_name=row.agent_name,
        requested_by=row.requester,
        origin=row.origin,
        turn=row.turn,
        tool_call_id=row.tool_call_id,
        tool_name=row.tool_name,
        arguments=None if arguments is None else visible_marks(arguments),
        form=None if form is None else marked_form(msgspec.json.decode(form)),
        credentials=_list_of(row.credentials, str),
        hidden=_list_of(row.hidden, HiddenSpan),
        secrets=_list_of(row.secrets, str),
        workflow_id=row.workflow_id,
        workflow_run_id=row.workflow_run_id,
        step_id=row.step_id,
        approvers=_list_of(row.approvers, str),
        not_requester=row.not_requester or None,
        expires_at=iso_or_none(row.expires_at),
        on_expiry=row.on_expiry,
        decided_at=iso_or_none(row.decided_at),
        decided_by=row.decided_by,
        option_id=row.option_id,
        rule_id=row.rule_id,
        values=None if given is None else msgspec.json.decode(given),
        edited_arguments=edited,
        note=note,
        truncated=truncated or None,
        redacted=erased or None,
        **fields,
    )


def _list_of(text: str | None, kind: type[T]) -> tuple[T, ...] | None:
    return None if text is None else msgspec.json.decode(text, type=tuple[kind, ...])  # type: ignore[valid-type]


class _Texts:
    """The texts of an ask and its answer. Too long ones are cut, and JSON that is decoded is left out instead."""

    WHOLE = frozenset((2, 3, 5))
    """The places of the names of options, the form and the values."""

    def __init__(self, cells: Sequence[Cell], chars_max: int | None) -> None:
        self.truncated = False
        self.cells: list[str | None] = []
        for place, cell in enumerate(cells):
            text = None if cell is None else str(cell)
            if chars_max is not None and text is not None and len(text) > chars_max:
                self.truncated = True
                text = None if place in self.WHOLE else text[:chars_max]
            self.cells.append(text)


def _approval(connection: Connection, subject_of: SubjectOf, row: AskRow) -> tuple[dict[str, Any], bool, bool]:
    """Return the fields of a workflow approval, True if a part is cut, and True if a part was erased."""
    assert row.workflow_id is not None
    assert row.workflow_run_id is not None
    assert row.step_id is not None
    subject = subject_of(row.workflow_id, row.workflow_run_id, row.step_id, row.asked_at)
    given, cut, erased = (None, False, False) if subject.text is None else _input(connection, row.workflow_run_id)
    question = subject.approval.message or f"Approve step {row.step_id!r}?"
    shown = None if subject.text is None else visible_marks(subject.text)
    fields = {"question": visible_marks(question), "subject": shown, "input": given}
    return fields, subject.truncated or cut, subject.redacted or erased


def _input(connection: Connection, run_id: str) -> tuple[dict[str, Any] | None, bool, bool]:
    """Return the input values of a workflow run, True if they are too long, and True if some were erased."""
    values: dict[str, Any] = {}
    chars, erased = 0, False
    for text, redacted in connection.execute(SELECT_INPUT, (run_id,)):
        erased = erased or bool(redacted)
        if text is None:
            continue
        chars += len(str(text))
        if chars > INPUT_CHARS_MAX:
            return None, True, erased
        values |= msgspec.json.decode(str(text))
    return values or None, False, erased

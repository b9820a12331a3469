"""Redaction: erases the texts of people, models and tools; the facts stay, and the chain still verifies."""

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from typing import Any, NamedTuple

import msgspec
from anyio import to_thread
from msgspec.structs import replace

from athena_core.decider import Context, Outcome, Reader, facts_of
from athena_core.domain import (
    dead_letter,
    directive,
    message,
    permission_rule,
    plane,
    queue,
    review,
    run,
    schedule,
    workflow_run,
    workspace,
)
from athena_core.errors import NotFound
from athena_core.event import Meta, Position
from athena_core.log.codec import MOVED_WORDS, Codec, public_words
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.erasure.erasure import TextTrace

BATCH = 200
PAGE_ROWS = 500
SEARCH_ROWS = 20_000
"""Rows that one statement searches for copies."""

COPY_CHARS_MIN = 12
"""Shorter texts are not searched elsewhere: too many events contain them by chance."""

NAMING = frozenset({"workflowStepId", "personaName"})
"""Fields of texts that hold names, which public payloads repeat by contract. A text with a blank is searched."""

NO_TEXT = re.compile(
    r"[a-z]+_[0-9A-HJKMNP-TV-Z]{26}"  # an id
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z"  # a time
    r"|Allow [\w-]+\?|\[exit status -?\d+\]\s*|Attached as '[^']*'\.|Wrote \d+ bytes to \S+\."
    r"|it (?:holds|contains) no JSON object|This run has no tool '[^']*': [^\n]*"
    r"|MCP server \S+ has changed \S+, or added it, [^\n]*"
)
"""What Athena writes into texts, the same in every session. Arguments, labels and output are texts of their own."""

COPIES_OF_MAX, COPIES_MAX = 100, 100
"""The most texts that are searched elsewhere, and the most copies that are named."""

TOGETHER = 1_000
"""How many events before a run's first one may belong to the transaction that started it, such as its batch of work."""

IN_THE_CHAIN = "it cannot be removed, because it is part of the chain"
RUN_ID = re.compile(rb"run_\w+")
AROUND = (
    *(workflow_run.WorkflowStepFailed.TYPE, schedule.ScheduleRunFailed.TYPE, queue.WorkBatchStarted.TYPE),
    *(queue.WorkBatchReturned.TYPE, queue.WorkBatchDeadLettered.TYPE, queue.WorkDrainFailed.TYPE),
    *(dead_letter.DeadLetterAdded.TYPE, message.MessageFailed.TYPE),
)
"""Event types in other streams that repeat an error of a run, or name the items that it was given."""


class ErasableText(NamedTuple):
    """The text to erase: the rows, the parts in public payloads that cannot be erased, and earlier erasures.

    ``workspaces`` are the ids of workspaces that may hold it: those that the runs worked in, if they are not cleaned.
    ``agent_sessions`` are the sessions whose outside agents may hold it in their home.
    """

    rows: tuple[Row, ...]
    public: tuple[TextTrace, ...]
    erased: frozenset[Position]
    workspaces: tuple[str, ...] = ()
    agent_sessions: tuple[str, ...] = ()

    @property
    def positions(self) -> list[Position]:
        """The positions of the rows, in order."""
        return [row.position for row in self.rows]


def text_of_run(reader: StoreReader, codec: Codec, run_id: str) -> ErasableText:
    """Find the text of a run: in its events, input and review, and where its errors are repeated. Raise NotFound."""
    rows = reader.stream(run_id)
    if not rows or not run.DECIDER.owns(run_id):
        raise NotFound(f"no run {run_id!r} exists")
    workspaces, sessions = _workspaces(reader, codec, rows), _agent_sessions(rows)
    rows += [*_shadow_directives(reader, codec, rows), *reader.stream(review.PREFIX + run_id)]
    rows += _permission_rules(reader, run_id, rows[0].position)
    text = _erasable([*rows, *_repeated_errors(reader, codec, rows)])
    return text._replace(workspaces=workspaces, agent_sessions=sessions)


def text_of_session(reader: StoreReader, codec: Codec, session_id: str) -> ErasableText:
    """Find the text of all runs of a session, and of everything else in it. Raise NotFound."""
    rows = list(reader.session(session_id, reader.head() + 1))
    if not rows:
        raise NotFound(f"no session {session_id!r} exists")
    text = _erasable([*rows, *_shadow_directives(reader, codec, rows), *_repeated_errors(reader, codec, rows)])
    workspaces = _workspaces(reader, codec, rows, workspace.place_of("session", session_id))
    return text._replace(workspaces=workspaces, agent_sessions=_agent_sessions(rows))


def text_of_event(reader: StoreReader, codec: Codec, position: Position) -> ErasableText:
    """Find the text of one event. Raise NotFound."""
    row = reader.row(position)
    if row is None:
        raise NotFound(f"no event exists at position {position}")
    of_run = reader.stream(row.stream) if run.DECIDER.owns(row.stream) else []
    return _erasable([row])._replace(workspaces=_workspaces(reader, codec, of_run))


def _workspaces(reader: StoreReader, codec: Codec, rows: Iterable[Row], place: str | None = None) -> tuple[str, ...]:
    """Return the workspaces that these rows opened, and the one at ``place``, without cleaned ones."""
    active = {owner: str(value[0]) for _, owner, value in reader.guards(workspace.WORKSPACE_GUARD)}
    events = (codec.decode(row, text=False).event for row in rows if row.type == run.WorkspaceOpened.TYPE)
    opened = {event.workspace_id for event in events if isinstance(event, run.WorkspaceOpened)}
    return tuple(sorted(name for owner, name in active.items() if name in opened or owner == place))


def _agent_sessions(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the sessions in which an outside agent took up one of the runs of these rows."""
    found = {row.session_id for row in rows if row.type == run.AgentAttached.TYPE}
    return tuple(sorted(session_id for session_id in found if session_id is not None))


def _shadow_directives(reader: StoreReader, codec: Codec, rows: Iterable[Row]) -> list[Row]:
    """Return the events of directives that were made from plain input."""
    directives: dict[str, list[Row]] = {}
    for row in rows:
        event = codec.decode(row, text=False).event
        if isinstance(event, run.RunCreated | run.RunQueued) and event.directive_id not in directives:
            made = reader.stream(event.directive_id)
            first = codec.decode(made[0], text=False).event if made else None
            shadow = isinstance(first, directive.DirectiveCreated) and first.shadow
            directives[event.directive_id] = made if shadow else []
    return [row for made in directives.values() for row in made]


def _permission_rules(reader: StoreReader, run_id: str, position: Position) -> Iterator[Row]:
    """Yield the permission rules that answers to asks of a run created. They repeat a call of the run."""
    head = reader.head()
    while page := reader.of_types((permission_rule.PermissionRuleCreated.TYPE,), position, head, PAGE_ROWS):
        yield from (row for row in page if row.run_id == run_id)
        position = page[-1].position


def _repeated_errors(reader: StoreReader, codec: Codec, rows: Sequence[Row]) -> Iterator[Row]:
    """Find rows of other streams that repeat text of runs: their errors, items and messages."""
    runs = {row.stream.encode() for row in rows if run.DECIDER.owns(row.stream)}
    position, head = max(min(row.position for row in rows) - TOGETHER, 0), reader.head()
    while runs and (page := reader.of_types(AROUND, position, head, PAGE_ROWS)):
        for row in page:
            if runs.isdisjoint(RUN_ID.findall(row.data)):
                continue
            yield row
            event = codec.decode(row, text=False).event
            if isinstance(event, queue.WorkBatchStarted):
                yield from _items(reader, codec, row, event.item_ids)
        position = page[-1].position


def _items(reader: StoreReader, codec: Codec, batch: Row, item_ids: Sequence[str]) -> Iterator[Row]:
    for row in reader.stream(batch.stream, 0, batch.version):
        event = codec.decode(row, text=False).event if row.type == queue.WorkEnqueued.TYPE else None
        if isinstance(event, queue.WorkEnqueued) and event.item_id in item_ids:
            yield row
            if event.message_id is not None:
                yield from reader.stream(event.message_id, 0, 1)


def _erasable(rows: Iterable[Row]) -> ErasableText:
    by_position = dict(sorted((row.position, row) for row in rows))
    public = [_public(row, names) for row in by_position.values() if (names := public_words(row))]
    erased = (row.position for row in by_position.values() if row.text is None and row.text_hash is not None)
    return ErasableText(
        tuple(row for row in by_position.values() if row.text is not None), tuple(public), frozenset(erased)
    )


def _public(row: Row, names: Sequence[str]) -> TextTrace:
    return TextTrace(
        place=_place_of(row.position),
        reason=f"release 0.1 recorded {', '.join(names)} of {row.type} in the public payload",
        remedy=IN_THE_CHAIN,
    )


async def redact(
    log: Log, reader: StoreReader, text: ErasableText, reason: str, meta: Meta
) -> tuple[Position, tuple[TextTrace, ...]]:
    """Erase texts, and record each erasure as ``payload.redacted``.

    Return the position of the last erasure, and the events that still repeat a text erased now or before.
    """
    begun = reader.head()
    copies = copies_of(reader, text.rows, 0, begun, named=text.public)
    done = await _erase(log, text.positions, reason, meta, copies)
    done = await note_late(log, text.rows, begun, done, meta)
    return done, tuple(remaining_copies(reader, noted_copies(reader, log.codec, text.erased.union(text.positions))))


async def note_late(log: Log, rows: Sequence[Row], begun: Position, done: Position, meta: Meta) -> Position:
    """Record copies of erased texts that were written after the search for copies, including in the reason itself.

    ``begun`` is where the search ended, ``done`` the position of the erasure. Return the position of the last record.
    """

    def find() -> Copies:
        with closing(log.reader()) as reader:
            return copies_of(reader, rows, begun, done)

    late = await to_thread.run_sync(find)
    if late.positions or late.public:
        done = await _erase(log, [rows[0].position], None, meta, late)
    return done


async def _erase(log: Log, positions: Sequence[Position], reason: str | None, meta: Meta, copies: "Copies") -> Position:
    done = log.signal.position
    for start in range(0, len(positions), BATCH):
        targets = tuple(positions[start : start + BATCH])

        def erase(reader: Reader, context: Context, targets: tuple[Position, ...] = targets) -> Outcome:
            first = copies.noted(plane.PayloadRedacted(target=targets[0], note=reason))
            events = (first, *(plane.PayloadRedacted(target=target, note=reason) for target in targets[1:]))
            return Outcome(facts=facts_of(plane.STREAM, events), erase=targets)

        done = (await log.submit(erase, meta)).position
    return done


def workspaces_left(text: ErasableText) -> tuple[TextTrace, ...]:
    """Return the workspaces that may hold a text, after the erasure of an event, which cleans none."""
    reason = "the run of the event worked there, and files may repeat the text"
    return tuple(
        TextTrace(place=workspace_id, reason=reason, remedy=f"athena workspaces clean {workspace_id}")
        for workspace_id in text.workspaces
    )


# Copies elsewhere


class Copies(NamedTuple):
    """The events that repeat texts, in their text or public payload; ``more`` means that there are others."""

    positions: tuple[Position, ...]
    public: tuple[Position, ...]
    more: bool

    def noted(self, event: plane.PayloadRedacted) -> plane.PayloadRedacted:
        """Return the event with the positions of the copies, so that later commands find them without the text."""
        return replace(event, copies=self.positions or None, public=self.public or None, more=self.more or None)


def copies_of(
    reader: StoreReader, rows: Sequence[Row], after: Position, head: Position, named: Iterable[TextTrace] = ()
) -> Copies:
    """Find the events with ``after < position <= head`` that contain a text of the rows.

    Texts under ``COPY_CHARS_MIN`` characters are not searched. Public payloads in ``named`` are left out.
    """
    wanted = _shortest(rows)
    places: dict[Position, bool] = {}
    for words in wanted[:COPIES_OF_MAX]:
        for start in range(after, head, SEARCH_ROWS):
            for position, public in reader.holding(words, start, min(start + SEARCH_ROWS, head)):
                places[position] = public or places.get(position, False)
    texts = sorted(places.keys() - {row.position for row in rows})
    known = {one.place for one in named}
    payloads = sorted(position for position, public in places.items() if public and _place_of(position) not in known)
    more = len(wanted) > COPIES_OF_MAX or max(len(texts), len(payloads)) > COPIES_MAX
    return Copies(tuple(texts[:COPIES_MAX]), tuple(payloads[:COPIES_MAX]), more)


def _place_of(position: Position) -> str:
    return f"position {position}"


def noted_copies(reader: StoreReader, codec: Codec, erased: AbstractSet[Position]) -> Copies:
    """Return the copies that were recorded when these positions were erased."""
    texts: set[Position] = set()
    payloads: set[Position] = set()
    more = False
    position, head = 0, reader.head()
    commands: dict[str, plane.PayloadRedacted] = {}
    while rows := reader.of_types((plane.PayloadRedacted.TYPE,), position, head, PAGE_ROWS):
        for row in rows:
            event = codec.decode(row, text=False).event
            assert isinstance(event, plane.PayloadRedacted)
            first = commands.setdefault(row.command_id, event)
            if event.target in erased:
                texts.update(first.copies or ())
                payloads.update(first.public or ())
                more = more or bool(first.more)
        commands = {rows[-1].command_id: commands[rows[-1].command_id]}
        position = rows[-1].position
    return Copies(tuple(sorted(texts)), tuple(sorted(payloads)), more)


def remaining_copies(reader: StoreReader, copies: Copies) -> Iterator[TextTrace]:
    """Yield the copies that still exist, including those that cannot be erased."""
    for position in copies.public:
        reason = "its public payload repeats an erased text"
        yield TextTrace(place=_place_of(position), reason=reason, remedy=IN_THE_CHAIN)
    for position in copies.positions:
        row = reader.row(position)
        if row is not None and row.text is not None:
            remedy = f"athena redact --position {position}"
            yield TextTrace(place=_place_of(position), reason="it repeats an erased text", remedy=remedy)
    if copies.more:
        reason = f"more than {COPIES_OF_MAX} texts were erased at once, or more than {COPIES_MAX} events repeat them"
        yield TextTrace(place="log", reason=reason, remedy="redact other runs that may repeat them")


def _shortest(rows: Iterable[Row]) -> list[bytes]:
    """Return the texts of rows as JSON string contents, without texts that contain another one."""
    values = {value for row in rows for value in _strings(msgspec.json.decode(row.text or b"{}"))}
    kept: list[str] = []
    for value in sorted((one for one in values if len(one) >= COPY_CHARS_MIN), key=len):
        if not any(one in value for one in kept[:COPIES_OF_MAX]):
            kept.append(value)
    return [msgspec.json.encode(value)[1:-1] for value in kept]


def _strings(value: Any, name: str = "") -> Iterator[str]:
    """Yield the texts of people, models and programs in a row's text: no salts, and nothing that Athena gave."""
    match value:
        case str() if not name.lower().endswith("salt") and NO_TEXT.fullmatch(value) is None:
            if name not in NAMING or " " in value:
                yield value
        case list():
            for one in value:
                yield from _strings(one, name)
        case dict():
            for key, one in value.items():
                yield from _strings(one, str(key))


def count_public_words(reader: StoreReader) -> dict[str, int]:
    """Count the free words in public payloads of the whole log, by type and field. Raise ValueError for damage."""
    counts: dict[str, int] = {}
    position, head = 0, reader.head()
    types = tuple({kind for kind, _ in MOVED_WORDS})
    while rows := reader.of_types(types, position, head, PAGE_ROWS):
        for row in rows:
            for name in public_words(row):
                counts[f"{row.type}.{name}"] = counts.get(f"{row.type}.{name}", 0) + 1
        position = rows[-1].position
    return dict(sorted(counts.items()))

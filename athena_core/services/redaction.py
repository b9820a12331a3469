"""Redaction: what people, models and tools wrote is erased; the facts stay, and the chain still verifies."""

from collections.abc import Iterable, Sequence

from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import directive, persona, plane, run
from athena_core.errors import NotFound
from athena_core.event import Fact, Meta, Position
from athena_core.protocols import Row
from athena_core.store.codec import Codec
from athena_core.store.log import Log
from athena_core.store.port import StoreReader

BATCH = 200


def text_of_run(reader: StoreReader, codec: Codec, run_id: str) -> list[Position]:
    """Find a run's text: in its events, in the directive made of its input, in its review. Raises NotFound."""
    rows = reader.stream(run_id)
    if not rows or not run_id.startswith("run_"):
        raise NotFound(f"no run {run_id!r} exists")
    return sorted(_erasable([*rows, *_shadows(reader, codec, rows), *reader.stream(persona.PREFIX + run_id)]))


def text_of_session(reader: StoreReader, codec: Codec, session_id: str) -> list[Position]:
    """The same of all runs of a session, and of what else belongs to it. Raises NotFound."""
    rows = list(reader.session(session_id, reader.head() + 1))
    if not rows:
        raise NotFound(f"no session {session_id!r} exists")
    return sorted(_erasable([*rows, *_shadows(reader, codec, rows)]))


def text_of_event(reader: StoreReader, position: Position) -> list[Position]:
    """The text of one event, if it is still there. Raises NotFound."""
    row = reader.row(position)
    if row is None:
        raise NotFound(f"there is no event at position {position}")
    return _erasable([row])


def _shadows(reader: StoreReader, codec: Codec, rows: Iterable[Row]) -> list[Row]:
    """The directives that were made of plain input."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        event = codec.decode(row, text=False).event
        if isinstance(event, run.RunCreated | run.RunQueued) and event.directive_id not in found:
            made = reader.stream(event.directive_id)
            first = codec.decode(made[0], text=False).event if made else None
            shadow = isinstance(first, directive.DirectiveCreated) and first.shadow
            found[event.directive_id] = made if shadow else []
    return [row for made in found.values() for row in made]


def _erasable(rows: Iterable[Row]) -> list[Position]:
    return [row.position for row in rows if row.text is not None]


async def redact(log: Log, positions: Sequence[Position], reason: str, meta: Meta) -> Position:
    """Erase these texts, each recorded as ``payload.redacted``; the position after which it is done."""
    done = log.signal.position
    for start in range(0, len(positions), BATCH):
        targets = tuple(positions[start : start + BATCH])

        def erase(reader: Reader, context: Context, targets: tuple[Position, ...] = targets) -> Outcome:
            events = (plane.PayloadRedacted(target=target, note=reason) for target in targets)
            return Outcome(facts=tuple(Fact(stream=plane.STREAM, event=event) for event in events), erase=targets)

        done = (await log.submit(erase, meta)).position
    return done

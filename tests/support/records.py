"""The log of a state directory without a server: to write events that have no route, and to judge it."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Outcome, Transaction, category
from athena_core.domain import DECIDERS, EVENTS, plane, policy, run
from athena_core.event import Event, Fact, Guard, Meta, Recorded
from athena_core.log.chain import verify
from athena_core.log.codec import Codec
from athena_core.log.engine import open_store
from athena_core.log.guards import Guards
from athena_core.log.writer import Log
from athena_core.protocols import LogReader, Row
from athena_core.services.proof import verify as proof
from athena_core.services.proof.rules import Rules
from athena_core.settings import load
from projections.engine import replay

CODEC = Codec(EVENTS)
META = Meta(actor="test", correlation="00000000-0000-4000-8000-000000000000")


@contextmanager
def opened_log(state_dir: Path, url: str = "") -> Iterator[Log]:
    ids = SystemIds()
    log = Log(open_store(state_dir, url or None, ids), CODEC, DECIDERS, clock=SystemClock(), ids=ids)
    log.start()
    try:
        yield log
    finally:
        log.close()


def put_filler(state_dir: Path, count: int, url: str = "") -> None:
    """Append events that concern no run."""

    fact = Fact(stream=plane.STREAM, event=plane.AuthzModeActive(mode="off"))
    with opened_log(state_dir, url) as log:
        for size in [1000] * (count // 1000) + [count % 1000]:
            log.submit_in_thread(_always(Outcome(facts=(fact,) * size)), META)


def _always(outcome: Outcome) -> Transaction:
    return lambda reader, context: outcome


@contextmanager
def wired(state_dir: Path, url: str = "") -> Iterator[ControlPlane]:
    """Yield the parts of a plane on which nothing runs."""
    environment = {"ATHENA_STATE_DIR": str(state_dir), "ATHENA_DATABASE_URL": url}
    parts = wire(load(environment, state_dir), SystemClock(), SystemIds())
    try:
        yield parts
    finally:
        parts.close()


def judge(state_dir: Path, url: str = "") -> None:
    """Fail unless the log proves itself, its history obeys all rules of verify, and the views equal a replay."""
    with wired(state_dir, url) as parts, closing(parts.log.reader()) as reader:
        rows = all_rows(reader)
        judge_rows(rows)
        rules = Rules()
        flaws = [flaw for row in rows for flaw in rules.look(row, CODEC.decode(row).event)]
        assert not flaws, flaws
        guards = stored_guards(rows)
        assert guards == reader.guards()
        for kind in {guard[0] for guard in guards}:
            assert [guard for guard in guards if guard[0] == kind] == reader.guards(kind)
        if parts.views.generations.current() is not None:  # a server may stop before it has made any
            unequal = [verdict for verdict in replay.verify(parts.views) if not verdict.equal]
            assert not unequal, unequal


def verified(state_dir: Path, url: str = "") -> proof.VerifyReport:
    """Return the report about the log of a stopped plane, on files or in a database."""
    with wired(state_dir, url) as parts, closing(parts.log.reader()) as reader:
        meta = {"log_id": parts.log.log_id, "format": "1"}
        *_, last = proof.verify(reader, CODEC, SystemClock(), meta=meta, keys=reader.keys())
    assert last.report is not None
    return last.report


def all_rows(reader: LogReader) -> list[Row]:
    """Return every row; a reader ends a page of large rows early."""
    rows: list[Row] = []
    while page := reader.rows(len(rows), 2**62):
        rows += page
    return rows


def judge_rows(rows: Sequence[Row]) -> None:
    """Fail unless the rows prove themselves and obey the rules."""
    for _ in verify(rows):
        pass
    judge_history([CODEC.decode(row) for row in rows])


def stored_guards(rows: Sequence[Row]) -> list[tuple[str, str, tuple[str | int, ...]]]:
    """Return the guard rows that follow from the history, oldest first."""
    return [(kind, key, value) for _, kind, key, value in guard_rows(rows)]


def guard_rows(rows: Sequence[Row]) -> list[tuple[int, str, str, tuple[str | int, ...]]]:
    """Return the guard rows, each after the position that it comes from."""
    guards = Guards()
    since: dict[tuple[str, str], int] = {}
    for row in rows:
        for guard in guards_of(CODEC.decode(row)):
            if guards.apply(guard):
                since[guard.kind, guard.key] = row.position
    kinds = {kind for kind, _ in since}
    return sorted((since[kind, key], kind, key, value) for kind in kinds for key, value in guards.of(kind).items())


BY_CATEGORY = {decider.category: decider for decider in DECIDERS}


def guards_of(recorded: Recorded[Event]) -> tuple[Guard, ...]:
    decider = BY_CATEGORY.get(category(recorded.stream))
    return () if decider is None else decider.guards(recorded)


OPENING = (run.RunQueued, run.RunCreated)
REFUSAL = ["policy.concurrency.rejected", "safety.violation", "policy.rejected"]
LATE = {"run.cancel.requested"}
AFTER_A_PAUSE = {"run.resumed", "run.cancelled", "run.answered", "run.ask.opened", "run.requeued"}


def judge_history(history: Sequence[Recorded[Event]]) -> None:
    """Fail unless every run, session, slot and command keeps the promises."""
    limit: int | None = None
    keys: dict[tuple[str, str | None], int] = {}
    places: dict[str, tuple[str, ...]] = {}
    slots: set[str] = set()
    turns: dict[str, str] = {}
    streams: dict[str, list[str]] = {}
    asked: set[str] = set()
    commands: dict[str, int] = {}
    for one in history:
        event, place = one.event, f"position {one.position}"
        assert one.position == commands.get(one.command_id, one.position - 1) + 1, f"{place}: a command in two parts"
        commands[one.command_id] = one.position
        if isinstance(event, policy.PolicyUpdated):
            limit = event.after.max_concurrent_runs
            keys = {(limited.scope, limited.key): limited.max for limited in event.after.limits or ()}
        if not one.stream.startswith("run_"):
            continue
        before = streams.setdefault(one.stream, [])
        ended = any(kind in run.STATUS_OF_ENDING for kind in before)
        assert before[:1] != REFUSAL[2:], f"{place}: {one.type} after {one.stream} was refused"
        assert not ended or one.type in LATE, f"{place}: {one.type} after the end of {one.stream}"
        before.append(one.type)
        if isinstance(event, run.RunCreated | run.RunResumed):
            slots.add(one.stream)
            assert limit is None or len(slots) <= limit, f"{place}: {len(slots)} runs, {limit} allowed"
            if isinstance(event, run.RunCreated):
                places[one.stream] = event.places
            for name in places[one.stream] if keys else ():
                scope, key = name.split(":") if ":" in name else ("session", name)
                most = keys.get((scope, key), keys.get((scope, None)))
                active = sum(name in places[held] for held in slots)
                assert most is None or active <= most, f"{place}: {active} runs of {name}, {most} allowed"
        if isinstance(event, run.RunPaused):
            slots.discard(one.stream)
        if isinstance(event, run.RunCreated):
            holder = turns.setdefault(event.session_id, one.stream)
            assert holder == one.stream, f"{place}: {holder} still has the session"
        if isinstance(event, run.RunCancelRequested) and event.status == "cancelled":
            asked.add(one.stream)
        if one.type in run.STATUS_OF_ENDING:
            assert one.type != "run.completed" or one.stream not in asked, f"{place}: completed after its cancel"
            slots.discard(one.stream)
            if turns.get(one.session_id or "") == one.stream:
                del turns[one.session_id or ""]
    for stream, kinds in streams.items():
        judge_run(stream, kinds)


def judge_run(run_id: str, kinds: Sequence[str]) -> None:
    """Fail unless the events of one run are in a possible order."""
    if kinds[0] in REFUSAL:
        assert kinds in (REFUSAL, REFUSAL[2:]), (run_id, kinds)
        return
    assert kinds[0] in {"run.queued", "run.created"}, (run_id, kinds)
    order = ["run.queued", "run.created", "run.leased", "run.started"]
    places = [kinds.index(kind) for kind in order if kind in kinds]
    assert places == sorted(places), (run_id, kinds)
    assert all(kinds.count(kind) <= 1 for kind in order[:2]), (run_id, kinds)
    assert sum(kind in run.STATUS_OF_ENDING for kind in kinds) <= 1, (run_id, kinds)
    steps = [kind for kind in kinds if kind not in REFUSAL and kind not in LATE]
    for kind, following in pairwise(steps):
        assert kind != "run.leased" or following == "run.started", (run_id, kinds)
        assert kind != "run.paused" or following in AFTER_A_PAUSE, (run_id, kinds)

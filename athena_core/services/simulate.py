"""The simulation: what the recorded requests for runs would have met under another policy.

``Collector`` reads requests from the log; ``simulate`` is a pure function of them. Runs take the time and the money
that they took; those that were refused take what half of their template's, else of their profile's, else of all runs
took (decisions E44). Nothing is changed. What people would have done otherwise (cancelled, asked again) is not guessed.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import median_low
from typing import NamedTuple, Protocol

from athena_core.domain import policy, run, template
from athena_core.event import Event, Position, Recorded, Value
from athena_core.protocols import Decode, LogReader, Row
from athena_core.store.codec import at_of
from athena_core.values import MICRO_USD

REQUESTS_MAX = 10_000
EVENTS_MAX = 500_000
PAGE_EVENTS = 1_000
ROWS_MAX = 50
CLIENTS_CHOICE = "lock-acquisition-failed"
"""The reason of refusals that a client chose with its session strategy, whatever the policy."""

FLEET = ""


class Request(Value):
    """A run that somebody asked for: ``refused`` is the recorded reason, if it was; times in ms, money in micro-USD.

    ``duration_ms`` is how long it held a slot; of a run that has not ended, so far.
    """

    run_id: str
    at: int
    places: tuple[str, ...]
    profile: str
    provider: str
    template: str | None = None
    refused: str | None = None
    ended: bool = True
    duration_ms: int = 0
    cost_micro_usd: int = 0


class Share(Value):
    """The part of a change that falls on one session, profile, template or rule."""

    name: str
    runs: int
    cost_usd: float


class Change(Value):
    """Runs that would have met something else; of each kind the 50 with most runs."""

    runs: int
    cost_usd: float
    by_session: tuple[Share, ...]
    by_profile: tuple[Share, ...]
    by_template: tuple[Share, ...]
    by_reason: tuple[Share, ...]


class Counts(Value):
    """What became of the requests; ``costUsd`` is that of the runs that were admitted."""

    admitted: int
    refused: int
    cost_usd: float


class Verdict(Value):
    """What one request met and would have met: the reason and the rule of a refusal, or whether it would wait."""

    run_id: str
    waited: bool
    recorded: str | None = None
    simulated: str | None = None


class Simulation(Value):
    """The requests since a position, as they were decided and as another policy would have decided them.

    ``truncated`` tells that there were more than 10,000 requests or 500,000 events: ``to`` says how far it came.
    ``estimated`` counts the newly allowed runs whose time and cost are half-way values of runs like them; ``waited``
    those that the other policy would have let wait. ``run`` is there where one was asked for that is among them.
    """

    since: Position
    to: Position
    truncated: bool
    requests: int
    recorded: Counts
    simulated: Counts
    waited: int
    newly_rejected: Change
    newly_allowed: Change
    estimated: int
    run: Verdict | None = None


# From events to requests


class Course:
    """A run as it is read."""

    def __init__(self, run_id: str, at: int, request: run.RunRequest | None) -> None:
        """It was asked for."""
        self.run_id = run_id
        self.at = at
        self.request = request
        self.template: str | None = None
        self.refusal: run.PolicyRejected | None = None
        self.admitted = False
        self.ended = False
        self.since: int | None = None
        self.held = 0
        self.cost = 0

    def take(self, recorded: Recorded[Event]) -> None:
        """Take an event of the run in."""
        match recorded.event:
            case run.RunQueued() as event:
                self.request = event
            case run.RunCreated() as event:
                self.request, self.admitted, self.since = event, True, recorded.at
            case run.RunResumed():
                self.since = recorded.at
            case template.RunTemplateRun() as event:
                self.template = event.run_template_id
            case run.UsageRecorded() as event:
                self.cost += max(event.cost_micro_usd or 0, 0)
            case run.PolicyRejected() as event:
                self.refusal = event if self.request is None else None  # else a resume was refused
            case run.RunPaused():
                self.stop(recorded.at)
            case _ if recorded.type in run.ENDING_TYPES:
                self.stop(recorded.at)
                self.ended = True

    def stop(self, now: int) -> None:
        """Its slot is free."""
        if self.since is not None:
            self.held += max(now - self.since, 0)
            self.since = None

    def told(self, now: int) -> Request | None:
        """The request, as it is known at a time; None for what is no request."""
        refusal, request = self.refusal, self.request
        if request is not None:
            held = self.held + (max(now - self.since, 0) if self.since is not None else 0)
            return Request(
                run_id=self.run_id,
                at=self.at,
                places=request.places,
                profile=request.harness_profile_id,
                provider=request.provider,
                template=self.template,
                ended=self.ended,
                duration_ms=held,
                cost_micro_usd=self.cost,
            )
        if refusal is None:
            return None
        profile, provider = refusal.harness_profile_id or "", refusal.provider
        named = profile if profile.startswith("hp_") else None
        return Request(
            run_id=self.run_id,
            at=self.at,
            places=run.places_of(refusal.rejection.rejected_run_details.session_id, named, provider, None),
            profile=profile,
            provider=provider or "",
            template=refusal.run_template_id,
            refused=refusal.rejection.reason,
        )


class Source(LogReader, Protocol):
    """The log, and the guards beside it."""

    def stream(self, stream: str) -> list[Row]:
        """The rows of a stream."""

    def guards(self) -> list[tuple[str, str, tuple[str | int, ...]]]:
        """All guard rows."""


class Collector:
    """The requests for runs since a position, and the runs that were open there, in the order of their arrival."""

    def __init__(self, log: Source, decode: Decode, since: Position) -> None:
        """Begin after a position."""
        self._log = log
        self._decode = decode
        self._since = since
        self.position = since
        self.truncated = False
        self._courses: dict[str, Course] = {}
        self._now = 0
        row = log.row(since) if since else None
        self._start = at_of(row) if row is not None else 0

    def collect(self) -> list[Request]:
        """All of them, as far as the limits allow."""
        head, requests = self._log.head(), 0
        while self.position < head and not self.truncated:
            for row in self._log.rows(self.position, PAGE_EVENTS, head):
                begins = row.version == 1 and row.stream.startswith("run_")
                if (begins and requests == REQUESTS_MAX) or row.position - self._since > EVENTS_MAX:
                    self.truncated = True
                    break
                requests += begins
                self.position, self._now = row.position, at_of(row)
                if row.stream.startswith("run_"):
                    self._take(row)
        for kind, run_id, _ in self._log.guards() if not self.truncated else ():
            if kind in {"slot", "waiting"} and run_id not in self._courses:
                self._open_before(run_id)
        found = [course.told(self._now) for course in self._courses.values()]
        return sorted((one for one in found if one is not None), key=lambda one: one.at)

    def _take(self, row: Row) -> None:
        course = self._courses.get(row.stream)
        if course is None:
            course = self._begin(row) if row.version == 1 else self._open_before(row.stream)
        course.take(self._decode(row, text=False))

    def _begin(self, row: Row) -> Course:
        course = self._courses[row.stream] = Course(row.stream, at_of(row), None)
        return course

    def _open_before(self, run_id: str) -> Course:
        """A run that was asked for before: it is there from the start, and what it cost before is no part of this."""
        course = self._courses[run_id] = Course(run_id, self._start, None)
        for row in self._log.stream(run_id):
            if row.position > self._since:
                break
            course.take(self._decode(row, text=False))
        if course.ended or course.refusal is not None:
            course.request = course.refusal = None
        course.cost = course.held = 0
        course.since = None if course.since is None else self._start
        return course


# From requests to what they would have met


class Decided(NamedTuple):
    """What a request met: the rule that refused it, or whether it waited."""

    refused: str | None
    waited: bool


class Fleet:
    """The runs of a simulation: who has a slot, who waits for what, what the day has cost."""

    def __init__(self, limits: policy.PolicyState) -> None:
        """Nothing runs."""
        self._limits = limits
        self._active: Counter[str] = Counter()
        self._running = 0
        self._ends: list[tuple[int, int, Request]] = []
        self._lines: dict[str, list[tuple[int, Request]]] = defaultdict(list)
        self._waiting: Counter[str] = Counter()
        self._spent: Counter[str] = Counter()
        self._number = 0

    def decide(self, request: Request) -> Decided:
        """Have a run ask for admission, after all that ended before it (the order is that of ``admission.admit``)."""
        self._go_to(request.at)
        self._number += 1
        budget, most = self._limits.daily_budget_micro_usd, self._limits.max_concurrent_runs
        if budget is not None and self._spent[run.day_of(request.at)] >= budget:
            return Decided("policy.costBudgetDailyUsd", waited=False)
        if most is not None and self._running >= most:
            return Decided("policy.maxConcurrentRuns", waited=False)
        for place in request.places:
            limit = self._limits.limit(place)
            if limit is not None and limit.strategy == "reject" and self._active[place] >= limit.max:
                return Decided(f"policy.limits {place}", waited=False)
        session = request.places[0]
        blocked = session if self._waiting[session] else self._blocked(request)
        if blocked is None:
            self._admit(request, self._number, request.at)
            return Decided(None, waited=False)
        heapq.heappush(self._lines[blocked], (self._number, request))
        self._waiting[session] += 1
        return Decided(None, waited=True)

    def _blocked(self, request: Request) -> str | None:
        """What keeps a run from being admitted: its session, a place whose limit is reached, the fleet."""
        for place in request.places:
            if self._full(place):
                return place
        return FLEET if self._full(FLEET) else None

    def _full(self, place: str) -> bool:
        if place == FLEET:
            most = self._limits.max_concurrent_runs
            return most is not None and self._running >= most
        limit = self._limits.limit(place)
        if limit is not None and self._active[place] >= limit.max:
            return True
        return ":" not in place and self._active[place] > 0  # a session has one run at a time

    def _admit(self, request: Request, number: int, at: int) -> None:
        self._running += 1
        self._active.update(request.places)
        heapq.heappush(self._ends, (at + request.duration_ms, number, request))

    def _go_to(self, now: int) -> None:
        """Let everything end that has ended by a time, and whoever waits go on."""
        while self._ends and self._ends[0][0] <= now:
            at, _, ended = heapq.heappop(self._ends)
            self._running -= 1
            self._active.subtract(ended.places)
            self._spent[run.day_of(at)] += ended.cost_micro_usd
            self._wake((*ended.places, FLEET), at)

    def _wake(self, freed: Iterable[str], at: int) -> None:
        """Admit the oldest waiters that only waited for what was freed; the others go on to wait for something else."""
        lines = tuple(dict.fromkeys(freed))
        while True:
            ready = [place for place in lines if self._lines.get(place) and not self._full(place)]
            if not ready:
                return
            line = self._lines[min(ready, key=lambda place: self._lines[place][0][0])]
            number, request = heapq.heappop(line)
            blocked = self._blocked(request)
            if blocked is None:
                self._waiting[request.places[0]] -= 1
                self._admit(request, number, at)
            else:
                heapq.heappush(self._lines[blocked], (number, request))


def estimate(requests: Sequence[Request]) -> list[Request]:
    """The requests, those that were refused with the time and cost that half of the runs like them had."""
    known: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for one in requests:
        if one.refused is None and one.ended:
            for kin in _kin(one):
                known[kin].append(one)

    def like(one: Request) -> Request:
        found = next((known[kin] for kin in _kin(one) if kin in known), None)
        if one.refused is None or not found:
            return one
        fields = {name: getattr(one, name) for name in Request.__struct_fields__}
        fields["duration_ms"] = median_low(other.duration_ms for other in found)
        fields["cost_micro_usd"] = median_low(other.cost_micro_usd for other in found)
        return Request(**fields)

    return [like(one) for one in requests]


def _kin(one: Request) -> tuple[tuple[str, str], ...]:
    """What a run is like, the nearest first."""
    by_template = () if one.template is None else (("template", one.template),)
    return (*by_template, ("profile", one.profile), ("provider", one.provider), ("all", ""))


def simulate(
    requests: Sequence[Request],
    limits: policy.PolicyState,
    since: Position,
    to: Position,
    *,
    truncated: bool,
    run_id: str | None = None,
) -> Simulation:
    """What requests, in the order of their arrival, would have met under other limits; ``run_id`` names one of them."""
    verdict: Verdict | None = None
    fleet = Fleet(limits)
    rejected: list[tuple[Request, str]] = []
    allowed: list[tuple[Request, str]] = []
    taken: list[Request] = []
    waited = 0
    for request in estimate(requests):
        choice = request.refused == CLIENTS_CHOICE
        decided = Decided(CLIENTS_CHOICE, waited=False) if choice else fleet.decide(request)
        waited += decided.waited
        if request.run_id == run_id:
            verdict = Verdict(run_id=run_id, waited=decided.waited, recorded=request.refused, simulated=decided.refused)
        if decided.refused is None:
            taken.append(request)
            if request.refused is not None:
                allowed.append((request, request.refused))
        elif request.refused is None:
            rejected.append((request, decided.refused))
    admitted = [request for request in requests if request.refused is None]
    return Simulation(
        since=since,
        to=to,
        truncated=truncated,
        requests=len(requests),
        recorded=_counts(requests, admitted),
        simulated=_counts(requests, taken),
        waited=waited,
        newly_rejected=_change(rejected),
        newly_allowed=_change(allowed),
        estimated=len(allowed),
        run=verdict,
    )


def _counts(requests: Sequence[Request], admitted: Sequence[Request]) -> Counts:
    return Counts(
        admitted=len(admitted), refused=len(requests) - len(admitted), cost_usd=_dollars(one for one in admitted)
    )


def _change(runs: Sequence[tuple[Request, str]]) -> Change:
    return Change(
        runs=len(runs),
        cost_usd=_dollars(one for one, _ in runs),
        by_session=_shares((one.places[0], one) for one, _ in runs),
        by_profile=_shares((one.profile, one) for one, _ in runs),
        by_template=_shares((one.template, one) for one, _ in runs if one.template is not None),
        by_reason=_shares((reason, one) for one, reason in runs),
    )


def _shares(named: Iterable[tuple[str, Request]]) -> tuple[Share, ...]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for name, one in named:
        groups[name].append(one)
    most = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))[:ROWS_MAX]
    return tuple(Share(name=name, runs=len(ones), cost_usd=_dollars(ones)) for name, ones in most)


def _dollars(requests: Iterable[Request]) -> float:
    return sum(one.cost_micro_usd for one in requests) / MICRO_USD

"""Rules of reviews: each is repaired once at most and ends once, after its run."""

from athena_core.domain import review, run
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.log import LogRules
from athena_core.services.proof.rules.run import RunRules

EVENTS = review.DECIDER.events


class ReviewRules(RuleSet):
    """The reviews before an event, and the runs of those that have not ended."""

    def __init__(self, log: LogRules, runs: RunRules) -> None:
        """Begin without reviews."""
        self._log = log
        self._runs = runs
        self._states: dict[str, review.ReviewState] = {}
        self._reviewing: dict[str, str] = {}
        """The runs of reviews, by which persona."""

    @rule(*EVENTS, run.RunCreated, run.RunQueued)
    def reviews(self, row: Row, event: Event) -> str | None:
        """A review is repaired once and ends once, after its run; its run is a new one, of its persona."""
        if isinstance(event, run.RunCreated | run.RunQueued):
            wanted = self._reviewing.get(row.stream, event.persona_name)
            if event.persona_name == wanted:
                return None
            return f"{row.stream} is a run of {event.persona_name or 'nobody'} in a review of {wanted}"
        known = self._states.get(row.stream, review.DECIDER.initial)
        key = row.stream.removeprefix(review.PREFIX)
        match event:
            case review.PersonaRunRepairRequested():
                legal, new = known.status == "running" and not known.repaired, event.repair_run_id
            case review.PersonaRunCompleted():
                legal, new = known.status == "running", ""
            case _:
                legal, new = not known.status, key
        waits_for = known.run_id or key
        if not legal:
            repaired = " and was repaired" if known.repaired else ""
            return f"{row.type} of {row.stream}, which is {known.status or 'new'}{repaired}"
        if known.status and (waits_for not in self._log.versions or waits_for in self._runs.open):
            return f"{row.type} of {row.stream}, whose run {waits_for} has not ended"
        if new in self._log.versions and not isinstance(event, review.PersonaRunFailed):
            return f"{row.type} of {row.stream} with the run {new}, which had been there before"
        return None

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        """Take an event in."""
        known = self._states.get(row.stream, review.DECIDER.initial)
        match event:
            case review.PersonaRunStarted():
                self._reviewing[row.stream.removeprefix(review.PREFIX)] = event.persona_name
            case review.PersonaRunRepairRequested():
                self._reviewing[event.repair_run_id] = event.persona_name
            case review.PersonaRunCompleted():
                for run_id in (row.stream.removeprefix(review.PREFIX), known.run_id):
                    self._reviewing.pop(run_id, None)
        self._states[row.stream] = review.evolve(known, event)

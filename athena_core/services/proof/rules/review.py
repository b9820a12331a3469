"""Rules of reviews: each is repaired at most once, and ends once, after its run."""

from athena_core.domain import review, run
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.log import LogRules
from athena_core.services.proof.rules.run import RunRules

EVENTS = review.DECIDER.events


class ReviewRules(RuleSet):
    """The reviews before an event, and the runs of open reviews."""

    def __init__(self, log: LogRules, runs: RunRules) -> None:
        self._log = log
        self._runs = runs
        self._states: dict[str, review.ReviewState] = {}
        self._reviewing: dict[str, str] = {}
        """The runs of open reviews, with their personas."""

    @rule(*EVENTS, run.RunCreated, run.RunQueued)
    def reviews(self, row: Row, event: Event) -> str | None:
        """A review is repaired at most once and ends once, after its run; its runs are new, and of its persona."""
        if isinstance(event, run.RunCreated | run.RunQueued):
            wanted = self._reviewing.get(row.stream, event.persona_name)
            if event.persona_name == wanted:
                return None
            return f"{row.stream} belongs to a review by {wanted}, but its persona is {event.persona_name or 'not set'}"
        state = self._states.get(row.stream, review.DECIDER.initial)
        key = row.stream.removeprefix(review.PREFIX)
        match event:
            case review.PersonaRunRepairRequested():
                legal, new = state.status == "running" and not state.repaired, event.repair_run_id
            case review.PersonaRunCompleted():
                legal, new = state.status == "running", ""
            case _:
                legal, new = not state.status, key
        waits_for = state.run_id or key
        if not legal:
            repaired = " and was repaired" if state.repaired else ""
            return f"{row.type} of {row.stream}, which is {state.status or 'new'}{repaired}"
        if state.status and (waits_for not in self._log.versions or waits_for in self._runs.open):
            return f"{row.type} of {row.stream}, whose run {waits_for} has not ended"
        if new in self._log.versions and not isinstance(event, review.PersonaRunFailed):
            return f"{row.type} of {row.stream} with the run {new}, which already existed"
        return None

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        state = self._states.get(row.stream, review.DECIDER.initial)
        match event:
            case review.PersonaRunStarted():
                self._reviewing[row.stream.removeprefix(review.PREFIX)] = event.persona_name
            case review.PersonaRunRepairRequested():
                self._reviewing[event.repair_run_id] = event.persona_name
            case review.PersonaRunCompleted():
                for run_id in (row.stream.removeprefix(review.PREFIX), state.run_id):
                    self._reviewing.pop(run_id, None)
        self._states[row.stream] = review.evolve(state, event)

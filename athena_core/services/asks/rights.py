"""The right to answer an ask."""

from athena_core.decider import Reader
from athena_core.domain import run, schedule, workflow_run
from athena_core.values import Identity, Role


def may_answer(ask: run.RunAsked, who: Identity, requested_by: frozenset[str]) -> bool:
    """Return True if an identity may answer an ask.

    Tool permissions need the role of the ask (Operator by default). Questions may also be answered by who requested
    the run. ``approvers`` and ``not_requester`` narrow both.
    """
    if is_excluded(ask, who.subject, requested_by):
        return False
    if who.role.reaches(Role(ask.role or Role.OPERATOR)):
        return True
    return ask.kind != "tool-permission" and who.subject in requested_by and who.role is not Role.NONE


def is_excluded(ask: run.RunAsked, subject: str, requested_by: frozenset[str]) -> bool:
    """Return True if an identity may not answer an ask, whatever its role is."""
    if ask.not_requester and subject in requested_by:
        return True
    return ask.approvers is not None and subject not in ask.approvers


def requesters(reader: Reader, run_id: str, actor: str) -> frozenset[str]:
    """Return who requested a run.

    Runs of releases before 0.3 do not record it. Theirs are ``actor``, the actor of the first event of the run, and who
    started its workflow run, or the present author of its schedule.
    """
    request = reader.state(run.DECIDER, run_id).request
    if request is not None and request.requesters is not None:
        return frozenset(request.requesters)
    found = {actor}
    step = reader.guards("step").get(run_id)
    if step is not None:
        found.update(reader.state(workflow_run.DECIDER, str(step[0])).requesters)
    scheduled = reader.guards("scheduled").get(run_id)
    if scheduled is not None:
        found.add(reader.state(schedule.DECIDER, schedule.stream(str(scheduled[0]))).updated_by or "")
    return frozenset(found)

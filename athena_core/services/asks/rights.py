"""The right to answer an ask."""

from athena_core.decider import Reader
from athena_core.domain import run, schedule, workflow_run
from athena_core.values import Identity, Role


def may_answer(ask: run.RunAsked, who: Identity, started_by: frozenset[str]) -> bool:
    """Return True if an identity may answer an ask.

    Tool permissions need the role of the ask (Operator by default). Questions may also be answered by who started the
    run. ``approvers`` and ``not_requester`` narrow both.
    """
    if is_excluded(ask, who.subject, started_by):
        return False
    if who.role.reaches(Role(ask.role or Role.OPERATOR)):
        return True
    return ask.kind != "tool-permission" and who.subject in started_by and who.role is not Role.NONE


def is_excluded(ask: run.RunAsked, subject: str, started_by: frozenset[str]) -> bool:
    """Return True if an identity may not answer an ask, whatever its role is."""
    if ask.not_requester and subject in started_by:
        return True
    return ask.approvers is not None and subject not in ask.approvers


def requesters(reader: Reader, run_id: str, actor: str) -> frozenset[str]:
    """Return who started a run: its caller, who started its workflow run, or the author of its schedule.

    ``actor`` is the actor of the first event of the run.
    """
    found = {actor}
    step = reader.guards("step").get(run_id)
    if step is not None:
        found |= reader.state(workflow_run.DECIDER, str(step[0])).requesters
    scheduled = reader.guards("scheduled").get(run_id)
    if scheduled is not None:
        found.add(reader.state(schedule.DECIDER, schedule.stream(str(scheduled[0]))).updated_by or "")
    return frozenset(found)

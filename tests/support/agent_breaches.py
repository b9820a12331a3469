"""Logs that break one rule of outside agents each."""

from collections.abc import Callable

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event, Position
from tests.support.events.agent import AGENT_CALLED, ATTACHED, CREATED_FOR_AGENT
from tests.support.events.run import CALLED, COMPLETED, CREATED, LEASED, RESULT, STARTED, TAKEN
from tests.support.forged_log import Forge

Breach = tuple[Callable[[Forge], None], str, Position | None, str]

STARTED_AGAIN = run.RunStarted(attempt=2)


def _working(forge: Forge, *events: Event, created: run.RunCreated = CREATED_FOR_AGENT) -> None:
    forge.add("run_1", created, LEASED, STARTED, *events)


def legal(forge: Forge) -> None:
    """Write a run of an agent that a second executor takes over."""
    again = replace(ATTACHED, how="resumed")
    _working(forge, ATTACHED, AGENT_CALLED, RESULT, TAKEN, STARTED_AGAIN, again, replace(AGENT_CALLED, turn=2), RESULT)
    forge.add("run_1", COMPLETED)


def attached_without_an_agent(forge: Forge) -> None:
    _working(forge, ATTACHED, created=CREATED)


def attached_another_agent(forge: Forge) -> None:
    _working(forge, replace(ATTACHED, agent="claude"))


def attached_in_another_mode(forge: Forge) -> None:
    _working(forge, replace(ATTACHED, mode="auto"))


def called_before_the_agent(forge: Forge) -> None:
    _working(forge, AGENT_CALLED)


def called_before_the_agent_was_back(forge: Forge) -> None:
    _working(forge, ATTACHED, TAKEN, STARTED_AGAIN, AGENT_CALLED)


def called_by_an_agent_of_no_profile(forge: Forge) -> None:
    _working(forge, AGENT_CALLED, created=CREATED)


def called_by_the_loop(forge: Forge) -> None:
    _working(forge, ATTACHED, CALLED)


def called_as_repeatable(forge: Forge) -> None:
    _working(forge, ATTACHED, replace(AGENT_CALLED, repeatable=True))


AGENT_BREACHES: tuple[Breach, ...] = (
    (attached_without_an_agent, "agents", 4, "by the agent codex; its profile names None"),
    (attached_another_agent, "agents", 4, "by the agent claude; its profile names codex"),
    (attached_in_another_mode, "agents", 4, "in the mode auto; its profile names ask"),
    (called_before_the_agent, "agents", 4, "before an agent took up the run"),
    (called_before_the_agent_was_back, "agents", 7, "before an agent took up the run"),
    (called_by_an_agent_of_no_profile, "agents", 4, "has origin agent; its agent is None"),
    (called_by_the_loop, "agents", 5, "has origin None; its agent is codex"),
    (called_as_repeatable, "agents", 5, "of an agent has no kind, or may be repeated"),
)

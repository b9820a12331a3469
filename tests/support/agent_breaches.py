"""Logs that break one rule of outside agents each."""

from collections.abc import Callable

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event, Position
from athena_core.values import Usage
from tests.support.events.agent import (
    AGENT_ALLOWED,
    AGENT_ASKED,
    AGENT_CALLED,
    AGENT_PERMITTED,
    ATTACHED,
    CREATED_FOR_AGENT,
)
from tests.support.events.run import CALLED, COMPLETED, CREATED, LEASED, PAID, RESULT, STARTED, TAKEN
from tests.support.forged_log import Forge

Breach = tuple[Callable[[Forge], None], str, Position | None, str]

STARTED_AGAIN = run.RunStarted(attempt=2)


def _working(forge: Forge, *events: Event, created: run.RunCreated = CREATED_FOR_AGENT) -> None:
    forge.add("run_1", created, LEASED, STARTED, *events)


def legal(forge: Forge) -> None:
    """Write a run of an agent with a permission and calls of models, that a second executor takes over."""
    again = replace(ATTACHED, how="resumed")
    first, second, third = (replace(PAID, turn=turn) for turn in (1, 2, 3))
    _working(forge, ATTACHED, first, AGENT_ASKED, AGENT_ALLOWED, AGENT_PERMITTED, RESULT)
    later = replace(AGENT_CALLED, turn=2, tool_call_id="call_2"), replace(RESULT, tool_call_id="call_2")
    forge.add(
        "run_1",
        replace(second, failed=True),
        second,
        TAKEN,
        STARTED_AGAIN,
        again,
        *later,
        third,
        replace(COMPLETED, usage=Usage(total_tokens=12)),
    )


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


def allowed_as_another_kind(forge: Forge) -> None:
    _working(forge, ATTACHED, AGENT_ASKED, AGENT_ALLOWED, replace(AGENT_PERMITTED, kind="edit"))


AGENT_BREACHES: tuple[Breach, ...] = (
    (attached_without_an_agent, "agents", 4, "by the agent codex; its profile names None"),
    (attached_another_agent, "agents", 4, "by the agent claude; its profile names codex"),
    (attached_in_another_mode, "agents", 4, "in the mode auto; its profile names ask"),
    (called_before_the_agent, "agents", 4, "before an agent took up the run"),
    (called_before_the_agent_was_back, "agents", 7, "before an agent took up the run"),
    (called_by_an_agent_of_no_profile, "agents", 4, "has origin agent; its agent is None"),
    (called_by_the_loop, "agents", 5, "has origin None; its agent is codex"),
    (allowed_as_another_kind, "permitted", 7, "which is about another call"),
    (called_as_repeatable, "agents", 5, "of an agent has no kind, or may be repeated"),
)

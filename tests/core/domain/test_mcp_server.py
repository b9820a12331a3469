"""Tests of the decider of MCP servers: a list is recorded if it differs, and accepted as it was seen."""

import pytest

from athena_core.clock import CountingIds
from athena_core.decider import Context
from athena_core.domain.mcp_server import (
    DECIDER,
    LISTINGS_MAX,
    AcceptTools,
    HashedTool,
    McpServerAccepted,
    McpServerListed,
    McpServerState,
    NoteListing,
    decide,
    evolve,
    listing_sha256,
)
from athena_core.errors import ConfigError, McpListingChanged, NotFound
from athena_core.event import Event, Meta

CONTEXT = Context(now=0, ids=CountingIds(), meta=Meta(actor="ada", correlation="c"))


def listed(version: str = "2026-07-28", **tools: str) -> McpServerListed:
    hashed = tuple(HashedTool(name=name, sha256=sha256) for name, sha256 in tools.items())
    return McpServerListed(server="git", protocol_version=version, tools=hashed, definitions="[]", server_info="{}")


def accept(state: McpServerState, *names: str) -> tuple[Event, ...]:
    seen = listing_sha256(state.listed.tools if state.listed else ())
    return decide(AcceptTools(server="git", listing_sha256=seen, by="ada", names=names or None), state, CONTEXT)


def after(*events: Event) -> McpServerState:
    state = McpServerState()
    for event in events:
        state = evolve(state, event)
    return state


def test_the_first_list_is_accepted() -> None:
    state = after(listed(log="1", push="2"))
    assert state.accepted == {"log": "1", "push": "2"}
    assert state.listed is not None and state.listed.definitions is None
    assert after(listed(log="1"), listed(log="2", push="1")).accepted == {"log": "1"}


def test_only_another_list_is_recorded() -> None:
    state = after(listed(log="1", push="2"))
    assert decide(NoteListing(listed=listed(push="2", log="1")), state, CONTEXT) == ()
    for other in (listed(log="1"), listed(log="1", push="3"), listed("2025-11-25", log="1", push="2")):
        assert decide(NoteListing(listed=other), state, CONTEXT) == (other,)
    assert decide(NoteListing(listed=listed(log="1", push="2"), again=True), state, CONTEXT) != ()


def test_a_server_that_always_lists_something_else_fills_no_log() -> None:
    state = after(*(listed(log=str(number)) for number in range(LISTINGS_MAX)))
    assert decide(NoteListing(listed=listed(log="new")), state, CONTEXT) == ()
    assert decide(NoteListing(listed=listed(log="new"), limited=False), state, CONTEXT) != ()
    (accepted,) = accept(state)
    assert decide(NoteListing(listed=listed(log="new")), evolve(state, accepted), CONTEXT) != ()


def test_all_or_some_tools_are_accepted() -> None:
    state = after(listed(log="1", push="1", gone="1"), listed(log="2", push="2", new="1"))
    (every,) = accept(state)
    assert isinstance(every, McpServerAccepted)
    assert every.tools == {"log": "2", "push": "2", "new": "1"}
    (some,) = accept(state, "log")
    assert isinstance(some, McpServerAccepted)
    assert some.tools == {"log": "2", "push": "1", "gone": "1"}
    assert accept(evolve(state, every)) == ()
    assert accept(evolve(state, every), "log") == ()


def test_what_was_not_seen_is_not_accepted() -> None:
    state = after(listed(log="1"))
    with pytest.raises(McpListingChanged):
        decide(AcceptTools(server="git", listing_sha256="00", by="ada"), state, CONTEXT)
    with pytest.raises(ConfigError) as refused:
        accept(state, "log", "absent")
    assert "tools[1]" in str(refused.value.details)
    with pytest.raises(NotFound):
        accept(McpServerState())


def test_events_of_other_servers_and_of_any_order_do_not_raise() -> None:
    accepted = McpServerAccepted(server="git", tools={"log": "1"}, by="ada")
    assert after(accepted).accepted == {"log": "1"}
    assert DECIDER.category == "mcp"
    assert DECIDER.owns("mcp:git")

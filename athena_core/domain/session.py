"""The session: the conversation that runs belong to."""

from typing import ClassVar

from athena_core.decider import Context, Decider
from athena_core.event import Event, Shows, Value

# Stored events. Their TYPE is storage: never rename one.


class SessionCreated(Event):
    """A session exists: its first run was accepted."""

    TYPE: ClassVar[str] = "session.created"
    SHOWS: ClassVar[Shows] = Shows()
    session_id: str


# State


class SessionState(Value):
    """Whether the session exists."""

    exists: bool = False


def evolve(state: SessionState, event: Event) -> SessionState:
    """Follow one event."""
    match event:
        case SessionCreated():
            return SessionState(exists=True)
        case _:
            return state


# Commands


class OpenSession(Value):
    """Create the session unless it exists."""

    session_id: str


def decide(command: OpenSession, state: SessionState, context: Context) -> tuple[Event, ...]:
    """Create it once."""
    return () if state.exists else (SessionCreated(session_id=command.session_id),)


def stream(session_id: str) -> str:
    """The stream of a session (its id is the client's, so a prefix outside its alphabet keeps it apart)."""
    return "session:" + session_id


DECIDER: Decider[SessionState] = Decider(
    category="session", events=(SessionCreated,), initial=SessionState(), evolve=evolve
)

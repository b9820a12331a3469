"""The session: the conversation that runs belong to."""

from typing import ClassVar

from athena_core.decider import Context, Decider
from athena_core.event import Event, Shows, Value

# Stored events. Their TYPE is storage: never rename one.


class SessionCreated(Event):
    """A session was created with its first accepted run."""

    TYPE: ClassVar[str] = "session.created"
    SHOWS: ClassVar[Shows] = Shows()
    session_id: str


# State


class SessionState(Value):
    """The existence of a session."""

    exists: bool = False


def evolve(state: SessionState, event: Event) -> SessionState:
    match event:
        case SessionCreated():
            return SessionState(exists=True)
        case _:
            return state


# Commands


class OpenSession(Value):
    """Create the session if it does not exist."""

    session_id: str


def decide(command: OpenSession, state: SessionState, context: Context) -> tuple[Event, ...]:
    return () if state.exists else (SessionCreated(session_id=command.session_id),)


def stream(session_id: str) -> str:
    """Return the stream of a session. The prefix keeps client-chosen ids apart from other streams."""
    return "session:" + session_id


DECIDER: Decider[SessionState] = Decider(
    category="session", events=(SessionCreated,), initial=SessionState(), evolve=evolve
)

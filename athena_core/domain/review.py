"""The persona run: a review of what changed between two commits, by a model that plays a persona."""

from typing import Annotated, ClassVar, Literal

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.event import EXTRA, Event, Guard, Recorded, Shows, Text, Value
from athena_core.values import PersonaStdout, PinnedScope, Usage

MergeGate = Literal["pass", "fail"]
PREFIX = "persona:"
FOLDER = "persona-runs"
"""The directory below the state directory with the files of reviews, one folder for each run."""


class PersonaArtifacts(Value):
    """The files that a review left: below the state directory, written ``.athena`` here, and in the workspace."""

    audit_dir: str
    result_json_path: str
    report_markdown_path: str
    out_json_path: str | None = None
    out_markdown_path: str | None = None


# Stored events. Their TYPE is storage: never rename one.


class PersonaRunStarted(Event):
    """A review began; the run that was admitted with it has the id of the stream. ``prepared`` is what it was shown."""

    TYPE: ClassVar[str] = "persona.run.started"
    SHOWS: ClassVar[Shows] = Shows()
    persona_name: str
    repo_path: str
    head_ref: str
    base_ref: str
    base_ref_resolved_from: Literal["flag", "main", "origin-head"]
    head_commit: str
    base_commit: str
    files: int
    requested_by: str
    stdout: PersonaStdout
    harness_profile_id: str | None = None
    provider: str | None = None
    model: str | None = None
    out_json_path: str | None = None
    out_markdown_path: str | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    prepared: Text = None


class PersonaRunRepairRequested(Event):
    """The answer could not be read; the model is asked once more, in another run."""

    TYPE: ClassVar[str] = "persona.run.repair-requested"
    SHOWS: ClassVar[Shows] = Shows()
    persona_name: str
    repair_run_id: str
    problem: Text = None


class PersonaRunCompleted(Event):
    """A review ended: with findings, or without an answer that could be read (``failed``). Findings by priority."""

    TYPE: ClassVar[str] = "persona.run.completed"
    SHOWS: ClassVar[Shows] = Shows()
    persona_name: str
    status: Literal["ok", "failed"]
    merge_gate: MergeGate
    p1: int
    p2: int
    p3: int
    repaired: bool
    artifacts: PersonaArtifacts
    provider: str | None = None
    model: str | None = None
    usage: Usage | None = None
    result: Text = None


class PersonaRunFailed(Event):
    """A review did not begin."""

    TYPE: ClassVar[str] = "persona.run.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(views="it never began, and its caller has the error; the feed is where it is read")
    persona_name: str
    repo_path: str
    head_ref: str
    base_ref: str | None = None
    error_text: Text = None


# State


class ReviewState(Value):
    """Where the review is, and which run it waits for."""

    status: Literal["", "running", "ended"] = ""
    run_id: str = ""
    repaired: bool = False


def evolve(state: ReviewState, event: Event) -> ReviewState:
    """Follow one event."""
    match event:
        case PersonaRunStarted():
            return replace(state, status="running")
        case PersonaRunRepairRequested():
            return replace(state, run_id=event.repair_run_id, repaired=True)
        case PersonaRunCompleted() | PersonaRunFailed():
            return replace(state, status="ended")
        case _:
            return state


# Guards: ``review`` by the id of a review that has not ended, with the run that it waits for.


def _started_guards(recorded: Recorded[PersonaRunStarted]) -> tuple[Guard, ...]:
    key = recorded.stream.removeprefix(PREFIX)
    return (Guard(kind="review", key=key, value=(key,)),)


def _repair_guards(recorded: Recorded[PersonaRunRepairRequested]) -> tuple[Guard, ...]:
    key = recorded.stream.removeprefix(PREFIX)
    return (Guard(kind="review", key=key, value=(recorded.event.repair_run_id,)),)


def _completed_guards(recorded: Recorded[PersonaRunCompleted]) -> tuple[Guard, ...]:
    return (Guard(kind="review", key=recorded.stream.removeprefix(PREFIX), value=None),)


# Commands: each is the event that follows where it still can.


ReviewCommand = PersonaRunStarted | PersonaRunRepairRequested | PersonaRunCompleted | PersonaRunFailed


def decide(command: ReviewCommand, state: ReviewState, context: Context) -> tuple[Event, ...]:
    """A review begins once, is repaired once and ends once."""
    match command:
        case PersonaRunStarted() | PersonaRunFailed():
            return () if state.status else (command,)
        case PersonaRunRepairRequested():
            return (command,) if state.status == "running" and not state.repaired else ()
        case PersonaRunCompleted():
            return (command,) if state.status == "running" else ()


def stream(run_id: str) -> str:
    """The stream of a review: that of its first run has the same id, and is another."""
    return PREFIX + run_id


DECIDER: Decider[ReviewState] = Decider(
    category="persona",
    events=(PersonaRunStarted, PersonaRunRepairRequested, PersonaRunCompleted, PersonaRunFailed),
    initial=ReviewState(),
    evolve=evolve,
    occupies={
        PersonaRunStarted: _started_guards,
        PersonaRunRepairRequested: _repair_guards,
        PersonaRunCompleted: _completed_guards,
    },
)

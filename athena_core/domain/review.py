"""The persona run: a review of the changes between two commits by a model in the role of a persona."""

from typing import Annotated, ClassVar, Literal

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.enums import MergeGate, PersonaStdout
from athena_core.event import EXTRA, Event, Guard, Recorded, Shows, Text, Value, says
from athena_core.values import PinnedScope, Usage

PREFIX = "persona:"
FOLDER = "persona-runs"
"""Directory in the state directory with the files of reviews, one folder per run."""


class PersonaArtifacts(Value):
    """The files of a review, in the state directory (written as ``.athena``) and in the workspace."""

    audit_dir: Annotated[str, says("Directory of the review in the state directory.")]
    result_json_path: Annotated[str, says("Where the result is stored.")]
    report_markdown_path: Annotated[str, says("Where the report is stored.")]
    out_json_path: str | None = None
    out_markdown_path: str | None = None


# Stored events. Their TYPE is storage: never rename one.


class PersonaRunStarted(Event):
    """A review started. Its first run has the id of the stream. ``prepared`` is the material for the model."""

    TYPE: ClassVar[str] = "persona.run.started"
    SHOWS: ClassVar[Shows] = Shows()
    BEGINS: ClassVar[bool] = True
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
    """The answer could not be parsed. The model is asked again in another run."""

    TYPE: ClassVar[str] = "persona.run.repair-requested"
    SHOWS: ClassVar[Shows] = Shows()
    BEGINS: ClassVar[bool] = True
    persona_name: str
    repair_run_id: str
    problem: Text = None


class PersonaRunCompleted(Event):
    """A review ended: ``ok`` with findings, counted by priority, or ``failed`` without a readable answer."""

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
    """A review could not start."""

    TYPE: ClassVar[str] = "persona.run.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(views="it never started; its caller has the error, and the feed shows it")
    persona_name: str
    repo_path: str
    head_ref: str
    base_ref: str | None = None
    error_text: Text = None


# State


class ReviewState(Value):
    """The progress of a review, and the run that it waits for."""

    status: Literal["", "running", "ended"] = ""
    run_id: str = ""
    repaired: bool = False


def evolve(state: ReviewState, event: Event) -> ReviewState:
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


# Commands: each is the event that follows from it.


ReviewCommand = PersonaRunStarted | PersonaRunRepairRequested | PersonaRunCompleted | PersonaRunFailed


def decide(command: ReviewCommand, state: ReviewState, context: Context) -> tuple[Event, ...]:
    """Start, repair and end a review at most once each."""
    match command:
        case PersonaRunStarted() | PersonaRunFailed():
            return () if state.status else (command,)
        case PersonaRunRepairRequested():
            return (command,) if state.status == "running" and not state.repaired else ()
        case PersonaRunCompleted():
            return (command,) if state.status == "running" else ()


def stream(run_id: str) -> str:
    """Return the stream of a review. Its first run has the same id, but another stream."""
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

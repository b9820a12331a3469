"""The rule of a schedule: as its author writes it, and as it is stored."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from athena_core.clock import milliseconds
from athena_core.definitions.trigger import (
    EveryMinutes,
    Expression,
    InstantMs,
    JitterSeconds,
    Trigger,
    ZoneName,
    check_trigger,
)
from athena_core.errors import ConfigError
from athena_core.event import Value
from athena_core.values import Body, ClientId, Label, LongText, Metadata, RecordId

CATCH_UP_WINDOW_SECONDS_MIN = 10
CATCH_UP_WINDOW_SECONDS_MAX = 31_536_000  # a year of 365 days, and the default

OverlapPolicy: TypeAlias = Literal[
    "skip", "buffer-one", "buffer-latest", "buffer-all", "cancel-other", "terminate-other", "allow-all"
]
"""What a slot does while a run of its schedule is in flight."""
CatchUp: TypeAlias = Literal["none", "latest", "all"]
"""Which of several due slots run: the latest if it is on time, the latest, or all; the window bounds the last two."""
CatchUpWindow: TypeAlias = Annotated[int, msgspec.Meta(ge=CATCH_UP_WINDOW_SECONDS_MIN, le=CATCH_UP_WINDOW_SECONDS_MAX)]


class ScheduleTarget(Value):
    """What runs: the stored input, a directive, a template, or a workflow; the rest says where and how."""

    session_id: str | None = None
    directive_id: str | None = None
    harness_profile_id: str | None = None
    run_template_id: str | None = None
    workflow_id: str | None = None


class ScheduleDefinition(Value):
    """What decides about slots, whole; no field has a default that a later release could change."""

    trigger: Trigger
    target: ScheduleTarget
    overlap_policy: OverlapPolicy
    catch_up: CatchUp
    catch_up_window_seconds: int
    pause_on_failure: bool


class ScheduleSpec(Body):
    """A schedule as its author wrote it (contract 4.9 and D14); times are ISO-8601 with an offset."""

    session_id: ClientId | None = None
    input: LongText | None = None
    directive_id: RecordId | None = None
    harness_profile_id: RecordId | None = None
    run_template_id: RecordId | None = None
    params: Metadata | None = None
    workflow_id: RecordId | None = None
    every_minutes: EveryMinutes | None = None
    cron: Expression | None = None
    timezone: ZoneName | None = None
    run_at: Label | None = None
    start_at: Label | None = None
    end_at: Label | None = None
    jitter_seconds: JitterSeconds | None = None
    overlap_policy: OverlapPolicy | None = None
    catch_up: CatchUp | None = None
    catch_up_window_seconds: CatchUpWindow | None = None
    pause_on_failure: bool | None = None
    enabled: bool | None = None
    start_now: bool | None = None
    paused: bool | None = None
    note: Label | None = None


class ScheduleBody(ScheduleSpec, kw_only=True):
    """A schedule with the id that its author chose."""

    id: ClientId


def definition_of(spec: ScheduleSpec) -> ScheduleDefinition:
    """The definition of what an author wrote. Raises ConfigError for the field that is wrong."""
    timezone = spec.timezone or ("UTC" if spec.cron is not None else None)
    trigger = Trigger(
        every_minutes=spec.every_minutes,
        cron=spec.cron,
        timezone=timezone,
        run_at_ms=_instant("runAt", spec.run_at),
        start_at_ms=_instant("startAt", spec.start_at),
        end_at_ms=_instant("endAt", spec.end_at),
        jitter_seconds=spec.jitter_seconds or 0,
    )
    check_trigger(trigger)
    if spec.start_now and spec.every_minutes is None:
        raise ConfigError.of("startNow", "belongs to everyMinutes", "run it by hand: POST /schedules/{id}/run")
    if spec.start_now and spec.start_at is not None:
        raise ConfigError.of("startNow", "cannot be combined with startAt", "one of the two")
    return ScheduleDefinition(
        trigger=trigger,
        target=_target_of(spec),
        overlap_policy=spec.overlap_policy or "skip",
        catch_up=spec.catch_up or "latest",
        catch_up_window_seconds=spec.catch_up_window_seconds or CATCH_UP_WINDOW_SECONDS_MAX,
        pause_on_failure=bool(spec.pause_on_failure),
    )


def _instant(field: str, text: str | None) -> int | None:
    return None if text is None else parse_instant(field, text)


def parse_instant(field: str, text: str) -> int:
    """A time that an author wrote, in milliseconds since 1970 UTC. Raises ConfigError for the field."""
    try:
        return msgspec.convert(milliseconds(text, absolute=True), InstantMs)
    except ValueError:  # msgspec's error is one too: a time before 1970 or too far ahead
        remedy = "ISO-8601 with an offset, such as 2026-01-31T12:00:00Z, from 1970 to 9998"
        raise ConfigError.of(field, f"{text[:40]!r} is no such time", remedy) from None


def _target_of(spec: ScheduleSpec) -> ScheduleTarget:
    kinds = {
        "input": spec.input,
        "directiveId": spec.directive_id,
        "runTemplateId": spec.run_template_id,
        "workflowId": spec.workflow_id,
    }
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) != 1:
        reason = f"cannot be combined with {given[0]}" if given else "nothing says what is to run"
        raise ConfigError.of(given[-1] if given else "input", reason, f"one of {', '.join(kinds)}")
    (kind,) = given
    needs_session = kind in {"input", "directiveId"}
    if needs_session and spec.session_id is None:
        raise ConfigError.of("sessionId", "is required", "the session in which the runs take place")
    if kind == "workflowId" and spec.session_id is not None:
        raise ConfigError.of("sessionId", "does not go with workflowId", "leave it out; steps have sessions")
    if not needs_session and spec.harness_profile_id is not None:
        raise ConfigError.of("harnessProfileId", f"does not go with {kind}", "leave it out; it brings its own")
    if kind != "runTemplateId" and spec.params is not None:
        raise ConfigError.of("params", f"do not go with {kind}", "leave them out; they belong to runTemplateId")
    return ScheduleTarget(
        session_id=spec.session_id,
        directive_id=spec.directive_id,
        harness_profile_id=spec.harness_profile_id,
        run_template_id=spec.run_template_id,
        workflow_id=spec.workflow_id,
    )

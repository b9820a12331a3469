"""The definition of a schedule: as clients write it, and as it is stored."""

from typing import Annotated, TypeAlias

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
from athena_core.enums import CatchUp, OverlapPolicy
from athena_core.errors import ConfigError
from athena_core.event import Value, says
from athena_core.values import Body, ClientId, Label, LongText, Metadata, RecordId

CATCH_UP_WINDOW_SECONDS_MIN = 10
CATCH_UP_WINDOW_SECONDS_MAX = 31_536_000  # a year of 365 days, and the default

CatchUpWindow: TypeAlias = Annotated[int, msgspec.Meta(ge=CATCH_UP_WINDOW_SECONDS_MIN, le=CATCH_UP_WINDOW_SECONDS_MAX)]


class ScheduleTarget(Value):
    """The work that a schedule starts: the stored input, a directive, a template or a workflow."""

    session_id: str | None = None
    directive_id: str | None = None
    harness_profile_id: str | None = None
    run_template_id: str | None = None
    workflow_id: str | None = None


class ScheduleDefinition(Value):
    """The stored definition of a schedule. No field has a default, because a later release could change it."""

    trigger: Trigger
    target: Annotated[ScheduleTarget, says("Run, template or workflow that it starts.")]
    overlap_policy: OverlapPolicy
    catch_up: CatchUp
    catch_up_window_seconds: int
    pause_on_failure: bool


class ScheduleSpec(Body):
    """A schedule as a client writes it. Times are ISO-8601 with an offset."""

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
    """A schedule with its id, which the client chooses."""

    id: ClientId


def definition_of(spec: ScheduleSpec) -> ScheduleDefinition:
    """Convert a client's schedule to its stored definition. Raise ConfigError for the wrong field."""
    trigger = trigger_of(spec)
    if spec.start_now and spec.every_minutes is None:
        raise ConfigError.of("startNow", "requires everyMinutes", "remove it, and call POST /schedules/{id}/run")
    if spec.start_now and spec.start_at is not None:
        raise ConfigError.of("startNow", "cannot be combined with startAt", "remove one of the two")
    return ScheduleDefinition(
        trigger=trigger,
        target=_target_of(spec),
        overlap_policy=spec.overlap_policy or "skip",
        catch_up=spec.catch_up or "latest",
        catch_up_window_seconds=spec.catch_up_window_seconds or CATCH_UP_WINDOW_SECONDS_MAX,
        pause_on_failure=bool(spec.pause_on_failure),
    )


def trigger_of(spec: ScheduleSpec) -> Trigger:
    """Return the times of a client's schedule. Raise ConfigError for the wrong field."""
    trigger = Trigger(
        every_minutes=spec.every_minutes,
        cron=spec.cron,
        timezone=spec.timezone or ("UTC" if spec.cron is not None else None),
        run_at_ms=_instant("runAt", spec.run_at),
        start_at_ms=_instant("startAt", spec.start_at),
        end_at_ms=_instant("endAt", spec.end_at),
        jitter_seconds=spec.jitter_seconds or 0,
    )
    check_trigger(trigger)
    return trigger


def _instant(field: str, text: str | None) -> int | None:
    return None if text is None else parse_instant(field, text)


def parse_instant(field: str, text: str) -> int:
    """Parse a time in milliseconds since 1970 UTC. Raise ConfigError for ``field``."""
    try:
        return msgspec.convert(milliseconds(text, absolute=True), InstantMs)
    except ValueError:  # also msgspec's error for a time before 1970 or too far ahead
        remedy = "use ISO-8601 with an offset, such as 2026-01-31T12:00:00Z, from 1970 to 9998"
        reason = "has no time zone" if _is_local(text) else "is not a valid time"
        raise ConfigError.of(field, f"{text[:40]!r} {reason}", remedy) from None


def _is_local(text: str) -> bool:
    """Return True for a valid time that lacks only its offset."""
    try:
        milliseconds(text)
    except ValueError:
        return False
    return True


def _target_of(spec: ScheduleSpec) -> ScheduleTarget:
    kinds = {
        "input": spec.input,
        "directiveId": spec.directive_id,
        "runTemplateId": spec.run_template_id,
        "workflowId": spec.workflow_id,
    }
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) != 1:
        reason = f"cannot be combined with {given[0]}" if given else "the schedule does not say what to run"
        raise ConfigError.of(given[-1] if given else "input", reason, f"give one of {', '.join(kinds)}")
    (kind,) = given
    needs_session = kind in {"input", "directiveId"}
    if needs_session and spec.session_id is None:
        raise ConfigError.of("sessionId", "is required", "give the session of the runs")
    if kind == "workflowId" and spec.session_id is not None:
        raise ConfigError.of(
            "sessionId", "cannot be combined with workflowId", "remove it; each step has its own session"
        )
    if not needs_session and spec.harness_profile_id is not None:
        raise ConfigError.of(
            "harnessProfileId", f"cannot be combined with {kind}", "remove it; the target defines its profile"
        )
    if kind != "runTemplateId" and spec.params is not None:
        raise ConfigError.of(
            "params", f"cannot be combined with {kind}", "remove them; only runTemplateId takes parameters"
        )
    return ScheduleTarget(
        session_id=spec.session_id,
        directive_id=spec.directive_id,
        harness_profile_id=spec.harness_profile_id,
        run_template_id=spec.run_template_id,
        workflow_id=spec.workflow_id,
    )

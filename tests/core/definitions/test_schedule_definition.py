"""The definition of a schedule: its author's fields become a definition, or an error that names the field."""

from typing import Any

import msgspec
import pytest

from athena_api.endpoint.body import decode_body
from athena_core.clock import milliseconds
from athena_core.definitions.schedule_definition import (
    CATCH_UP_WINDOW_SECONDS_MAX,
    ScheduleBody,
    ScheduleDefinition,
    ScheduleTarget,
    definition_of,
)
from athena_core.definitions.trigger import Trigger
from athena_core.errors import ConfigError

SEED = {"id": "nightly", "sessionId": "s", "input": "hello", "everyMinutes": 60}


def defined(body: dict[str, Any]) -> ScheduleDefinition:
    return definition_of(decode_body(ScheduleBody, msgspec.json.encode(body), "schedule"))


def without(*names: str, **others: Any) -> dict[str, Any]:
    return {name: value for name, value in SEED.items() if name not in names} | others


def test_the_fields_of_the_original_are_enough() -> None:
    assert defined(SEED) == ScheduleDefinition(
        trigger=Trigger(every_minutes=60),
        target=ScheduleTarget(session_id="s"),
        overlap_policy="skip",
        catch_up="latest",
        catch_up_window_seconds=CATCH_UP_WINDOW_SECONDS_MAX,
        pause_on_failure=False,
    )


def test_every_field_finds_its_place() -> None:
    body = without(
        "input",
        "everyMinutes",
        directiveId="dir_1",
        harnessProfileId="hp_1",
        cron="@daily",
        timezone="Europe/Berlin",
        startAt="2026-01-01T00:00:00+01:00",
        endAt="2027-01-01T00:00Z",
        jitterSeconds=60,
        overlapPolicy="buffer-latest",
        catchUp="all",
        catchUpWindowSeconds=3_600,
        pauseOnFailure=True,
    )
    assert defined(body) == ScheduleDefinition(
        trigger=Trigger(
            cron="@daily",
            timezone="Europe/Berlin",
            start_at_ms=milliseconds("2025-12-31T23:00:00Z"),
            end_at_ms=milliseconds("2027-01-01T00:00:00Z"),
            jitter_seconds=60,
        ),
        target=ScheduleTarget(session_id="s", directive_id="dir_1", harness_profile_id="hp_1"),
        overlap_policy="buffer-latest",
        catch_up="all",
        catch_up_window_seconds=3_600,
        pause_on_failure=True,
    )


def test_cron_without_a_zone_is_in_utc_and_says_so() -> None:
    assert defined(without("everyMinutes", cron="0 0 * * *")).trigger == Trigger(cron="0 0 * * *", timezone="UTC")


def test_templates_and_workflows_are_targets_too() -> None:
    template = without("input", runTemplateId="tpl_1", params={"who": "world"})
    assert defined(template).target == ScheduleTarget(session_id="s", run_template_id="tpl_1")
    assert defined(without("input", "sessionId", workflowId="wf_1")).target == ScheduleTarget(workflow_id="wf_1")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without("id"), "id"),
        (without(id="a/b"), "id"),
        (without("input"), "input"),
        (without("sessionId"), "sessionId"),
        (without("everyMinutes"), "everyMinutes"),
        (without(everyMinutes=0), "everyMinutes"),
        (without(everyMinutes=1.5), "everyMinutes"),
        (without(everyMinutes=525_601), "everyMinutes"),
        (without(cron="* * * * *"), "cron"),
        (without("everyMinutes", cron="* * * *"), "cron"),
        (without("everyMinutes", cron="1," * 200 + "1 * * * *"), "cron"),
        (without("everyMinutes", cron="* * * * *", timezone="../../etc/passwd"), "timezone"),
        (without(timezone="UTC"), "timezone"),
        (without("everyMinutes", runAt="tomorrow"), "runAt"),
        (without("everyMinutes", runAt="2026-01-31T12:00:00"), "runAt"),
        (without("everyMinutes", runAt="1969-12-31T23:59:59Z"), "runAt"),
        (without("everyMinutes", runAt="9999-12-31T23:59:59Z"), "runAt"),
        (without(startAt="2026-01-31"), "startAt"),
        (without(startAt="2026-01-31T00:00Z", endAt="2026-01-30T00:00Z"), "endAt"),
        (without(jitterSeconds=86_401), "jitterSeconds"),
        (without(overlapPolicy="maybe"), "overlapPolicy"),
        (without(catchUp="some"), "catchUp"),
        (without(catchUpWindowSeconds=9), "catchUpWindowSeconds"),
        (without("everyMinutes", cron="* * * * *", startNow=True), "startNow"),
        (without(startNow=True, startAt="2026-01-31T00:00Z"), "startNow"),
        (without(directiveId="dir_1"), "directiveId"),
        (without(workflowId="wf_1"), "workflowId"),
        (without("input", workflowId="wf_1"), "sessionId"),
        (without("input", runTemplateId="tpl_1", harnessProfileId="hp_1"), "harnessProfileId"),
        (without(params={"a": "b"}), "params"),
        (without(every_minutes=1), "every_minutes"),
    ],
)
def test_an_invalid_trigger_is_refused_with_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        defined(body)
    assert isinstance(refusal.value.details, list)
    (fault,) = refusal.value.details
    assert (fault.field, bool(fault.remedy)) == (field, True)

"""Code of a user of the client, which type checkers must understand: what each call returns."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_type

from athena_client import AsyncAthena, Athena, AthenaError, models
from athena_client.events import Event, RunCompleted, RunFailed, UnknownEvent


def runs(client: Athena) -> None:
    assert_type(client.run("hello"), models.RunResult)
    assert_type(client.create_run(input="hello", respond_async=True), models.Run)
    assert_type(client.create_run(input="hello"), models.RunResult | models.Run)
    for run in client.list_runs(status="failed", limit=500):
        assert_type(run, models.Run)
        assert_type(run.usage, models.RunUsage | None)
    for page in client.list_runs().pages():
        assert_type(page.items, list[models.Run])
        assert_type(page.next_cursor, str | None)
    run = client.start("hello", session_id="s", session_strategy="enqueue").wait(timeout=60)
    assert_type(run, models.Run)
    if run.status == "completed":  # an open enumeration: known values are offered, any other compares
        print(run.output_preview)


def events(client: Athena) -> None:
    for event in client.events(types=["run.completed", "run.failed"], session_id="s"):
        assert_type(event.created_at, datetime)
        match event:
            case RunCompleted():
                assert_type(event.payload.usage, models.Usage | None)
            case RunFailed():
                assert_type(event.payload.code, str)
            case UnknownEvent():
                assert_type(event.payload, dict[str, Any])
            case _:
                assert_type(event.run_id, str | None)


def narrowed(event: Event) -> str:
    return event.payload.code if isinstance(event, RunFailed) else event.type


def documents(client: Athena, steps: Mapping[str, Any]) -> None:
    policy = client.get_policy()
    assert_type(policy, models.PolicyDocument | None)
    assert_type(client.put_policy(schema_version=1, max_concurrent_runs=8, if_match=3), models.PolicyDocument)
    limit = models.KeyLimit(scope="provider", key="openai", max=4, strategy="enqueue")
    client.put_policy(
        schema_version=1, limits=[limit, {"scope": "session", "key": "s", "max": 1, "strategy": "reject"}]
    )
    assert_type(client.create_workflow(definition=steps).id, str)
    evidence = client.get_run_evidence("run_1", "evd_1").content
    if isinstance(evidence, models.TextContent):
        assert_type(evidence.text, str)


def failed(client: Athena) -> str | None:
    try:
        client.run("hello")
    except AthenaError as error:
        assert_type(error.retry_with, str | None)
        return error.run_id
    return None


async def asynchronous(client: AsyncAthena) -> None:
    assert_type(await client.run("hello"), models.RunResult)
    async for run in client.list_runs():
        assert_type(run, models.Run)
    async for event in client.events():
        assert_type(event.id, str)
        break

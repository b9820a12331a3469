"""The channel between processes on PostgreSQL: notifications arrive in order and whole."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from athena_core.log.postgres.notify import PostgresChannel
from tests.support import pgbouncer
from tests.support.api import PATIENCE_SECONDS

TEXTS = [f"{number} " + "ä" * 3_900 for number in range(50)]


async def hear(channel: PostgresChannel, heard: list[str]) -> None:
    while True:
        heard += await channel.receive()


@pytest.fixture(params=["direct", "pooled"])
def url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[str]:
    """Return the URL of the database, directly and through a pooler in session mode."""
    if request.param == "direct":
        yield database
    elif pgbouncer.PGBOUNCER is None:
        pytest.skip(pgbouncer.MISSING)
    else:
        with pgbouncer.pgbouncer(tmp_path, database, "session") as pooled:
            yield pooled


async def test_notifications_reach_the_other_processes_in_order_and_not_the_sender(url: str) -> None:
    one, other = PostgresChannel(url), PostgresChannel(url)
    heard: dict[PostgresChannel, list[str]] = {one: [], other: []}
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for channel, texts in heard.items():
                tasks.start_soon(hear, channel, texts)
            while not heard[other]:  # it listens once something arrives
                await one.send(["are you there?"])
                await anyio.sleep(0.01)
            await one.send(TEXTS)
            while TEXTS[-1] not in heard[other]:
                await anyio.sleep(0.001)
            await other.send(["yes"])
            while not heard[one]:
                await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
    assert heard[other][-len(TEXTS) :] == TEXTS
    assert heard[one] == ["yes"]
    await one.close()
    await other.close()

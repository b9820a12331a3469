"""A measurement of the disk space of the log and the views: ``python -m docs.bytes_per_event [count]``.

The script fills a temporary state directory through the same code as a server, then reads the sizes of the files.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.domain.directive import DirectiveSpec
from athena_core.event import Meta
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody

INPUT = "Summarise this in one sentence. " * 3  # 96 characters
META = Meta(actor="local", correlation="00000000-0000-4000-8000-000000000000")
TOGETHER = 64


def files(directory: Path, pattern: str) -> int:
    """Return the size of the files that match, in bytes."""
    return sum(path.stat().st_size for path in directory.glob(pattern))


async def repeat(count: int, once: Callable[[], Awaitable[object]]) -> None:
    """Call ``once`` ``count`` times, 64 at a time."""
    for start in range(0, count, TOGETHER):
        await asyncio.gather(*(once() for _ in range(min(TOGETHER, count - start))))


async def measure(name: str, count: int, once: Callable[[ControlPlane], Awaitable[object]]) -> None:
    """Print the disk space of one call, measured in a state directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        plane = wire(load({"ATHENA_STATE_DIR": folder}), SystemClock(), SystemIds())
        async with plane_lifespan(plane, serving=True):
            await repeat(count, lambda: once(plane))
            await plane.caught_up(tuple(projection.name for projection in plane.views.projections), plane.reader.head())
            rows = plane.reader.rows(1, 2**31)
        for path in (directory / "views").glob("views-*.db"):
            SqliteDatabases().write(path).close()  # moves its WAL into the file
        log, views = files(directory, "log.db*"), files(directory / "views", "views-*")
        columns = sum(len(row.data) + len(row.extra or b"") for row in rows)
        text = sum(len(row.text or b"") for row in rows)
    events = len(rows) / count
    print(
        f"| {name} | {events:.0f} | {columns / count:.0f} | {text / count:.0f}"
        f" | {log / count:.0f} | {log / count / events:.0f} | {views / count:.0f} |"
    )


async def main(count: int) -> None:
    """Measure a directive and a run of the mock provider."""

    async def directive(plane: ControlPlane) -> object:
        return await plane.catalog.create_directive(DirectiveSpec(input=INPUT), META, None)

    async def run(plane: ControlPlane) -> object:
        return await plane.runs.start(RunBody(input=INPUT), LOCAL, META, None, wait=True)

    print(f"Bytes for each of {count}, with an input of {len(INPUT)} characters:\n")
    print("| one | events | payloads | text | log.db | log.db per event | views |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    await measure("directive", count, directive)
    await measure("mock run in a new session", count, run)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

"""Faults of servers, disks and clocks, as moves."""

import asyncio
from typing import TYPE_CHECKING, Any

from tests.simulation.moves import move

if TYPE_CHECKING:
    from tests.simulation.plane import Plane
    from tests.simulation.servers import Server

LEASE_SECONDS = 60.0
"""The time after which everything of an ended server has been taken over."""


async def end_one(plane: "Plane", chance: Any, server: "Server") -> None:
    """End a server before one of its next callbacks. It is back after a while."""
    server.crash_at = server.callbacks + chance.randint(1, 300)
    back = chance.choice((1.0, 5.0, 40.0, 120.0))
    plane.troubled(back + LEASE_SECONDS)
    await asyncio.sleep(back)
    plane.troubled(LEASE_SECONDS)
    if not server.dead:
        server.crash()
    await plane.bring_up(server.name)
    plane.troubled(LEASE_SECONDS)


async def stop_one(plane: "Plane", chance: Any, server: "Server") -> None:
    """Stop a server in order, and start it again."""
    plane.troubled(LEASE_SECONDS)
    await server.leave()
    await plane.bring_up(server.name)
    plane.troubled(LEASE_SECONDS)


async def freeze_one(plane: "Plane", chance: Any, server: "Server") -> None:
    """Stop a server for some time: a suspended machine, or a long collection of garbage."""
    seconds = chance.choice((5.0, 45.0))
    server.frozen_until = plane.loop.time() + seconds
    plane.troubled(seconds + LEASE_SECONDS)


def fail_commits(plane: "Plane", count: int) -> None:
    """Let the next commits fail, of whatever server."""
    plane.failing_commits = count
    plane.troubled(LEASE_SECONDS)


@move(1.5)
async def crash(plane: "Plane", chance: Any) -> None:
    if up := plane.up():
        await end_one(plane, chance, chance.choice(up))


@move(1)
async def freeze(plane: "Plane", chance: Any) -> None:
    if up := plane.up():
        await freeze_one(plane, chance, chance.choice(up))


@move(0.7)
async def restart(plane: "Plane", chance: Any) -> None:
    if up := plane.up():
        await stop_one(plane, chance, chance.choice(up))


@move(1)
async def fail(plane: "Plane", chance: Any) -> None:
    """Let one commit fail, or a few."""
    fail_commits(plane, chance.choice((1, 1, 3)))


@move(1.2)
async def fill_the_disk(plane: "Plane", chance: Any) -> None:
    plane.full_until = plane.loop.time() + chance.choice((3.0, 30.0, 130.0))
    plane.troubled(plane.full_until - plane.loop.time() + LEASE_SECONDS)


@move(1)
async def set_the_clock(plane: "Plane", chance: Any) -> None:
    """Set the date of a server by a little, also by a single millisecond back."""
    server = chance.choice(list(plane.servers.values()))
    server.clock.set_by_ms += chance.choice((-1, -1, -20, -2_000, 2_000))


@move(0.7)
async def join(plane: "Plane", chance: Any) -> None:
    """Start a further server, if there are fewer than three."""
    if len(plane.servers) < 3:
        plane.troubled(5.0, hard=False)
        await plane.bring_up(("one", "two", "three")[len(plane.servers)])


@move(0.5)
async def wait_long(plane: "Plane", chance: Any) -> None:
    """Let hours or days pass, in which only due work happens."""
    await asyncio.sleep(chance.choice((3_600.0, 86_400.0)))

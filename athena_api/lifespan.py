"""Background tasks of a process, from its start to its end."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial

import anyio

from athena_api.plane import ControlPlane
from athena_core.decider import record
from athena_core.domain import plane
from athena_core.event import Event, Meta
from athena_core.log.anchor import AnchorMismatch
from athena_core.roles import EVERYBODY_ELSE, Roster
from athena_core.values import Role
from projections.engine.updater import ViewUpdater, in_thread

Updates = Callable[[ViewUpdater, Callable[[], None]], AbstractContextManager[None]]


@asynccontextmanager
async def plane_lifespan(parts: ControlPlane, *, serving: bool, updates: Updates = in_thread) -> AsyncIterator[None]:
    """Run the background tasks. ``serving`` is True for a server, False for a command that runs without one.

    ``updates`` keeps the views up to date, by default in a thread.
    """
    forked = parts.log.anchor.mismatch() if parts.settings.accept_fork else None
    if forked is not None:
        parts.log.anchor.accept_fork()
    parts.log.start()
    updater = ViewUpdater(parts.views, parts.runner.executors.alone, parts.log.problems)
    try:
        with updates(updater, parts.log.signal.nudge):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(parts.tail.follow)
                tasks.start_soon(parts.tail.watch)
                tasks.start_soon(parts.relay.serve)
                for part in (parts.refusal_limits, parts.authentication_limits, parts.tokens):
                    tasks.start_soon(part.timer.serve)
                for one in (parts.workspace_cleaner, parts.agent_memory):
                    tasks.start_soon(one.timer.serve)
                await announce(parts, forked, serving=serving)
                await parts.runner.serve(tasks, take_over=serving)
                if serving:
                    parts.watchdog.start()
                    tasks.start_soon(parts.memory.serve)
                    tasks.start_soon(parts.anchors.timer.serve)
                if serving and parts.settings.scheduler:
                    parts.timer.ticking = True
                tasks.start_soon(partial(parts.reactors.serve, everything=serving))
                yield
                parts.streams.drain()
                await parts.runner.stop()
                await parts.refusal_limits.flush()
                await parts.authentication_limits.flush()
                await parts.tokens.flush()
                if serving:
                    await parts.anchors.stop()
                tasks.cancel_scope.cancel()
    finally:
        for provider in parts.providers.values():
            await provider.close()
        await parts.mcp_parts.shared.close()
        await parts.gateways.close()
        parts.close()


@asynccontextmanager
async def worker_lifespan(parts: ControlPlane) -> AsyncIterator[None]:
    """Run the background tasks of a worker. It executes runs, and leaves requests, views and reactors to servers."""
    parts.log.raise_format()  # a server writes at once; a worker may not write for hours
    parts.log.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(parts.tail.follow)
            tasks.start_soon(parts.tail.watch)
            tasks.start_soon(parts.relay.serve)
            await parts.runner.serve(tasks, take_over=True)
            parts.watchdog.start()
            tasks.start_soon(parts.memory.serve)
            for one in (parts.workspace_cleaner, parts.agent_memory):
                tasks.start_soon(one.timer.serve)
            yield
            await parts.runner.stop()
            tasks.cancel_scope.cancel()
    finally:
        for provider in parts.providers.values():
            await provider.close()
        await parts.mcp_parts.shared.close()
        await parts.gateways.close()
        parts.close()


async def announce(parts: ControlPlane, forked: AnchorMismatch | None, *, serving: bool) -> None:
    """Record that a server has started, and that an operator has accepted a fork."""
    events: list[Event] = []
    if forked is not None:
        head = parts.log.signal.position
        events.append(plane.LogForked(head=head, expected=forked.expected, anchor=forked.trouble))
    if serving:
        events.append(plane.AuthzModeActive(mode=parts.access.mode))
        if parts.access.roster.enabled:
            events.append(roles_loaded(parts.access.roster))
    if events:
        meta = Meta(actor="system:server", correlation=parts.ids.trace())
        await parts.log.submit(record(plane.STREAM, *events), meta)


def roles_loaded(roster: Roster) -> plane.RolesLoaded:
    """Return the event that records the roles that were loaded."""
    named = Counter(role for name, role in roster.roles.items() if name != EVERYBODY_ELSE)
    return plane.RolesLoaded(
        source="settings" if roster.file is None else "file",
        viewers=named[Role.VIEWER],
        operators=named[Role.OPERATOR],
        admins=named[Role.ADMIN],
        everybody_else=roster.identity(EVERYBODY_ELSE).role,
        sha256=roster.sha256,
        locked_out=named[Role.NONE] or None,
        groups=len(roster.groups) or None,
    )

"""The worker: a process that serves no requests and executes the runs that it claims from the log.

After the first SIGTERM or SIGINT it claims no more runs, and waits for those that it has, within a time limit. After
the second it stops at once. Other workers continue the remaining runs from their recorded events.
"""

import asyncio
import faulthandler
import logging
import logging.config
import signal
from collections.abc import Callable

import anyio

from athena_api.edge.access_log import STDERR, JsonLines, log_lines
from athena_api.lifespan import worker_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.mask import Mask
from athena_core.services.execution.liveness import FROZEN_SECONDS
from athena_core.settings import Settings, secrets_of

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_worker(
    settings: Settings,
    serves: tuple[str, ...],
    ready: Callable[[ControlPlane], object],
    leaving: Callable[[int], object] = lambda runs: None,
    *,
    formatter: type[logging.Formatter] = JsonLines,
    frozen_seconds: float = FROZEN_SECONDS,
) -> None:
    """Execute runs until a signal arrives. Must run in the main thread. Raise ConfigError.

    ``ready`` is called once the worker claims runs, ``leaving`` with the number of runs that it waits for.
    ``formatter`` writes log records.
    """
    logging.config.dictConfig(log_lines(Mask(secrets_of(settings)), formatter))  # until there are credentials
    faulthandler.enable(STDERR, all_threads=False)
    parts = wire(settings, SystemClock(), SystemIds(), kind="worker", serves=serves, frozen_seconds=frozen_seconds)
    logging.config.dictConfig(log_lines(parts.mask, formatter))
    asyncio.run(_work(parts, ready, leaving))


async def _work(parts: ControlPlane, ready: Callable[[ControlPlane], object], leaving: Callable[[int], object]) -> None:
    draining, aborting = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        (aborting if draining.is_set() else draining).set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    reloads = set[asyncio.Task[None]]()

    def reload() -> None:
        problems = parts.log.problems
        for reads in (
            parts.credentials.reload(),
            parts.agents.reload(problems),
            parts.mcp_servers.reload(problems),
        ):
            task = loop.create_task(reads)
            reloads.add(task)
            task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    async with worker_lifespan(parts):
        ready(parts)
        await draining.wait()
        leaving(parts.runner.busy)
        async with anyio.create_task_group() as tasks:

            async def abort() -> None:
                await aborting.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(abort)
            await parts.runner.drain(parts.settings.worker_drain_ms / 1000)
            tasks.cancel_scope.cancel()

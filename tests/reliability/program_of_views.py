"""More programs for tests, which also keep views or run a whole plane; they take longer to import."""

import sys
from collections.abc import Callable
from pathlib import Path

import anyio

from athena_api.lifespan import plane_lifespan
from athena_api.wiring import wire
from athena_core.clock import SystemClock
from athena_core.decider import Key
from athena_core.settings import load
from athena_core.values import Identity, Role, RunBody
from projections.engine import replay
from projections.engine.updater import ViewUpdater
from tests.reliability.program import IDS, MARK, META, append, say
from tests.support.records import wired


def project(state_dir: Path) -> None:
    """Bring the views up to the head as their updater does, twice, with events in between."""
    with wired(state_dir) as plane:
        updater = ViewUpdater(plane.views, lambda: False, plane.log.problems)
        assert updater.start()
        while updater.turn():
            pass
        append(state_dir, "p", "0", "4")
        while updater.turn():
            pass
        updater.close()


def rebuild(state_dir: Path) -> None:
    with wired(state_dir) as plane:
        for progress in replay.rebuild(plane.views):
            say("at", progress.position)
            if progress.outcome is not None:
                say(progress.outcome)


def begin(state_dir: Path, mark: str = "begin") -> None:
    """Start everything that a server runs, execute one run, and stop."""

    async def main() -> None:
        plane = wire(load({"ATHENA_STATE_DIR": str(state_dir)}, state_dir.parent), SystemClock(), IDS)
        async with plane_lifespan(plane, serving=True):
            say("try", mark)
            who = Identity(subject="test", role=Role.ADMIN)
            body = RunBody(input="hello", metadata={MARK: mark})
            done = await plane.runs.start(body, who, META, Key.of("test", "run", mark, b""), wait=True)
            _, position = plane.runs.result(done.subject or "")
            say("ack", mark, done.subject, position)
            await plane.caught_up(("runs",), position)

    anyio.run(main)


PROGRAMS: dict[str, Callable[..., None]] = {"begin": begin, "project": project, "rebuild": rebuild}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])

"""World of the whole plane: one to three servers on one log, callers, a scripted outside, faults, and judges."""

import asyncio
import gc
import json
import logging
import os
import random
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from athena_api.document.responses import CODES
from athena_api.endpoint.operation import PREFIX
from athena_api.endpoint.router import Router
from athena_api.operations import OPERATIONS
from athena_core.log.port import Store
from athena_core.settings import load
from tests.simulation import faults, motifs, moves  # noqa: F401 - they register moves
from tests.simulation.histories import Failure, Played, Step, swarm
from tests.simulation.loop import EPOCH_MS, Deadlock, SimLoop
from tests.simulation.moves import ID, MOVES, PROFILES, ROLES
from tests.simulation.oracle import EXECUTOR_RUNS, Oracle, judge_end
from tests.simulation.outside import Outside
from tests.simulation.servers import PATIENCE_SECONDS, Answer, Hooks, Server, open_seams
from tests.support.vouched import VOUCHED

BATCH = 6
"""Histories in a process. What they leave behind stays as it is, so it takes files and memory."""

LEFT: list["Plane"] = []
ROUTER = Router(OPERATIONS)
STEPS = 80
OFTEN, OFTEN_WEIGHT = 3, 12.0
END_SECONDS = 7_200.0
"""The virtual time in which everything must have ended after the last step."""


def plan(seed: str) -> list[Step]:
    """Draw the steps of a history. Each history has a few motifs that it plays often, so that they meet."""
    chance = random.Random(f"{seed}:often")
    weights = {name: move.weight for name, move in MOVES.items()}
    for name in chance.sample(sorted(motifs.NAMES), OFTEN):
        weights[name] += OFTEN_WEIGHT
    return swarm(seed, weights, STEPS)


def play(seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None) -> Played:
    gc.disable()  # nothing of an ended server may run again, not even what would clean up
    open_seams()
    logging.getLogger().handlers[:] = [Lines(trace)] if trace else [logging.NullHandler()]
    place = Path(tempfile.mkdtemp(prefix="simulated-", dir="/dev/shm"))
    loop = SimLoop(seed)
    asyncio.set_event_loop(loop)
    plane = Plane(seed, loop, place, trace)
    LEFT.append(plane)
    os.chdir(place)
    try:
        with suppress(Deadlock):
            loop.run_until_complete(plane.play(steps))
        if not plane.judged:
            plane.fail("deadlock", "nothing can happen any more")
        return Played(plane.failures, plane.digest, len(steps), plane.marks)
    finally:
        asyncio.set_event_loop(None)
        os.chdir("/")
        shutil.rmtree(place, ignore_errors=True)


def _said(answer: Answer | None) -> str:
    if answer is None:
        return "no answer"
    return f"{answer.status} at {answer.headers.get('athena-position')} {json.dumps(answer.data)[:300]}"


class Lines(logging.Handler):
    """Log lines of the servers among the lines of a trace."""

    def __init__(self, trace: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        self._trace(self.format(record))


class Plane:
    """The state of a history: servers, known records, what happened, and what failed."""

    def __init__(self, seed: str, loop: SimLoop, place: Path, trace: Callable[[str], None] | None) -> None:
        self.seed, self.loop, self.place, self._trace = seed, loop, place, trace
        self.chance = loop.chance
        self.outside = Outside(loop.time)
        self.outside.open_seams()
        self.oracle = Oracle(self)
        self.servers: dict[str, Server] = {}
        self.known: dict[str, list[str]] = defaultdict(list)
        """Ids that callers have seen, by kind."""
        self.answered: list[tuple[str, str, Any, str, str, Answer, float]] = []
        """Keyed requests with their first answers: method, path, body, caller, key, answer and second."""
        self.failures: list[Failure] = []
        self.marks: Counter[str] = Counter()
        self.calm_since = 0.0
        """The second at which the last fault ended. Nothing is expected to be punctual before it."""
        self.starting: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.full_until = 0.0
        self.failing_commits = 0
        """The next commits, of whatever server, that fail."""
        self.jumped_ms = 0
        """How far all clocks were set ahead together."""
        self.names = 0
        self.judged = False
        self.digest = ""
        self.ending = False
        self.hard_faults = 0
        """The number of faults after which a model call may have been lost."""
        self.followers: list[Any] = []
        settings = {
            "ATHENA_STATE_DIR": str(place / "state"),
            "ATHENA_WORKSPACE_ROOT": str(place / "workspace"),
            **{f"ATHENA_{name.upper()}": value for name, value in VOUCHED.items()},
            "ATHENA_AUTH_IDENTITY_ROLE_MAP": ",".join(f"{name}:{role}" for name, role in ROLES.items()),
            "ATHENA_EXECUTOR_MAX_RUNS": str(EXECUTOR_RUNS),
            "ATHENA_MEMORY_ENABLED": "true",
            "ATHENA_OPENAI_API_KEY": "the-key-of-the-simulated-vendor",
        }
        personas = place / "workspace" / "personas"
        personas.mkdir(parents=True)
        for name in ("ann", "bob"):
            (personas / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name, "description": name}))
        self.settings = load(settings, place)

    # What moves use

    def wall(self) -> int:
        """Return the date in milliseconds, as a clock without a fault shows it."""
        return EPOCH_MS + int(self.loop.time() * 1000) + self.jumped_ms

    def trace(self, line: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.loop.time():10.3f} {line}")

    def fail(self, kind: str, what: str) -> None:
        self.trace(f"FAILURE {kind}: {what}")
        self.failures.append(Failure(kind, what[:600], round(self.loop.time(), 3)))

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def calm(self, seconds: float) -> bool:
        """Return True if no fault was there for so long."""
        return self.loop.time() - self.calm_since >= seconds and self.loop.time() >= self.full_until + seconds

    def troubled(self, seconds: float = 0.0, *, hard: bool = True) -> None:
        """Note a fault that ends after a time."""
        self.calm_since = max(self.calm_since, self.loop.time() + seconds)
        self.hard_faults += hard

    def jump(self, seconds: float) -> None:
        """Set all clocks ahead at once, as if nothing had happened for that time."""
        self.jumped_ms += int(seconds * 1000)
        for server in self.servers.values():
            server.clock.set_by_ms += int(seconds * 1000)
        self.troubled(hard=False)

    def up(self) -> list[Server]:
        """Return the servers that answer."""
        return [one for one in self.servers.values() if not one.dead and one.ready.done() and one.serves]

    def start(self, name: str) -> Server:
        number = self.marks[f"start:{name}"]
        self.marks[f"start:{name}"] += 1
        hooks = Hooks(self.outside.providers, self.oracle.committed, self._breakable, self._problem, self._line)
        server = self.servers[name] = Server(name, self.loop, self.settings, f"{self.seed}:{name}:{number}", hooks)
        server.clock.set_by_ms = self.jumped_ms
        server.start()
        return server

    async def bring_up(self, name: str) -> None:
        """Start a server unless it runs; on a full disk it does not start, and it is tried again."""
        async with self.starting[name]:  # two would start it twice
            known = self.servers.get(name)
            while known is None or known.dead or not known.serves:
                try:
                    known = self.start(name)
                    await known.ready
                    return
                except Exception:
                    if self.calm(5.0):
                        raise
                await asyncio.sleep(5.0)

    def _breakable(self, store: Store) -> None:
        insert = store.insert

        def insert_unless_full(rows: Any) -> None:
            fails, self.failing_commits = self.failing_commits > 0, max(self.failing_commits - 1, 0)
            if fails:
                self.troubled(faults.LEASE_SECONDS)  # it may be long after the fault was planned
            if fails or self.loop.time() < self.full_until:
                raise apsw.FullError("database or disk is full")
            insert(rows)

        store.insert = insert_unless_full  # type: ignore[method-assign]

    def _problem(self, what: str) -> None:
        self.fail("problem", what)

    def _line(self, line: bytes) -> None:
        if b"Traceback" in line:
            self.trace(line.decode().replace("\\n", "\n"))

    async def ask(
        self,
        chance: Any,
        method: str,
        path: str,
        body: Any = None,
        caller: str = "ada",
        key: str = "",
        *,
        headers: Mapping[str, str | None] | None = None,
        server: Server | None = None,
        seconds: float = PATIENCE_SECONDS,
        **query: Any,
    ) -> Answer | None:
        """Send a request to a server, or to any that is up, and judge its answer."""
        up = self.up()
        if not up or (server is not None and server not in up):
            return None
        server = server or chance.choice(up)
        assert server is not None
        headers = {"idempotency-key": key, **(headers or {})} if key else headers or {}
        answer = await server.send(method, path, body, caller, headers, seconds, **query)
        if self._trace is not None:
            sent = json.dumps(body) if body else ""
            self.trace(f"{server.name} {caller} {method} {path} {query or ''} {sent} -> {_said(answer)}")
        if answer is None:
            return None
        self.marks[f"status:{answer.status}"] += 1
        if answer.code:
            self.marks[f"code:{answer.code}"] += 1
        if answer.status < 400:
            self.marks[f"operation:{ROUTER.find(method, PREFIX + path).operation.id}"] += 1
            for found in ID.finditer(json.dumps(answer.data)):
                self.known[found[1]].append(found[0])
        elif answer.code not in CODES:
            self.fail("no code", f"{method} {path}: {_said(answer)}")
        if answer.status == 500 or (answer.status == 503 and answer.code != "HALTED" and self.calm(5.0)):
            self.fail("server error", f"{method} {path}: {_said(answer)}")
        if not any(name.startswith("x-athena") for name in headers):  # else it is of another caller
            self.oracle.answered(method, path, caller, query, answer)
        if key and answer.status < 500:
            self.oracle.keyed(method, path, body, caller, key, answer)
        return answer

    # A history

    async def play(self, steps: Sequence[Step]) -> None:
        await self._begin()
        began = self.loop.time()
        tasks = []
        for step in steps:
            move = MOVES[step.name]
            wait = began + step.at - self.loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self.trace(f"-- {step.number} {step.name}")
            tasks.append(self.loop.create_task(move.act(self, step.chance)))
        if tasks:
            await asyncio.wait(tasks, timeout=1_000)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
            task.cancel()
        await self._end()

    async def _begin(self) -> None:
        first = self.start("one")
        await first.ready
        for body in PROFILES:
            answer = await first.send("POST", "/harness-profiles", body)
            assert answer is not None and answer.status < 300, answer
            self.known["profile"].append(answer.data["id"])
        for name in ("two", "three")[: self.chance.choice((0, 1, 1, 2))]:
            await self.start(name).ready

    async def _end(self) -> None:
        """Let the faults stop, lift every limit, answer every ask, and wait until every run has ended."""
        self.ending = True
        self.full_until = self.failing_commits = 0
        for server in self.servers.values():
            server.crash_at = server.crash_at if server.dead else 0
        await asyncio.sleep(60.0)
        if not self.up():
            await self.bring_up("one")
        self.troubled(hard=False)
        await asyncio.sleep(30.0)
        end = self.loop.time() + END_SECONDS
        await self._force("DELETE", "/halt")
        await self._force("PUT", "/policy", {"policy": {"schemaVersion": 1}, "auditComment": "the end"})
        for schedule in list(self.oracle.schedules):
            await self._force("DELETE", f"/schedules/{schedule}")
        while (open_runs := self.oracle.open_runs()) or self.oracle.open_work():
            for ask_id, ask in list(self.oracle.open_asks.items()):
                option = "deny" if ask.kind == "tool-permission" else "decline"
                await self._force("POST", f"/asks/{ask_id}/answer", {"subjectHash": ask.shown, "optionId": option})
            for run_id in open_runs:
                if self.oracle.runs[run_id].status == "paused":
                    await self._force("POST", f"/runs/{run_id}/resume", {"budgetUsd": 100})
            for workflow_run, step_id, shown in list(self.oracle.approvals()):
                path = f"/workflows/run/{workflow_run}/steps/{step_id}/approve"
                await self._force("POST", path, {"subjectHash": shown})
            await asyncio.sleep(30.0)
            if self.loop.time() > end:
                stuck = {one: self.oracle.runs[one].status for one in open_runs}
                self.fail("no end", f"{len(stuck)} runs have not ended: {stuck}, {self.oracle.open_work()}")
                break
        await judge_end(self)
        self.judged = True

    async def _force(self, method: str, path: str, body: Any = None) -> None:
        server = self.up()[0]
        answer = await server.send(method, path, body, "root")
        self.trace(f"{server.name} root {method} {path} -> {answer and answer.status} {answer and answer.data}"[:300])

    async def follow_to_the_end(self) -> None:
        """Let the followers read the rest of the feed, and compare what they saw with the log."""
        for follower in self.followers:
            await follower.finish(self)

    async def stop(self) -> None:
        for server in self.up():
            await server.leave()

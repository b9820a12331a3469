"""A run of the check: a scripted run of one agent on the private server, and what became of it."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from athena_cli.agent_check.private_plane import POLL_SECONDS, Json
from athena_cli.agent_check.processes import Process, alive, kill_agent, of_directory
from athena_cli.agent_check.rows import expect
from athena_cli.agent_check.scripted.model import TOKENS, AgentModel, Script
from athena_cli.agent_check.scripted.wires import Tokens

if TYPE_CHECKING:
    from athena_cli.agent_check.subject import Subject

ALLOW: Sequence[Json] = ({"match": {}, "approval": "allow"},)
ENDED = frozenset(("completed", "failed", "cancelled", "timed-out", "crashed"))
TIMEOUT_MS = 120_000
GONE_SECONDS = 5.0
"""How long processes of an ended run may take to be gone."""


class CheckedRun:
    """A run. ``start`` it, then look at it."""

    def __init__(self, subject: "Subject", row: str) -> None:
        """``row`` is the key of the row that looks at it."""
        self._row = row
        self.subject = subject
        self._plane = subject.plane
        self.run_id = ""
        self.model = AgentModel(())
        self._files: Path | None = None
        self.processes: list[Process] = []
        """The processes that it had when they were looked up last."""

    async def start(
        self,
        script: Script,
        *,
        permissions: Sequence[Json] = ALLOW,
        tokens: Tokens = TOKENS,
        budget_usd: float = 0,
        **fields: Any,
    ) -> None:
        """Start the run. Without ``permissions`` a person is asked."""
        subject, plane = self.subject, self._plane
        agent: Json = {"name": subject.known.name} | ({"permissions": list(permissions)} if permissions else {})
        profile: Json = {
            "displayName": "Check",
            "version": "v1",
            "config": {"provider": subject.known.provider, "model": subject.model, "tools": ["evidence"]},
            "policies": {"timeoutMs": TIMEOUT_MS, "retryLimit": 1, "budgetUsd": budget_usd},
            "sandbox": {"mode": "required" if subject.boxed else "off"},
            "agent": agent,
        }
        created = await plane.post("/harness-profiles", profile | fields)
        task, self.model = plane.script(script, tokens, escalates=not subject.boxed)
        self.run_id = (await plane.post("/runs", {"input": task, "harnessProfileId": created["id"]}))["runId"]
        await self.files()

    async def record(self) -> Json:
        """Return the record of the run."""
        return dict(await self._plane.get(f"/runs/{self.run_id}"))

    async def payloads(self, *types: str) -> list[Json]:
        """Return the payloads of events of the run."""
        return [event["payload"] for event in await self._plane.events(self.run_id, *types)]

    async def until(self, ready: Callable[[Json], object], what: str) -> Json:
        """Return the record once something is the case. Raise Differs if the run ends without it."""
        while not ready(record := await self.record()):
            await self._wait_on(record, what)
        return record

    async def until_recorded(self, kind: str, what: str) -> list[Json]:
        """Return the payloads of the events of a type once there is one. Raise Differs if the run ends without it."""
        while True:
            record = await self.record()
            if found := await self.payloads(kind):
                return found
            await self._wait_on(record, what)

    async def _wait_on(self, record: Json, what: str) -> None:
        """Wait before the next look. Raise Differs if the run has ended."""
        expect(record["status"] not in ENDED, f"The run ended as {described(record)} before {what}.")
        await asyncio.sleep(POLL_SECONDS)

    async def ended(self, *statuses: str) -> Json:
        """Return the record of the run once it has ended. Raise Differs if it ended otherwise."""
        record = await self.until(lambda record: record["status"] in ENDED, "its end")
        await self._look_for_processes()
        expect(record["status"] in (statuses or ("completed",)), f"The run ended as {described(record)}.")
        return record

    async def _look_for_processes(self) -> None:
        """Note the processes that the run has left."""
        files = await self.files()
        until = time.monotonic() + GONE_SECONDS
        while left := [*of_directory(self._plane.tree, files), *alive(self.processes)]:
            if time.monotonic() >= until:
                self.subject.left += left
                return
            await asyncio.sleep(POLL_SECONDS)

    async def files(self) -> Path:
        """Return the directory in which the run works, once it has one."""
        if self._files is None:
            (opened, *_) = await self.until_recorded("workspace.opened", "it had a workspace")
            self._files = self._plane.state_dir / "workspaces" / str(opened["workspaceId"]) / "files"
        return self._files

    async def made(self, name: str) -> Path:
        """Return the path of a file once the agent has made it. Raise Differs if the run ends before."""
        path = await self.files() / name
        await self.until(lambda record: path.exists(), f"its command had made {name}")
        return path

    def has_made(self, name: str) -> bool:
        """Return True if the agent has made a file."""
        return self._files is not None and (self._files / name).exists()

    async def read(self, name: str) -> str | None:
        """Return the content of a file of the run; None if there is none."""
        path = await self.files() / name
        return path.read_text(errors="replace") if path.is_file() else None

    async def look_up_processes(self) -> list[Process]:
        """Return the processes of the agent."""
        self.processes = of_directory(self._plane.tree, await self.files())
        return self.processes

    async def parked(self) -> None:
        """Wait until the run is parked. Raise Differs if it ends before."""
        await self.until(lambda record: record["status"] == "paused", "it was parked")

    async def expect_no_process(self) -> None:
        """Raise Differs if the agent has a process."""
        left = await self.look_up_processes()
        expect(not left, f"The parked run has {len(left)} processes.")

    async def kill_agent(self) -> None:
        """Kill the agent with SIGKILL. Raise Differs if it has no process."""
        expect(kill_agent(await self.look_up_processes()), "No process of the agent was found.")

    async def kill_athena(self) -> None:
        """Wait until the server was killed and is back."""
        await self.subject.athena_dies(self._row)

    # Asks

    async def asked(self) -> list[Json]:
        """Return the asks of the run once there is one. Raise Differs if it ends before."""
        return await self.until_recorded("run.asked", "it asked")

    async def answer(self, option: str = "allow", **fields: Any) -> None:
        """Answer all open asks of the run."""
        answered = {one["askId"] for one in await self.payloads("run.answered")}
        for ask in await self.asked():
            if ask["askId"] not in answered:
                body = {"subjectHash": ask["subjectSha256"], "optionId": option, **fields}
                await self._plane.post(f"/asks/{ask['askId']}/answer", body)

    async def answer_all(self, option: str = "allow", *, statuses: Collection[str] = ()) -> Json:
        """Answer asks as they come, until the run has ended. Return its record."""
        while True:
            record = await self.record()
            if record["status"] in ENDED:
                return await self.ended(*statuses)
            if record.get("waiting"):
                await self.answer(option)
            await asyncio.sleep(POLL_SECONDS)

    # Control

    async def cancel(self) -> None:
        await self._plane.post(f"/run-control/by-run/{self.run_id}/cancel")

    async def resume(self, budget_usd: float) -> None:
        """Resume the run with a higher budget."""
        await self._plane.post(f"/runs/{self.run_id}/resume", {"budgetUsd": budget_usd})


def described(record: Json) -> str:
    """Return the status of a run, with its error."""
    error = record.get("error")
    return f"{record['status']} ({error['code']}: {error['message']})" if error else str(record["status"])

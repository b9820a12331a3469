"""A plane in this process, whose loop works with a model that follows a script."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec

from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import run
from athena_core.event import Event, Fact, Meta
from athena_core.services.runs.admission import RunTransaction, apply_command
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody
from tests.support.api import PATIENCE_SECONDS
from tests.support.model import Model, Profile, Step, acting
from tests.support.records import judge

META = Meta(actor="ada", correlation="trace")


class Plane:
    """A plane in this process, with a model that follows a script."""

    def __init__(self, parts: ControlPlane, model: Model, directory: Path) -> None:
        self.parts = parts
        self.model = model
        self.effects = directory / "workspace" / "effects.txt"

    async def start(self, profile: Profile, **fields: Any) -> str:
        """Start a run without waiting. Return its id."""
        spec = msgspec.convert(msgspec.json.decode(msgspec.json.encode(profile.body)), HarnessSpec, strict=True)
        profile_id = (await self.parts.catalog.create_profile(spec, META, None)).subject or ""
        body = RunBody(input="go", harness_profile_id=profile_id, **fields)
        return (await self.parts.runs.start(body, LOCAL, META, None, wait=False)).subject or ""

    def events(self, run_id: str) -> list[Event]:
        return [row.event for row in self.parts.runs.recorded(run_id)]

    def types(self, run_id: str) -> list[str]:
        return [event.TYPE for event in self.events(run_id)]

    async def until(self, run_id: str, *types: str, count: int = 1) -> None:
        """Wait until a run has this many events of these types."""
        noticed = anyio.Event()
        self.parts.tail.subscribe(lambda rows: noticed.set())
        with anyio.fail_after(PATIENCE_SECONDS):
            while sum(kind in types for kind in self.types(run_id)) < count:
                await noticed.wait()
                noticed = anyio.Event()

    async def ended(self, run_id: str) -> Event:
        await self.until(run_id, *run.ENDING_TYPES)
        return self.events(run_id)[-1]

    async def answer(
        self, run_id: str, option: str = "allow", ask: int = 0, also: Sequence[Fact] = (), **fields: Any
    ) -> None:
        """Answer an open ask of a run, in a command with other facts; a parked run whose last ask it was is resumed."""
        open_ask = self.parts.runs.state(run_id).asks[ask]
        command = run.AnswerAsk(
            ask_id=open_ask.ask_id, subject_sha256=open_ask.subject_sha256, option_id=option, by="ada", **fields
        )

        def transaction(reader: Reader, context: Context) -> Outcome:
            decided = RunTransaction(reader, context, self.parts.runs.capacity)
            decided.decide(run_id, command)
            decided.decide(run_id, run.ResumeRun(executor=""))
            return Outcome(facts=(*decided.facts, *also))

        await self.parts.log.submit(transaction, META)

    async def command(self, run_id: str, command: run.RunCommand) -> None:
        capacity = self.parts.runs.capacity
        await self.parts.log.submit(
            lambda reader, context: apply_command(reader, context, capacity, run_id, command), META
        )

    def results(self, run_id: str) -> list[run.TranscriptAppended]:
        events = self.events(run_id)
        return [event for event in events if isinstance(event, run.TranscriptAppended) and event.role == "tool"]


@asynccontextmanager
async def at_work(directory: Path, *script: Step, **settings: str) -> AsyncIterator[Plane]:
    """Settings are named without their prefix, in lower case."""
    with acting(script) as model:
        workspace = directory / "workspace"
        workspace.mkdir(exist_ok=True)
        settings |= {"state_dir": str(directory / "state"), "workspace_root": str(workspace)}
        named = {f"ATHENA_{name.upper()}": text for name, text in settings.items()}
        parts = wire(load(named | {"ATHENA_OPENAI_BASE_URL": model.url}, directory), SystemClock(), SystemIds())
        async with plane_lifespan(parts, serving=True):
            yield Plane(parts, model, directory)
    judge(directory / "state")

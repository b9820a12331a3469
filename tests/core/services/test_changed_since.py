"""Changes after work was described: erased texts, lost roles, restarted servers."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import FixedClock, SystemIds
from athena_core.definitions.profile import HarnessConfig, HarnessPolicies, HarnessSpec
from athena_core.definitions.workflow_graph import Approval, Dependency, OutputMapping, Step, WorkflowDefinition
from athena_core.domain import dead_letter, directive, plane, queue, redrive, run, workflow_run
from athena_core.enums import QueueMode
from athena_core.errors import AuthzDeniedError, Contradicted
from athena_core.event import Event, Meta, Recorded
from athena_core.services.erasure import redaction
from athena_core.services.queues.messages import MessageBody
from athena_core.services.queues.queues import DrainBody, EnqueueBody
from athena_core.services.queues.redrives import RedriveBody, RedriveFilter
from athena_core.settings import load
from athena_core.values import LOCAL, Identity, Role
from tests.support.api import PATIENCE_SECONDS

META = Meta(actor="local", correlation="trace")
PROFILE = HarnessSpec(
    display_name="Mock",
    version="v1",
    config=HarnessConfig(provider="mock", model="mock-model", tools=("none",)),
    policies=HarnessPolicies(timeout_ms=60_000, retry_limit=1, budget_usd=0.0),
)
ROLES = "ada:Operator\nroot:Admin\n*:Viewer"
ADA, ROOT = Identity(subject="ada", role=Role.OPERATOR), Identity(subject="root", role=Role.ADMIN)
HOUR = 3_600_000
E = TypeVar("E", bound=Event)


class Place:
    """A running plane, and what a test makes on it."""

    def __init__(self, parts: ControlPlane, roles: Path) -> None:
        self.parts = parts
        self._roles = roles
        self._news = anyio.Event()
        parts.tail.subscribe(lambda rows: self._news.set())

    def roles(self, text: str) -> None:
        self._roles.write_text(text)
        assert self.parts.access.roster.reload()

    async def step(self, name: str, says: str = "hello") -> Step:
        made = await self.parts.catalog.create_directive(directive.DirectiveSpec(input=says), META, None)
        profile = await self.parts.catalog.create_profile(PROFILE, META, None)
        return Step(id=name, directive_id=made.subject, harness_profile_id=profile.subject)

    async def start(self, *steps: Step | Dependency, who: Identity = LOCAL, **values: str) -> str:
        """Start a workflow run of a caller. Return it once it waits for an approval or has ended."""
        definition = WorkflowDefinition(
            steps=tuple(one for one in steps if isinstance(one, Step)),
            dependencies=tuple(one for one in steps if isinstance(one, Dependency)),
        )
        made = await self.parts.workflows.create(definition, who, META, None)
        started = await self.parts.workflows.start(made.subject or "", values, who, META, None)
        run_id = started.subject or ""
        with anyio.fail_after(PATIENCE_SECONDS):
            assert await self.parts.workflows.settled(run_id, PATIENCE_SECONDS)
        return run_id

    async def judge(self, run_id: str, step_id: str = "ask", *, who: Identity = LOCAL, approve: bool = True) -> str:
        """Decide a step's approval. Return the status of the run once it settles."""
        state, _ = await self.parts.workflows.load(run_id)
        command = workflow_run.DecideApproval(
            step_id=step_id,
            subject_sha256=state.step(step_id).subject_sha256 or "",
            approve=approve,
            by=who.subject,
        )
        await self.parts.workflows.judge(run_id, command, who, "approveWorkflowStep", META, None)
        return await self.ended(run_id)

    async def ended(self, run_id: str) -> str:
        await self.until(workflow_run.WorkflowRunCompleted, workflow_run.WorkflowRunFailed, stream=run_id)
        return (await self.parts.workflows.load(run_id))[0].status

    async def until(self, *kinds: type[E], stream: str | None = None) -> E:
        """Return the first event of these kinds, once there is one."""
        with anyio.fail_after(PATIENCE_SECONDS):
            while True:
                self._news = anyio.Event()
                for one in self.told(stream):
                    if isinstance(one.event, kinds):
                        return one.event
                await self._news.wait()

    def told(self, stream: str | None = None) -> list[Recorded[Event]]:
        reader = self.parts.reader
        rows = reader.rows(0, reader.head()) if stream is None else reader.stream(stream)
        return [self.parts.log.codec.decode(row) for row in rows]

    def one(self, kind: type[E]) -> E:
        (found,) = (one.event for one in self.told() if isinstance(one.event, kind))
        return found

    async def erase(self, *streams: str) -> None:
        positions = [one.position for stream in streams for one in self.told(stream)]
        assert positions
        for position in positions:
            await self.erase_at(position)

    async def erase_at(self, position: int) -> None:
        with closing(self.parts.log.reader()) as reader:
            found = redaction.text_of_event(reader, self.parts.log.codec, position)
            await redaction.redact(self.parts.log, reader, found, "personal data", META)

    async def sent(self, who: Identity = ROOT, payload: str = "look") -> dead_letter.DeadLetterAdded:
        """Return the dead letter of a message to bob that cannot be delivered."""
        body = MessageBody(from_persona="bob", to_persona="bob", payload=payload)
        await self.parts.messages.send(body, who, META, None)
        return await self.until(dead_letter.DeadLetterAdded)

    async def enqueued(self, *payloads: str, who: Identity = LOCAL, mode: QueueMode = "collect") -> None:
        for payload in payloads:
            body = EnqueueBody(session_id="s", payload=payload, mode=mode)
            await self.parts.queues.enqueue(body, who, META, None)

    async def drained(self) -> Event:
        committed = await self.parts.queues.drain("s", DrainBody(), LOCAL, META, None)
        ends = (queue.WorkDrained, queue.WorkDrainFailed)
        with anyio.fail_after(PATIENCE_SECONDS):
            while True:
                self._news = anyio.Event()
                for one in self.told("work:s"):
                    if one.position > committed.position and isinstance(one.event, ends):
                        return one.event
                await self._news.wait()


@asynccontextmanager
async def place(directory: Path, clock: FixedClock | None = None, *, auth: bool = False) -> AsyncIterator[Place]:
    roles = directory / "roles"
    if not roles.exists():
        roles.write_text(ROLES)
        (directory / "personas").mkdir()
        (directory / "personas" / "bob.json").write_text(json.dumps({"schemaVersion": 1, "id": "bob"}))
    settings = {"ATHENA_STATE_DIR": str(directory / "state"), "ATHENA_WORKSPACE_ROOT": str(directory)}
    if auth:
        settings |= {"ATHENA_AUTH_ENABLED": "true", "ATHENA_AUTH_ROLE_MAP_FILE": str(roles)}
    parts = wire(load(settings, directory), clock or FixedClock(), SystemIds())
    async with plane_lifespan(parts, serving=True):
        yield Place(parts, roles)


def edge(source: str, target: str, *names: str) -> Dependency:
    mappings = tuple(OutputMapping(from_output="output", to_input=name) for name in names) or None
    return Dependency(source=source, target=target, mappings=mappings)


def asks(**fields: object) -> Step:
    return Step(id="ask", approval=Approval(message="go on?", **fields))  # type: ignore[arg-type]


# Erased texts


@pytest.mark.parametrize("what", ["directive", "input", "output"])
async def test_a_step_redacted_after_its_workflow_began_is_not_run(tmp_path: Path, what: str) -> None:
    clock = FixedClock()
    async with place(tmp_path, clock) as at:
        says = {"directive": "the secret", "input": "about {{secret}}", "output": "about {{found}}"}[what]
        first, second = await at.step("a", "the secret"), await at.step("b", says)
        mapped = edge("a", "b", "found") if what == "output" else edge("a", "b")
        ask = asks(expires_after_ms=HOUR, on_expiry="approve")  # a run that continues alone keeps what it read
        run_id = await at.start(first, ask, second, edge("a", "ask"), edge("ask", "b"), mapped, secret="the secret")
        state, _ = await at.parts.workflows.load(run_id)
        erased = {"directive": second.directive_id, "input": run_id, "output": state.step("a").run_id}
        await at.erase(erased[what] or "")
        clock.advance(HOUR)
        at.parts.reactors.ask(at.parts.workflow_stepper.name, run_id)
        assert await at.ended(run_id) == "failed"
        (failed,) = (one.event for one in at.told(run_id) if isinstance(one.event, workflow_run.WorkflowStepFailed))
        assert (failed.step_id, failed.code, failed.will_retry) == ("b", "INPUT_REDACTED", False)
        assert str(failed.error_text).startswith("input-redacted: ")
        runs = [one for one in at.told() if isinstance(one.event, run.RunCreated)]
        assert len(runs) == 1, "no run was made of what was erased"


async def test_an_erased_input_is_missed_by_the_steps_that_need_it_until_a_resume_gives_another(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        needs, does_not = await at.step("b", "about {{secret}}"), await at.step("c", "on {{topic}}")
        run_id = await at.start(asks(), needs, does_not, edge("ask", "b"), edge("ask", "c"), secret="x", topic="y")
        workflow_id = (await at.parts.workflows.load(run_id))[0].workflow_id
        await at.erase(run_id)
        assert await at.judge(run_id) == "failed"
        given = {"secret": "another"}
        await at.parts.workflows.resume(workflow_id, run_id, given, LOCAL, META, None, exactly=True)
        assert await at.parts.workflows.settled(run_id, PATIENCE_SECONDS)
        assert await at.parts.workflows.waits(run_id), "another value is to be approved again"
        await at.judge(run_id)
        assert await at.parts.workflows.settled(run_id, PATIENCE_SECONDS)
        state, _ = await at.parts.workflows.load(run_id)
        assert [(name, state.step(name).status) for name in "bc"] == [("b", "ok"), ("c", "failed")]


async def test_an_item_that_was_redacted_is_buried_and_those_beside_it_are_done(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.enqueued("one", "two", "three")
        _, second, _ = at.told("work:s")
        assert isinstance(second.event, queue.WorkEnqueued)
        await at.erase_at(second.position)
        await at.enqueued("two")
        failed = await at.drained()
        assert isinstance(failed, queue.WorkDrainFailed)
        assert "redacted" in str(failed.error_text)
        letter = at.one(dead_letter.DeadLetterAdded)
        assert (letter.reason, [item.item_id for item in letter.items]) == ("unrunnable", [second.event.item_id])
        done = await at.drained()
        assert isinstance(done, queue.WorkDrained)
        (said,) = (
            one.event.content
            for one in at.told()
            if isinstance(one.event, run.TranscriptAppended) and one.event.role == "user"
        )
        assert said == "one\n\nthree\n\ntwo", "what was erased is not the same as what came after it"


@pytest.mark.parametrize("source", ["work", "a2a"])
async def test_a_dead_letter_whose_payload_was_redacted_is_not_requeued(tmp_path: Path, source: str) -> None:
    async with place(tmp_path, auth=True) as at:
        if source == "a2a":
            letter = await at.sent(Identity(subject="eve", role=Role.OPERATOR))
        else:
            item = EnqueueBody(session_id="persona-bob", payload="look", mode="followup")
            await at.parts.queues.enqueue(item, Identity(subject="eve", role=Role.OPERATOR), META, None)
            letter = await at.sent()
        assert (letter.source, letter.reason) == (source, "not-allowed")
        await at.until(queue.WorkDrained if source == "work" else queue.WorkDrainFailed)
        await at.erase(letter.id)
        items = sum(isinstance(one.event, queue.WorkEnqueued) for one in at.told())
        with pytest.raises(Contradicted, match="redacted"):
            await at.parts.dead_letters.requeue(letter.id, ROOT, META, None)
        body = RedriveBody(filter=RedriveFilter(), rate_per_second=100)
        await at.parts.redrives.start(body, ROOT, META, None)
        seen = await at.until(redrive.RedriveAdvanced)
        assert (seen.dead_letter_id, seen.result, seen.code) == (letter.id, "failed", "CONFLICT")
        assert sum(isinstance(one.event, queue.WorkEnqueued) for one in at.told()) == items


async def test_a_redrive_keeps_its_rate_from_the_first_letter_on_and_after_a_restart(tmp_path: Path) -> None:
    clock = FixedClock()

    async def advance(at: Place, job: str) -> int:
        """Let the redrive do everything that is due. Return how many letters it has processed."""
        with anyio.fail_after(PATIENCE_SECONDS):
            assert await at.parts.redrives.act(job) == clock.now() + 500
        return sum(isinstance(one.event, redrive.RedriveAdvanced) for one in at.told(job))

    async with place(tmp_path, clock, auth=True) as at:
        for _ in range(4):
            body = MessageBody(from_persona="bob", to_persona="bob", payload="look")
            await at.parts.messages.send(body, Identity(subject="eve", role=Role.OPERATOR), META, None)
        with anyio.fail_after(PATIENCE_SECONDS):
            while sum(isinstance(one.event, dead_letter.DeadLetterAdded) for one in at.told()) < 4:
                await anyio.sleep(0)
        wanted = RedriveBody(filter=RedriveFilter(), rate_per_second=2)
        job = (await at.parts.redrives.start(wanted, ROOT, META, None)).subject or ""
        await at.until(redrive.RedriveAdvanced)
        assert await advance(at, job) == 1
        clock.advance(500)
        assert await advance(at, job) == 2
    async with place(tmp_path, clock, auth=True) as at:
        with anyio.fail_after(PATIENCE_SECONDS):
            while len(at.told(job)) < 4:
                await anyio.sleep(0)
        assert await advance(at, job) == 3


# Lost roles


async def test_a_step_whose_author_lost_the_role_is_refused_when_it_would_begin(tmp_path: Path) -> None:
    async with place(tmp_path, auth=True) as at:
        first, second = await at.step("a"), await at.step("b")
        run_id = await at.start(first, asks(), second, edge("a", "ask"), edge("ask", "b"), who=ADA)
        at.roles(ROLES.replace("ada:Operator", "ada:Viewer"))
        assert await at.judge(run_id, who=ROOT) == "failed"
        failed = at.one(workflow_run.WorkflowStepFailed)
        assert (failed.step_id, failed.code) == ("b", "AUTHZ_DENIED")
        assert "the workflow's author ada now has the role Viewer" in str(failed.error_text)
        at.roles(ROLES)
        workflow_id = failed.workflow_id
        await at.parts.workflows.resume(workflow_id, run_id, None, ROOT, META, None, exactly=True)
        assert await at.parts.workflows.settled(run_id, PATIENCE_SECONDS)
        assert (await at.parts.workflows.load(run_id))[0].status == "ok"


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({}, Identity(subject="vera", role=Role.VIEWER)),
        ({"role": "Admin"}, ADA),
        ({"approvers": ("grace",)}, ROOT),
        ({"approvers": ("ada",), "role": "Admin"}, ADA),
    ],
)
async def test_another_caller_may_not_approve_and_nothing_continues(
    tmp_path: Path, fields: dict[str, object], who: Identity
) -> None:
    async with place(tmp_path, auth=True) as at:
        run_id = await at.start(asks(**fields), who=ADA)
        for approve in (True, False):
            with pytest.raises(AuthzDeniedError, match="may decide"):
                await at.judge(run_id, who=who, approve=approve)
        assert await at.parts.workflows.waits(run_id)
        denials = [one.event for one in at.told() if isinstance(one.event, plane.AuthzDenied)]
        assert [(one.subject, one.operation) for one in denials] == [(who.subject, "approveWorkflowStep")] * 2


async def test_a_named_approver_may_approve(tmp_path: Path) -> None:
    async with place(tmp_path, auth=True) as at:
        run_id = await at.start(asks(approvers=("ada", "grace")), who=ROOT)
        assert await at.judge(run_id, who=ADA) == "ok"


async def test_work_whose_author_lost_the_role_becomes_a_dead_letter(tmp_path: Path) -> None:
    async with place(tmp_path, auth=True) as at:
        letter = await at.sent(Identity(subject="eve", role=Role.OPERATOR), "mine")
        assert (letter.reason, letter.code, letter.source_persona) == ("not-allowed", "AUTHZ_DENIED", "bob")
        assert "eve now has the role Viewer" in str(letter.error_text)
        assert letter.attempts == ()
        assert not any(isinstance(one.event, run.RunCreated) for one in at.told())
        await at.parts.dead_letters.requeue(letter.id, ROOT, META, None)
        await at.until(queue.WorkDrained)
        at.one(run.RunCompleted)  # it is the work of the caller who requeued it


# Restarted servers


@pytest.mark.parametrize(
    ("expires", "default", "status"),
    [(None, None, "ok"), (HOUR, "approve", "ok"), (HOUR, "reject", "failed"), (HOUR, None, "failed")],
)
async def test_an_approval_outlives_the_server_that_asked_for_it(
    tmp_path: Path, expires: int | None, default: str | None, status: str
) -> None:
    clock = FixedClock()
    async with place(tmp_path, clock) as at:
        first, second = await at.step("a"), await at.step("b")
        flow: Sequence[Step | Dependency] = (
            first,
            asks(expires_after_ms=expires, on_expiry=default),
            second,
            edge("a", "ask"),
            edge("ask", "b"),
        )
        run_id = await at.start(*flow)
        asked = (await at.parts.workflows.load(run_id))[0].step("ask")
    clock.advance(2 * HOUR)
    async with place(tmp_path, clock) as at:
        if expires is None:
            state, _ = await at.parts.workflows.load(run_id)
            assert (state.status, state.step("ask")) == ("waiting", asked)
            assert await at.judge(run_id) == status
        else:
            assert await at.ended(run_id) == status
            decided = at.told(run_id)
            causes = [one.event.cause for one in decided if isinstance(one.event, workflow_run.WorkflowApprovalGranted)]
            assert causes == (["expiry"] if status == "ok" else [])
        assert (await at.parts.workflows.load(run_id))[0].step("a").attempt == 1

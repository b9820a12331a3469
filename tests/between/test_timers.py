"""Timers: due work is done once, whatever happens to the server, the log or the clock, on both databases."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import pytest

from athena_core.clock import iso
from athena_core.domain import message, permission_rule, plane, queue, redrive, run, schedule, workflow_run, workspace
from athena_core.errors import TokenInvalid
from athena_core.event import Event
from athena_core.system.timer import Timer
from tests.between.conftest import Planes
from tests.between.life import asking
from tests.support.api import soon
from tests.support.broken_store import refused
from tests.support.directed import DirectedModel, directed
from tests.support.gate import Gates
from tests.support.inside import Inside
from tests.support.machine import HOUR, Machine
from tests.support.model import Profile, call
from tests.support.records import judge

RETRY_MS = 20_000
ASKS = {"holdMs": 0, "expiresAfterMs": HOUR, "onExpiry": "cancel"}
PUSH = call("shell", command=["/bin/sh", "-c", "true"])
QUESTION = call("ask_user", question="Which branch?")


class World:
    """A plane on a machine whose clocks the test sets, and the work that it does."""

    def __init__(self, directory: Path, store: dict[str, str], gates: Gates, model: DirectedModel) -> None:
        self.machine, self.gates, self.model = Machine(), gates, model
        self.kept = directory / "kept.anchors"
        personas = directory / "workspace" / "personas"
        personas.mkdir(parents=True)
        for name in ("ada", "bob", "cat"):
            (personas / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name}))
        self.url = store.get("database_url", "")
        self.plane = Inside(
            directory,
            self.machine.still(),
            a2a_retry_ms=str(RETRY_MS),
            work_max_attempts="2",
            workspaces_keep_hours="1",
            anchor_to=str(self.kept),
            anchor_seconds="1",
            workspace_root=str(personas.parent),
            openai_base_url=model.url,
            openai_api_key="key",
            **gates.settings,
            **store,
        )
        self.known: dict[str, Any] = {}

    def profile(self, **fields: Any) -> str:
        """Create a profile for the model; return its id."""
        more = fields.pop("more", {})
        return str(self.plane.data("POST", "/harness-profiles", Profile(**fields).body | more)["id"])

    def events(self, *kinds: type[Event]) -> list[Any]:
        """Return the recorded events of some kinds."""
        parts = self.plane.app.plane

        async def read() -> list[Any]:
            rows = parts.reader.of_types(tuple(kind.TYPE for kind in kinds), 0, parts.reader.head(), 10_000)
            return [parts.log.codec.decode(row).event for row in rows]

        return self.plane.call(read)

    def timers(self) -> dict[str, Timer]:
        """Return the timers of the plane, by their loops."""
        parts = self.plane.app.plane
        found = [timer for part in parts if isinstance(timer := getattr(part, "timer", None), Timer)]
        return {timer.loop: timer for timer in (*found, *parts.reactors.loops.values())}

    def look(self) -> None:
        """Let each timer look for due work, and wait until what was found is done."""
        parts = self.plane.app.plane

        async def wake() -> None:
            for timer in self.timers().values():
                timer.wake()

        self.plane.call(wake)
        for _ in soon():
            looked = not any(timer.woken.is_set() for timer in self.timers().values())
            if looked and parts.reactors.idle and parts.tail.caught_up:
                return


# Arming: each function makes something due after an hour of the date, or sooner of the boot clock


def arm_ask(world: World) -> None:
    profile = world.profile(tools=("ask_user", "files"), asks=ASKS)
    said = world.model.script("question", QUESTION, "done")
    asks = world.plane.begin(said, "asking", harnessProfileId=profile)
    world.plane.until(f"/runs/{asks}", "status", "paused")
    world.known["behind"] = world.plane.begin("behind", "asking", harnessProfileId=profile)


def arm_rule(world: World) -> None:
    profile = world.profile(tools=("shell", "files"), approval="ask", asks=ASKS)
    said = world.model.script("push", PUSH, "done")
    run_id = world.plane.begin(said, "allowing", harnessProfileId=profile)
    world.plane.until(f"/runs/{run_id}", "status", "paused")
    (ask,) = (one for one in world.plane.data("GET", "/asks")["items"] if one["runId"] == run_id)
    body = {"subjectHash": ask["subjectHash"], "optionId": "allow", "remember": "session", "rememberForMs": HOUR}
    world.plane.data("POST", f"/asks/{ask['id']}/answer", body)
    world.plane.until(f"/runs/{run_id}", "status", "completed")


def arm_approval(world: World) -> None:
    asking(world.plane, "reject")


def arm_slot(world: World) -> None:
    at = iso(world.machine.wall + HOUR)
    world.plane.data("POST", "/schedules", {"id": "once", "sessionId": "slots", "input": "slot", "runAt": at})


def send(world: World, to: str) -> str:
    body = {"fromPersona": "ada", "toPersona": to, "payload": "fail"}
    return str(world.plane.data("POST", "/a2a/messages", body)["messageId"])


def arm_redrive(world: World) -> None:
    """Requeue two dead letters at one a second."""
    for _ in range(2):
        send(world, "bob")
    for _ in soon():
        world.machine.go(RETRY_MS)
        world.look()
        if len(world.plane.data("GET", "/a2a/dlq")["items"]) == 2:
            break
    world.plane.data("POST", "/a2a/dlq/redrive", {"filter": {}, "ratePerSecond": 1})
    for _ in soon():
        if world.events(redrive.RedriveAdvanced):
            return


def arm_message(world: World) -> None:
    world.known["failed drains"] = count(world, queue.WorkDrainFailed)
    world.known["message"] = send(world, "cat")
    for _ in soon():
        if count(world, queue.WorkDrainFailed) > world.known["failed drains"]:
            return


def arm_workspace(world: World) -> None:
    profile = world.profile(tools=("files",), more={"workspace": "session"})
    write = call("files", action="write", path="a.txt", content="yes")
    run_id = world.plane.begin(world.model.script("write", write, "done"), "owner", harnessProfileId=profile)
    world.plane.until(f"/runs/{run_id}", "status", "completed")


def arm_timeout(world: World) -> None:
    gate = world.gates["held"]
    world.known["held"] = world.plane.begin(gate.order, "held")
    gate.arrival()


def arm_failure(world: World) -> None:
    world.plane.app.plane.authentication_limits.failed(TokenInvalid("wrong"), "192.0.2.1")


def arm_refusal(world: World) -> None:
    world.plane.app.plane.refusal_limits.suppress("ada", "createRun")


def arm_use(world: World) -> None:
    world.plane.app.plane.tokens.identify(world.known["token"]["token"].encode())


def count(world: World, kind: type[Event], **fields: Any) -> int:
    found = world.events(kind)
    return sum(all(getattr(event, name) == value for name, value in fields.items()) for event in found)


def count_of(world: World, known: str, kind: type[Event]) -> int:
    """Return the number of events of a kind in the stream of something that was armed."""
    parts = world.plane.app.plane

    async def read() -> int:
        return sum(row.type == kind.TYPE for row in parts.reader.stream(world.known[known]))

    return world.plane.call(read)


def uses(world: World) -> int:
    parts = world.plane.app.plane

    async def read() -> int:
        with closing(parts.log.reader()) as reader:
            return len(reader.token_uses((world.known["token"]["tokenId"],)))

    return world.plane.call(read)


Clock: TypeAlias = Literal["date", "boot", "none"]


class Row(NamedTuple):
    """One kind of due work: the clock that makes it due, and the number of times that it was done.

    ``none`` is due at once: it is armed only when the trouble has begun.
    """

    clock: Clock
    arm: Callable[[World], None]
    acted: Callable[[World], int]


ROWS: Mapping[str, Row] = {
    "reactors.redrives": Row("boot", arm_redrive, lambda world: count(world, redrive.RedriveAdvanced) - 1),
    "reactors.drains": Row("boot", arm_message, lambda world: count_of(world, "message", message.MessageStarted) - 1),
    "reactors.asks": Row("date", arm_ask, lambda world: count(world, run.RunAnswered, cause="expiry")),
    "reactors.asks of rules": Row(
        "date", arm_rule, lambda world: count(world, permission_rule.PermissionRuleRevoked, cause="expiry")
    ),
    "reactors.workflows": Row("date", arm_approval, lambda world: count(world, workflow_run.WorkflowApprovalRejected)),
    "reactors.schedules": Row("date", arm_slot, lambda world: count(world, schedule.ScheduleRunStarted)),
    "reactors.workspaces": Row("date", arm_workspace, lambda world: count(world, workspace.WorkspaceCleaned)),
    "runner.sweep": Row("boot", arm_timeout, lambda world: count_of(world, "held", run.RunTimedOut)),
    "authentication.flush": Row("none", arm_failure, lambda world: count(world, plane.AuthnFailed)),
    "refusals.flush": Row("none", arm_refusal, lambda world: count(world, plane.RequestsSuppressed)),
    "tokens.uses": Row("none", arm_use, uses),
    "anchors.send": Row("none", lambda world: None, lambda world: int(world.kept.exists())),
}

WITHOUT_TIME = {
    "agents.memory": "measures memory; nothing is recorded as due",
    "reactors.reviews": "continues with the end of a run, which the leader also reads from the log",
    "workspaces.removal": "removes the directories of cleaned workspaces, and reads which from the log each time",
}
"""Timers that make nothing due, and why."""


@pytest.fixture
def world(tmp_path: Path, store: dict[str, str], gates: Gates) -> Iterator[World]:
    """A plane with everything armed that takes time."""
    with ExitStack() as stack:
        found = World(tmp_path, store, gates, stack.enter_context(directed()))
        found.plane.start()
        stack.callback(found.plane.stop)
        assert set(found.timers()) <= {name.partition(" ")[0] for name in ROWS} | set(WITHOUT_TIME), "add a row"
        found.known["token"] = found.plane.data("POST", "/tokens", {"identity": "ci", "role": "Viewer"})
        for row in ROWS.values():
            if row.clock != "none":
                row.arm(found)
        found.plane.call(found.plane.app.plane.reactors.look)  # as each minute: workspaces are planned by it
        found.look()
        yield found
    judge(found.plane.state_dir, found.url)


def arm_the_rest(world: World) -> None:
    for row in ROWS.values():
        if row.clock == "none":
            row.arm(world)


def acted(world: World, *clocks: Clock) -> dict[str, int]:
    """Wait until the rows of some clocks have acted, without waking them. Return how often each row has."""
    found: dict[str, int] = {}
    try:
        for _ in soon():
            found = {name: row.acted(world) for name, row in ROWS.items()}
            if all(found[name] for name, row in ROWS.items() if row.clock in clocks):
                break
    except AssertionError:
        raise AssertionError(found) from None
    if found["reactors.asks"]:  # the run behind the one whose ask expired
        assert world.plane.until(f"/runs/{world.known['behind']}", "status", "completed", "timed-out", "failed")
    world.look()
    return {name: row.acted(world) for name, row in ROWS.items()}


def once(*clocks: Clock) -> dict[str, int]:
    return {name: int(row.clock in clocks) for name, row in ROWS.items()}


ALL: tuple[Clock, ...] = ("date", "boot", "none")


def down(world: World, patch: pytest.MonkeyPatch) -> None:
    """All is due while the server is down."""
    arm_the_rest(world)
    world.plane.stop()
    world.machine.go(HOUR)
    world.plane.start()


def trouble(world: World, patch: pytest.MonkeyPatch) -> None:
    """All is due while the log accepts nothing."""
    parts, failing = world.plane.app.plane, True
    refused(parts.log.store, lambda: failing, patch)
    arm_the_rest(world)
    world.machine.go(HOUR)
    troubled = {f"reactors.{name}" for name in ("asks", "drains", "redrives", "schedules", "workflows", "workspaces")}
    for _ in soon():
        if {problem.loop for problem in parts.log.problems.failing()} >= troubled:
            break
    failing = False


def twice(world: World, patch: pytest.MonkeyPatch) -> None:
    """All is asked for again, and by another leader."""
    arm_the_rest(world)
    world.machine.go(HOUR)
    acted(world, *ALL)
    for _ in range(2):
        world.plane.call(world.plane.app.plane.reactors.look)
        world.look()
    world.plane.stop()
    world.plane.start()


def forward(world: World, patch: pytest.MonkeyPatch) -> None:
    """The date jumps, and deadlines by date are over. Deadlines of the boot clock do not come earlier."""
    arm_the_rest(world)
    world.machine.jump(HOUR)
    world.plane.data("POST", "/admin/clock/accept")
    assert acted(world, "date", "none") == once("date", "none")
    world.machine.go(HOUR)


def back(milliseconds: int, world: World, patch: pytest.MonkeyPatch) -> None:
    """The date steps back between two looks. Deadlines of the boot clock do not come later."""
    arm_the_rest(world)
    world.machine.jump(-milliseconds)
    world.look()
    world.machine.go(HOUR)
    assert acted(world, "boot", "none") == once("boot", "none")
    world.machine.go(milliseconds)


def back_a_millisecond(world: World, patch: pytest.MonkeyPatch) -> None:
    back(1, world, patch)


def back_an_hour(world: World, patch: pytest.MonkeyPatch) -> None:
    back(HOUR, world, patch)


OTHERS = (down, trouble, twice, back_an_hour)
"""Trials that the plane of the simulator plays too, on files: servers that end, a full disk, a clock that steps."""


@pytest.mark.parametrize(
    "trial", [forward, back_a_millisecond, *(pytest.param(trial, marks=pytest.mark.heavy) for trial in OTHERS)]
)
def test_what_time_makes_due_happens_once(
    trial: Callable[[World, pytest.MonkeyPatch], None], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial(world, monkeypatch)
    assert acted(world, *ALL) == once(*ALL)
    assert world.plane.data("GET", f"/runs/{world.known['behind']}")["status"] == "completed"


@pytest.mark.both
@pytest.mark.parametrize("lost", ["end", "beginning"])
def test_a_leader_finds_the_end_of_a_step_that_it_did_not_hear_of(lost: str, planes: Planes, gates: Gates) -> None:
    gate = gates["step"]
    with planes(**gates.settings) as plane:
        directive = plane.data("POST", "/directives", {"input": gate.order})["id"]
        body = Profile().body | {"toolPolicies": None}
        body["config"] = {"provider": "local-exec", "model": "script", "tools": ["none"]}
        profile = plane.data("POST", "/harness-profiles", body)["id"]
        steps = [{"id": "one", "directiveId": directive, "harnessProfileId": profile}]
        definition = {"steps": steps, "dependencies": []}
        workflow = plane.data("POST", "/workflows", {"definition": definition})["id"]
        run_id = plane.data("POST", f"/workflows/{workflow}/run", {}, prefer="respond-async")["id"]
        gate.arrival()
        parts = plane.app.plane
        for _ in soon():
            if parts.reactors.idle:
                break
        if lost == "end":  # as if another process led meanwhile
            parts.workflow_stepper._owners.clear()
        else:
            parts.workflow_stepper._known.clear()
            parts.workflow_stepper._owners.clear()
        gate.release()
        (step,) = plane.data("GET", "/runs")["items"]
        plane.until(f"/runs/{step['runId']}", "status", "completed")
        plane.call(parts.reactors.look)
        assert plane.until(f"/workflows/run/{run_id}", "status", "ok")["status"] == "ok"

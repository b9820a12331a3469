"""Runs of outside agents at an executor: which ones it leases, and which ones wait for memory."""

from functools import partial

import pytest
from msgspec.structs import replace

from athena_core.decider import Context, Outcome, Reader
from athena_core.definitions.profile import AgentPolicy
from athena_core.domain import policy, run
from athena_core.services.execution.outside.agent_memory import admit_freed
from athena_core.services.runs.admission import admit, apply_command, claim, take_over
from athena_core.services.runs.agent_room import EXPECTED_BYTES, SHOWN_BYTES_MAX, AgentRoom, agent_of
from athena_core.services.runs.prepared import ExecutorCapacity
from tests.core.services.prepared_run import prepared
from tests.support.events.run import COMPLETED, SPEC
from tests.support.simulated_plane import World

MIB = 1 << 20
ROOM = AgentRoom(
    frozenset(("codex", "gemini")), bytes_max=700 * MIB, expected={"codex": 300 * MIB, "gemini": 400 * MIB}
)
HERE = ExecutorCapacity("exe_1", 1, 9, frozenset({"mock"}), ROOM)
ELSEWHERE = ExecutorCapacity("exe_2", 2, 9, frozenset({"mock"}))


@pytest.fixture
def world() -> World:
    return World(policy.Policy(schema_version=1), 9)


def ask(world: World, run_id: str, agent: str | None = "codex", capacity: ExecutorCapacity = HERE) -> str | None:
    """Request a run. Return why it waits."""
    spec = replace(SPEC, agent=None if agent is None else AgentPolicy(name=agent))
    request = prepared(run_id, profile=spec, session_id=run_id, directive_id=f"dir_{run_id}", capacity=capacity)
    waits: list[str | None] = []

    def transaction(reader: Reader, context: Context) -> Outcome:
        admission = admit(reader, context, request)
        waits.append(admission.wait)
        return Outcome(facts=admission.facts)

    world.submit(transaction)
    return waits[0]


def end(world: World, run_id: str, capacity: ExecutorCapacity = HERE) -> None:
    command = run.EndRun(token=1, last=(), ending=COMPLETED)
    world.submit(lambda reader, context: apply_command(reader, context, capacity, run_id, command))


def leased(world: World, executor: str = "exe_1") -> list[str]:
    return [run_id for run_id, (holder, _) in world.guards("lease").items() if holder == executor]


# Agents of an executor


def test_an_executor_leaves_runs_of_other_agents_to_others(world: World) -> None:
    assert ask(world, "run_1", "opencode") is None
    assert not leased(world)
    (created,) = [row for row in world.rows if row.type == run.RunCreated.TYPE]
    assert b'"requestedBy":""' in created.data, "any executor may lease it"
    claimed = world.submit(lambda reader, context: claim(reader, context, HERE, {"run_1": "hi"}))
    assert claimed == ()
    others = HERE._replace(executor="exe_2", agents=AgentRoom(frozenset({"opencode"})))
    assert world.submit(lambda reader, context: claim(reader, context, others, {"run_1": "hi"})) == ("run_1",)
    world.submit(lambda reader, context: take_over(reader, context, HERE, "run_1", 1, "dead"))
    assert leased(world, "exe_2") == ["run_1"]


def test_an_executor_leases_runs_of_its_agents_and_of_the_loop(world: World) -> None:
    assert ask(world, "run_1") is ask(world, "run_2", None) is None
    assert leased(world) == ["run_1", "run_2"]
    assert ask(world, "run_3", None, ELSEWHERE) is None
    assert leased(world, "exe_2") == ["run_3"]


def test_long_names_are_not_in_the_description_of_a_process() -> None:
    assert ROOM.shown == ("codex", "gemini")
    assert AgentRoom(frozenset("x" * SHOWN_BYTES_MAX)).shown == ("x",)
    assert AgentRoom(frozenset({"x" * SHOWN_BYTES_MAX})).shown is None


def test_the_agent_of_a_run_is_in_its_limit_keys() -> None:
    assert agent_of((1, "session", "provider:openai", "agent:codex")) == "codex"
    assert agent_of((1, "agent", "provider:agent:codex")) is None


# Memory


def test_runs_wait_for_memory_and_begin_in_order_once_there_is_some(world: World) -> None:
    assert [ask(world, f"run_{number}") for number in range(1, 5)] == [None, None, "agent-memory", "agent-memory"]
    assert ask(world, "run_5", None) is None, "the loop needs none"
    assert leased(world) == ["run_1", "run_2", "run_5"]
    end(world, "run_2")
    assert list(world.guards("waiting")) == ["run_4"]
    end(world, "run_1")
    assert not world.guards("waiting")


def test_an_executor_without_living_agents_has_room_for_one_of_any_size(world: World) -> None:
    small = HERE._replace(agents=ROOM._replace(bytes_max=1))
    assert [ask(world, f"run_{number}", capacity=small) for number in (1, 2)] == [None, "agent-memory"]


def test_what_processes_take_counts_and_not_what_their_agent_is_expected_to_take(world: World) -> None:
    ask(world, "run_1")
    grown = HERE._replace(agents=ROOM._replace(taken={"run_1": 401 * MIB}))
    assert ask(world, "run_2", capacity=grown) == "agent-memory"
    shrunk = HERE._replace(agents=ROOM._replace(taken={"run_1": 1 * MIB}))
    assert [ask(world, f"run_{number}", capacity=shrunk) for number in (3, 4, 5)] == [None, None, "agent-memory"]


def test_memory_that_nothing_was_measured_of_is_expected(world: World) -> None:
    unknown = HERE._replace(agents=ROOM._replace(expected={}, bytes_max=2 * EXPECTED_BYTES))
    assert [ask(world, f"run_{number}", capacity=unknown) for number in (1, 2, 3)] == [None, None, "agent-memory"]


def test_a_waiting_run_does_not_hold_up_a_smaller_agent(world: World) -> None:
    assert ask(world, "run_1", "gemini") is None
    assert ask(world, "run_2", "gemini") == "agent-memory"
    assert ask(world, "run_3", "codex") is None


def test_runs_begin_once_less_is_measured(world: World) -> None:
    ask(world, "run_1")
    grown = HERE._replace(agents=ROOM._replace(taken={"run_1": 500 * MIB}))
    assert ask(world, "run_2", capacity=grown) == "agent-memory"
    world.submit(lambda reader, context: admit_freed(reader, context, grown))
    assert list(world.guards("waiting")) == ["run_2"]
    world.submit(lambda reader, context: admit_freed(reader, context, HERE))
    assert not world.guards("waiting")
    assert world.submit(lambda reader, context: claim(reader, context, grown, {"run_2": "hi"})) == ()
    assert world.submit(lambda reader, context: claim(reader, context, HERE, {"run_2": "hi"})) == ("run_2",)


def test_runs_of_a_lost_executor_are_taken_over_as_memory_allows(world: World) -> None:
    lost = HERE._replace(executor="exe_2", agents=ROOM._replace(bytes_max=None))
    for number in range(1, 5):
        ask(world, f"run_{number}", capacity=lost)
    for run_id in leased(world, "exe_2"):
        world.submit(partial(take_over, capacity=HERE, run_id=run_id, token=1, loss="dead"))
    assert leased(world) == ["run_1", "run_2"]


def test_an_executor_that_executes_nothing_limits_nothing(world: World) -> None:
    assert [ask(world, f"run_{number}", capacity=ExecutorCapacity()) for number in (1, 2, 3)] == [None] * 3

"""The sandbox of a run: who needs one, and what the record says where none works."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from athena_core.definitions.profile import (
    AgentPolicy,
    Egress,
    HarnessConfig,
    HarnessPolicies,
    HarnessSpec,
    SandboxPolicy,
    VerificationPolicy,
)
from athena_core.domain import run
from athena_core.enums import SandboxMode
from athena_core.errors import SandboxUnavailable
from athena_core.services.execution.agent import Agent
from athena_core.services.execution.progress import RunProgress
from athena_core.services.sandboxes import RunSandbox, RunSandboxes, limits_of, runs_commands
from athena_core.settings import load
from athena_core.system.sandbox import DEFAULT_LIMITS, SandboxProbe
from athena_core.tools.tool import CommandBox, ToolResult
from tests.support.asking_plane import without_servers

WORKS = SandboxProbe(True, "0.11.0")
MISSING = SandboxProbe(False, None, "bubblewrap is not installed", "Install the package bubblewrap.", "not-installed")
BROKEN = SandboxProbe(False, "0.11.0", "no user namespaces", "Set user.max_user_namespaces.", "failed")
SILENT = SandboxProbe(False, None, "bubblewrap failed: it has no version", "See the manual.", "failed")
FOREIGN = SandboxProbe(False, None, "sandboxes need Linux", "Run the server on Linux.", "not-supported")


def profile(mode: SandboxMode | None, *tools: str, readable: tuple[str, ...] | None = None) -> HarnessSpec:
    return HarnessSpec(
        display_name="p",
        version="v1",
        config=HarnessConfig(provider="mock", model="m", tools=tools or ("shell",)),
        policies=HarnessPolicies(timeout_ms=1_000, retry_limit=1, budget_usd=0),
        sandbox=None if mode is None else SandboxPolicy(mode=mode, read_only=readable),
    )


def opened(spec: HarnessSpec, found: SandboxProbe, *, required: bool = False, named: bool = True) -> RunSandbox:
    async def work() -> RunSandbox:
        async with RunSandboxes(required=required, probed=lambda: found).opened(spec, named=named) as sandbox:
            return sandbox

    return asyncio.run(work())


def begins(sandbox: RunSandbox) -> list[tuple[str, str | None]]:
    steps = (step.sandbox for step in sandbox.beginning() if isinstance(step, run.SandboxLifecycle))
    return [(report.phase, report.reason) for report in steps if report is not None]


def test_without_a_policy_nothing_is_tried() -> None:
    def never() -> SandboxProbe:
        raise AssertionError("it was tried")

    async def work() -> None:
        sandboxes = RunSandboxes(required=False, probed=never)
        for spec in (profile(None), profile("off")):
            async with sandboxes.opened(spec, named=True) as sandbox:
                assert (sandbox.box, sandbox.refusal, sandbox.beginning()) == (None, None, ())
            assert not await sandboxes.boxes(spec)

    asyncio.run(work())


@pytest.mark.parametrize("mode", ["preferred", "required"])
def test_commands_get_a_box_where_one_works(mode: SandboxMode) -> None:
    sandbox = opened(profile(mode), WORKS)
    assert (sandbox.box, sandbox.refusal, sandbox.beginning()) == (CommandBox(), None, ())


def test_preferred_goes_on_without_one_and_says_so() -> None:
    reasons = {MISSING: "not-installed", BROKEN: "failed", SILENT: "failed", FOREIGN: "not-supported"}
    for found, reason in reasons.items():
        sandbox = opened(profile("preferred"), found)
        assert (sandbox.box, sandbox.refusal, begins(sandbox)) == (None, None, [("fallback", reason)])


def test_required_is_refused_with_reason_and_remedy() -> None:
    for spec in (profile("required"), profile("required", "files")):  # also without commands
        sandbox = opened(spec, MISSING)
        assert isinstance(sandbox.refusal, SandboxUnavailable)
        assert "bubblewrap is not installed. Install the package bubblewrap." in sandbox.refusal.message
        assert begins(sandbox) == [("required-unavailable", "not-installed")]


@pytest.mark.parametrize("mode", [None, "off", "preferred"])
def test_the_setting_requires_it_of_all_commands(mode: SandboxMode | None) -> None:
    assert opened(profile(mode), MISSING, required=True).refusal is not None
    assert opened(profile(mode), WORKS, required=True).box is not None
    verifies = VerificationPolicy(id="v", kind="command", label="l", command=("true",))
    assert opened(replace(profile(mode, "files"), verification_policies=(verifies,)), MISSING, required=True).refusal
    idle = opened(profile(mode, "files"), MISSING, required=True)
    assert (idle.refusal, idle.beginning()) == (None, ())
    assert opened(profile(mode), MISSING, required=True, named=False).refusal is None


def test_the_proxy_lives_as_long_as_the_lease() -> None:
    policy = SandboxPolicy(mode="required", network="egress")
    spec = replace(profile("required"), sandbox=policy, allowed_egress=(Egress(host="example.org"),))

    async def work() -> None:
        async with RunSandboxes(required=False, probed=lambda: WORKS).opened(spec, named=True) as sandbox:
            assert sandbox.box is not None and sandbox.box.proxy is not None
            assert sandbox.box.proxy.is_socket()
        assert not sandbox.box.proxy.exists()

    asyncio.run(work())


def test_a_link_to_a_closed_place_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/proc")
    refusal = opened(profile("required", readable=(str(link),)), WORKS).refusal
    assert refusal is not None and "leads to /proc" in refusal.message


def test_git_of_a_review_follows_its_profile() -> None:
    async def boxes(mode: SandboxMode | None, found: SandboxProbe, *, required: bool = False) -> bool:
        return await RunSandboxes(required=required, probed=lambda: found).boxes(profile(mode) if mode else None)

    assert asyncio.run(boxes("preferred", WORKS))
    assert not asyncio.run(boxes("preferred", MISSING))
    for mode, required in (("required", False), (None, True)):
        with pytest.raises(SandboxUnavailable):
            asyncio.run(boxes(cast(Any, mode), MISSING, required=required))


def test_the_first_command_is_recorded_once_and_the_end_if_there_was_one() -> None:
    sandbox = opened(profile("required"), WORKS)
    sandbox.note(ToolResult(content="refused"))
    assert (sandbox.unrecorded(), sandbox.cleaned()) == ((), ())
    sandbox.note(ToolResult(content="", boxed_ms=7))
    (ready,) = sandbox.unrecorded()
    sandbox.note(ToolResult(content="", boxed_ms=9))
    assert sandbox.unrecorded() == ()
    (cleaned,) = sandbox.cleaned()
    reports = [step.sandbox for step in (ready, cleaned) if isinstance(step, run.SandboxLifecycle)]
    assert [(one.phase, one.latency_ms_startup, one.isolation_profile) for one in reports if one] == [
        ("ready", 7, "high-security"),
        ("cleaned", None, "high-security"),
    ]


def test_a_refused_run_ends_before_its_first_step() -> None:
    spec = profile("required")

    class Assignment:
        run_id = "run_1"
        progress = RunProgress()

        class request:
            harness_profile_snapshot = spec
            profile_named = True

    nothing = cast(Any, None)
    agent = Agent(
        *(nothing,) * 4,
        ids=nothing,
        clock=nothing,
        mask=nothing,
        rules=nothing,
        sandboxes=RunSandboxes(required=False, probed=lambda: MISSING),
        mcp=without_servers(nothing),
    )
    end = asyncio.run(agent.work(cast(Any, Assignment), nothing))
    assert end is not None and isinstance(end.ending, run.RunFailed)
    assert (end.ending.code, end.ending.retryable) == ("SANDBOX_UNAVAILABLE", False)
    assert [step.TYPE for step in end.last] == ["sandbox.lifecycle"]


def test_the_box_of_an_agent_has_its_paths_and_wider_limits() -> None:
    box = CommandBox(readonly=(Path("/opt/a"),), proxy=Path("/run/p"))
    made = box.for_agent(Path("/state/home"), Path("/run/g"), (Path("/opt/agent"),))
    assert (made.readonly, made.proxy) == ((Path("/opt/a"), Path("/opt/agent")), Path("/run/p"))
    assert (made.home, made.gateway, made.limits) == (Path("/state/home"), Path("/run/g"), DEFAULT_LIMITS.for_agent())


def test_runs_of_an_agent_have_a_sandbox_although_they_have_no_tool_that_runs_commands() -> None:
    spec = profile("preferred")
    plain = replace(spec, config=replace(spec.config, tools=("none",)), verification_policies=None)
    assert not runs_commands(plain)
    assert runs_commands(replace(plain, agent=AgentPolicy(name="codex")))


def test_the_limits_are_the_ones_of_the_settings(tmp_path: Path) -> None:
    assert limits_of(load({}, tmp_path)) == DEFAULT_LIMITS
    names = {"MEMORY_BYTES_MAX": "67108864", "PROCESSES_MAX": "8", "CPU_SECONDS_MAX": "1", "DISK_BYTES_MAX": "1048576"}
    limits = limits_of(load({f"ATHENA_SANDBOX_{name}": value for name, value in names.items()}, tmp_path))
    assert (limits.memory_bytes, limits.processes, limits.cpu_seconds, limits.disk_bytes) == (1 << 26, 8, 1, 1 << 20)

    async def work() -> None:
        async with RunSandboxes(required=True, limits=limits, probed=lambda: WORKS).opened(
            profile(None), named=True
        ) as s:
            assert s.box is not None and s.box.limits == limits

    asyncio.run(work())

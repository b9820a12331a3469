"""The sandbox of a run: who needs one, and what the record says where none works."""

import asyncio
from contextlib import nullcontext
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
from athena_core.enums import SandboxMode, SandboxNetwork
from athena_core.errors import ConfigError, SandboxUnavailable
from athena_core.mask import Mask
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.services.execution.agent import Agent
from athena_core.services.execution.mcp.run_mcp import McpParts
from athena_core.services.execution.progress import RunProgress
from athena_core.services.sandboxes import (
    RunSandbox,
    RunSandboxes,
    check_boxed,
    limits_of,
    must_be_boxed,
    programs_trusted,
    runs_commands,
)
from athena_core.settings import load
from athena_core.system.sandbox import DEFAULT_LIMITS, SandboxProbe
from athena_core.tools.tool import CommandBox, ToolResult

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


@pytest.mark.parametrize("network", ["none", "egress"])
def test_a_limit_of_the_network_is_not_pretended_without_a_sandbox(network: SandboxNetwork) -> None:
    policy = SandboxPolicy(mode="preferred", network=network)
    spec = replace(profile("preferred"), sandbox=policy, allowed_egress=(Egress(host="example.org"),))
    sandbox = opened(spec, MISSING)
    assert sandbox.refusal is not None and begins(sandbox) == [("required-unavailable", "not-installed")]
    assert f"sandbox.network is {network}" in sandbox.refusal.message
    assert opened(spec, WORKS).box is not None


@pytest.mark.parametrize(
    ("settings", "trusted"),
    [
        ({}, False),
        ({"AUTH_ENABLED": "true"}, True),
        ({"AUTH_ENABLED": "true", "AUTH_PROXY_SECRET": "a-secret-of-the-proxy-with-32-characters"}, False),
        ({"AUTH_ENABLED": "true", "AUTH_TRUSTED_PROXIES": "none"}, False),
        ({"AUTH_ENABLED": "true", "AUTH_TRUSTED_PROXIES": "10.0.0.0/8"}, False),
        ({"AUTH_ENABLED": "true", "AUTH_TRUSTED_PROXIES": "127.0.0.0/8"}, True),
        ({"AUTH_ENABLED": "true", "AUTH_TRUSTED_PROXIES": "10.0.0.0/8,::1/128"}, True),
    ],
)
def test_headers_of_this_machine_are_trusted_from_any_program(
    settings: dict[str, str], trusted: bool, tmp_path: Path
) -> None:
    read = load({f"ATHENA_{name}": value for name, value in settings.items()}, tmp_path)
    assert programs_trusted(read) is trusted
    assert must_be_boxed(read) is trusted


@pytest.mark.parametrize("mode", [None, "off", "preferred", "required"])
def test_no_command_runs_unboxed_where_any_program_is_a_trusted_proxy(mode: SandboxMode | None) -> None:
    async def refusal(spec: HarnessSpec, found: SandboxProbe) -> str | None:
        sandboxes = RunSandboxes(required=False, programs_trusted=True, probed=lambda: found)
        async with sandboxes.opened(spec, named=True) as sandbox:
            assert sandbox.refusal is not None or sandbox.box is not None or not runs_commands(spec)
            return None if sandbox.refusal is None else sandbox.refusal.message

    boxed = mode in {"preferred", "required"}
    works = asyncio.run(refusal(profile(mode), WORKS))
    assert (works is None) if boxed else ("ATHENA_AUTH_PROXY_SECRET" in str(works))
    assert asyncio.run(refusal(profile(mode), MISSING)) is not None
    if mode != "required":
        assert asyncio.run(refusal(profile(mode, "files"), MISSING)) is None
    with nullcontext() if boxed else pytest.raises(ConfigError, match="ATHENA_AUTH_PROXY_SECRET"):
        check_boxed(profile(mode))


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
        mcp=McpParts(nothing, RegisteredMcpServers(), *(nothing,) * 4, Mask(()), nothing, nothing, None),
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

"""The sandbox of a run: whether its commands have one, and which of its phases happened.

A run that requires a sandbox never gets further without one: not on this executor, and not on another one.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

from anyio import to_thread

from athena_core.definitions.profile import HarnessSpec, SandboxPolicy
from athena_core.domain import run
from athena_core.domain.profile import OF_THE_KERNEL
from athena_core.enums import SandboxMode, SandboxPhase
from athena_core.errors import AthenaError, ConfigError, SandboxUnavailable
from athena_core.proxies import TrustedProxies
from athena_core.settings import Settings
from athena_core.system.sandbox import DEFAULT_LIMITS, LackOfSandbox, SandboxLimits, SandboxProbe, probe
from athena_core.tools.egress_proxy import EgressProxy
from athena_core.tools.tool import CommandBox, ToolResult

UNBOXED = (
    "commands of this profile would run without a sandbox and could act as any person, because this server trusts the "
    "identity header of every program of this machine. Set sandbox.mode to required, or set ATHENA_AUTH_PROXY_SECRET "
    "and let the proxy send it"
)
UNLIMITED = (
    "sandbox.network is {}, which only a sandbox enforces, and no sandbox works on this machine: {}. {} Or leave "
    "sandbox.network out: then commands without a sandbox reach every network"
)
NO_PROXY = "the egress proxy of the sandbox has no socket: {}. Let the server write its runtime directory."


class RunSandbox:
    """The sandbox of a run under one lease. ``box`` is None if commands run without one.

    ``refusal`` is the reason why the run must not go on, None if it may. ``lacks`` is the code of the reason without
    the wanted sandbox.
    """

    def __init__(
        self,
        profile: HarnessSpec,
        box: CommandBox | None = None,
        refusal: AthenaError | None = None,
        lacks: LackOfSandbox | None = None,
    ) -> None:
        self.box = box
        self.refusal = refusal
        self.lacks = lacks
        self._profile = profile
        self._pending: tuple[run.RunStep, ...] = ()
        self._ready = False

    def phase(self, phase: SandboxPhase, *, started_ms: int | None = None, reason: str | None = None) -> run.RunStep:
        """Return the record of a phase."""
        policy = self._profile.sandbox
        return run.SandboxLifecycle(
            sandbox=run.SandboxReport(
                schema_version=1,
                backend="agent-sandbox",
                phase=phase,
                provider="bwrap",
                isolation_profile="high-security" if policy is not None and policy.mode == "required" else "standard",
                network=(policy and policy.network) or "none",
                latency_ms_startup=started_ms,
                reason=reason,
            )
        )

    def beginning(self) -> tuple[run.RunStep, ...]:
        """Return the record that the run goes on without the sandbox that it prefers, or cannot go on without it."""
        if self.lacks is None:
            return ()
        return (self.phase("fallback" if self.refusal is None else "required-unavailable", reason=self.lacks),)

    def note(self, result: ToolResult) -> None:
        """Handle the result of a call."""
        if result.boxed_ms is not None and not self._ready:
            self._ready = True
            self._pending = (self.phase("ready", started_ms=result.boxed_ms),)

    def unrecorded(self) -> tuple[run.RunStep, ...]:
        """Return the record of the first command in the sandbox, once."""
        steps, self._pending = self._pending, ()
        return steps

    def cleaned(self) -> tuple[run.RunStep, ...]:
        """Return the record that nothing of the sandbox is left, for the end of a run that had one."""
        return (self.phase("cleaned"),) if self._ready and not self._pending else ()


class RunSandboxes:
    """Makes the sandboxes of the runs of this executor."""

    def __init__(
        self,
        *,
        required: bool,
        programs_trusted: bool = False,
        limits: SandboxLimits = DEFAULT_LIMITS,
        probed: Callable[[], SandboxProbe] = probe,
    ) -> None:
        """``required``: commands of every run need a sandbox, whatever its profile says.

        ``programs_trusted``: the server takes an identity from any program of this machine, so none runs without one.
        """
        self.limits = limits
        self.programs_trusted = programs_trusted
        self._required = required
        self._probe = probed

    def mode(self, profile: HarnessSpec | None) -> SandboxMode:
        """Return whether commands run in a sandbox, by the profile and the settings."""
        wanted = "off" if profile is None or profile.sandbox is None else profile.sandbox.mode
        return "required" if self._required else wanted

    async def probed(self) -> SandboxProbe:
        """Return whether a sandbox works in this process. The first call tries it."""
        return await to_thread.run_sync(self._probe)

    async def boxes(self, profile: HarnessSpec | None) -> bool:
        """Return True if commands before a run have a sandbox: git of a review. Raise SandboxUnavailable."""
        mode = self.mode(profile)
        if mode == "off":
            return False
        found = await self.probed()
        if mode == "required" and not found.available:
            raise unavailable(found)
        return found.available

    def opened(self, profile: HarnessSpec, *, named: bool) -> AbstractAsyncContextManager[RunSandbox]:
        """Return a context with the sandbox of a run, whose proxy ends with it. ``named``: the run named its profile.

        A run without commands needs one only if its profile requires it.
        """
        policy, mode = profile.sandbox, self.mode(profile)
        demanded = policy is not None and policy.mode == "required"
        commands = named and runs_commands(profile)
        if mode == "off" and commands and self.programs_trusted:
            return nullcontext(RunSandbox(profile, refusal=SandboxUnavailable(UNBOXED)))
        if mode == "off" or not (demanded or commands):
            return nullcontext(RunSandbox(profile))
        return self._opened(profile, mode)

    def _not_without(self, policy: SandboxPolicy | None, found: SandboxProbe) -> SandboxUnavailable | None:
        """Return why a run that prefers a sandbox cannot go on without one, None if it can."""
        if self.programs_trusted:
            return SandboxUnavailable(UNBOXED)
        if policy is not None and policy.network is not None:
            return SandboxUnavailable(UNLIMITED.format(policy.network, found.reason, found.remedy))
        return None

    @asynccontextmanager
    async def _opened(self, profile: HarnessSpec, mode: SandboxMode) -> AsyncIterator[RunSandbox]:
        policy, found = profile.sandbox, await self.probed()
        if not found.available:
            refusal = unavailable(found) if mode == "required" else self._not_without(policy, found)
            yield RunSandbox(profile, refusal=refusal, lacks=found.lack or "failed")
            return
        try:
            readonly = await to_thread.run_sync(_readable, profile)
        except ConfigError as error:
            yield RunSandbox(profile, refusal=error)
            return
        if policy is None or policy.network != "egress":
            yield RunSandbox(profile, CommandBox(readonly=readonly, limits=self.limits))
            return
        async with AsyncExitStack() as stack:
            try:
                proxy = await stack.enter_async_context(EgressProxy(profile.allowed_egress or ()))
            except OSError as error:
                refusal = SandboxUnavailable(NO_PROXY.format(error.strerror))
                yield RunSandbox(profile, refusal=refusal, lacks="failed")
            else:
                yield RunSandbox(profile, CommandBox(readonly=readonly, proxy=proxy.socket, limits=self.limits))


def programs_trusted(settings: Settings) -> bool:
    """Return True if a server with these settings takes an identity from any program of its machine."""
    proxies = TrustedProxies(settings.auth_trusted_proxies, settings.auth_proxy_secret)
    return settings.auth_enabled and proxies.trusts_programs


def must_be_boxed(settings: Settings) -> bool:
    """Return True if a profile whose commands have no sandbox is refused. A setting may box all of them anyway."""
    return programs_trusted(settings) and not settings.runtime_isolation_standard_require_sandbox


def check_boxed(profile: HarnessSpec) -> None:
    """Raise ConfigError for a profile whose commands have no sandbox, where any program may name an identity."""
    mode = "off" if profile.sandbox is None else profile.sandbox.mode
    if mode == "off" and runs_commands(profile):
        raise ConfigError.of("sandbox.mode", UNBOXED)


def limits_of(settings: Settings) -> SandboxLimits:
    """Return the limits of sandboxes that an operator may set."""
    return DEFAULT_LIMITS._replace(
        memory_bytes=settings.sandbox_memory_bytes_max,
        processes=settings.sandbox_processes_max,
        cpu_seconds=settings.sandbox_cpu_seconds_max,
        disk_bytes=settings.sandbox_disk_bytes_max,
    )


def runs_commands(profile: HarnessSpec) -> bool:
    """Return True if runs of a profile may start commands, or an outside agent."""
    verifies = any(policy.kind == "command" for policy in profile.verification_policies or ())
    return verifies or profile.agent is not None or "shell" in profile.config.tools


def unavailable(found: SandboxProbe) -> SandboxUnavailable:
    """Return the error of a command that needs a sandbox where none works."""
    return SandboxUnavailable(f"no sandbox works on this machine: {found.reason}. {found.remedy}")


def _readable(profile: HarnessSpec) -> tuple[Path, ...]:
    """Return the paths that a profile shows in the sandbox. Raise ConfigError for a link to a closed place."""
    readable: list[Path] = []
    for text in (profile.sandbox and profile.sandbox.read_only) or ():
        real = Path(text).resolve()
        if real == Path("/") or any(real.is_relative_to(own) for own in OF_THE_KERNEL):
            raise ConfigError(f"sandbox.readOnly: {text} leads to {real}, which a sandbox does not show")
        readable.append(Path(text))
    return tuple(readable)

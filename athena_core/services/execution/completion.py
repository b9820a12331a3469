"""The completion of a run: it verifies the answer against the profile, and runs the commands of that."""

from functools import partial

import msgspec
from msgspec.structs import replace

from athena_core.clock import Ids
from athena_core.definitions.profile import HarnessSpec, ToolPolicies
from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.services.execution.model_call import ModelAnswer
from athena_core.services.execution.performer import RunEnd
from athena_core.services.execution.progress import RunProgress
from athena_core.services.execution.run_place import RunPlace
from athena_core.services.execution.verification import VerificationResult, evidence_of, judge, masked
from athena_core.services.workspaces.workspaces import Workspaces
from athena_core.tools.tool import ServerCalls, ToolContext, ToolResult
from athena_core.tools.toolbox import ToolRegistry
from athena_core.values import ContextMeta, Reliability


class RunCompletion:
    """Completes runs that have an answer. The same for all performers."""

    def __init__(self, tools: ToolRegistry, workspaces: Workspaces, ids: Ids, mask: Mask) -> None:
        self._tools = tools
        self._workspaces = workspaces
        self._ids = ids
        self._mask = mask

    async def end(
        self,
        request: run.RunCreated,
        progress: RunProgress,
        place: RunPlace,
        last: tuple[run.RunStep, ...],
        context: ContextMeta,
        answered: ModelAnswer | None = None,
    ) -> RunEnd:
        """Return the end of a run that has an answer, after verifying it against the profile.

        The changes in its workspace, which the performer's ``closing`` returns, are evidence for that.
        """
        profile = request.harness_profile_snapshot
        evidence = evidence_of((*progress.events, *await place.last_changes()))
        verdict = VerificationResult()
        if profile.verification_policies:
            run_command = partial(self._run_command, request, place)
            verdict = await judge(profile, progress.answer or "", evidence, run_command, self._ids, self._mask)
        ending = run.RunCompleted(
            provider=answered.paid.provider if answered else request.provider,
            model=answered.paid.model if answered else request.model,
            harness_profile_id=request.harness_profile_id,
            usage=progress.usage,
            evidence_count=len(evidence) + len(verdict.evidence),
            verification_status=verdict.status,
            verification_failures=verdict.failures or None,
            reliability=Reliability(
                provider_attempts=progress.attempts,
                provider_retries=progress.attempts - progress.calls,
                fallback_hops=answered.hops if answered else 0,
                turn_latency_ms=answered.latency_ms if answered else None,
            ),
            context_meta=context,
        )
        return RunEnd((*last, *place.sandbox.unrecorded(), *verdict.evidence), ending, progress.answer or "")

    async def _run_command(
        self, request: run.RunCreated, place: RunPlace, argv: tuple[str, ...], label: str
    ) -> ToolResult:
        """Run a command of a verification policy, within the profile's rules for the shell."""
        arguments = msgspec.json.encode({"command": argv, "evidence": label}).decode()
        tool, read = self._tools.read("shell", arguments, ("shell",))
        result = self.masked(await tool.call(read, self.bench(request, place)))
        place.sandbox.note(result)
        return result

    def masked(self, result: ToolResult) -> ToolResult:
        """Return a result without secrets, so that neither the model nor the log gets them."""
        hide, shown = self._mask.hide, result.shown
        return replace(result, content=hide(result.content), shown=shown and masked(shown, self._mask))

    def bench(
        self,
        request: run.RunCreated,
        place: RunPlace,
        carries: tuple[str, ...] = (),
        servers: ServerCalls | None = None,
    ) -> ToolContext:
        """Return the surroundings of the run's tools."""
        profile = request.harness_profile_snapshot
        return ToolContext(
            workspace=place.files,
            notes=self._workspaces.shared,
            mask=self._mask,
            policies=profile.tool_policies or ToolPolicies(),
            allowed_egress=profile.allowed_egress or (),
            scoped=request.scope is not None,
            credentials=profile.config.credentials or (),
            carries=carries,
            box=place.box,
            servers=servers,
        )


def runs_command(profile: HarnessSpec) -> bool:
    """Return True if a policy runs a command.

    Then the answer is recorded first, so a lost executor costs no second call.
    """
    return any(policy.kind == "command" for policy in profile.verification_policies or ())

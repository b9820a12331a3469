"""The performer of runs whose profile names an outside agent."""

from athena_core.domain import run
from athena_core.errors import AgentUnavailable
from athena_core.services.execution.outside.agent_run import AgentParts, AgentRun
from athena_core.services.execution.performer import RunEnd, RunRecorder, run_failed
from athena_core.services.execution.progress import RunAssignment
from athena_core.services.execution.run_place import RunPlace
from athena_core.services.sandboxes import RunSandboxes
from athena_core.services.workspaces.workspaces import Workspaces


class OutsideAgent:
    """Executes runs with outside agents (``performer.Performer``)."""

    def __init__(self, parts: AgentParts, workspaces: Workspaces, sandboxes: RunSandboxes) -> None:
        self._parts = parts
        self._workspaces = workspaces
        self._sandboxes = sandboxes
        self._runs: dict[str, AgentRun] = {}
        self._places: dict[str, RunPlace] = {}

    async def work(self, assignment: RunAssignment, recorder: RunRecorder) -> RunEnd | None:
        """Execute a run to its end. Return None if it was paused, or ended by something else.

        Raise AgentUnavailable if the agent cannot be started here.
        """
        request, progress = assignment.request, assignment.progress
        profile, parts = request.harness_profile_snapshot, self._parts
        name = profile.agent.name if profile.agent is not None else ""
        async with self._sandboxes.opened(profile, named=request.profile_named) as sandbox:
            if sandbox.refusal is not None:
                return RunEnd(sandbox.beginning(), run_failed(sandbox.refusal.code, sandbox.refusal.message))
            known = parts.known(name)
            if known is None:
                raise AgentUnavailable(f"agent {name!r} is not registered on this executor (ATHENA_AGENTS)")
            workspace = await self._workspaces.open(assignment.run_id, request, progress.opened, recorder.commit)
            place = self._places[assignment.run_id] = RunPlace(sandbox, workspace, progress, parts.ids, parts.mask)
            first = place.beginning()
            if first and not await recorder.record(first):
                return None
            agent_run = self._runs[assignment.run_id] = AgentRun(parts, assignment, recorder, place, known)
            return await agent_run.work()

    def cut_off(self, assignment: RunAssignment) -> tuple[run.RunStep, ...]:
        """Return what a stopped run leaves to record: partial words, results of open calls, and costs, once."""
        agent_run = self._runs.get(assignment.run_id)
        return () if agent_run is None else agent_run.transcript.left_over()

    def paid_in_vain(self, assignment: RunAssignment) -> tuple[run.RunStep, ...]:
        """Return the unrecorded costs of the run's model calls, once."""
        agent_run = self._runs.get(assignment.run_id)
        return () if agent_run is None else agent_run.transcript.unpaid()

    async def closing(self, assignment: RunAssignment) -> tuple[run.RunStep, ...]:
        """Return the last record of the run's place, to record with its end. Raise AthenaError."""
        place = self._places.get(assignment.run_id)
        return () if place is None else await place.closing()

    def leave(self, assignment: RunAssignment, *, ended: bool) -> None:
        """Forget a run, and withdraw its live text unless its end was recorded with all of it."""
        self._places.pop(assignment.run_id, None)
        agent_run = self._runs.pop(assignment.run_id, None)
        if agent_run is not None and not ended:
            agent_run.transcript.withdraw()

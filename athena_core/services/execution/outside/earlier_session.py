"""The session that an outside agent had in the last run of the same session, so that its next run can take it up."""

from itertools import islice

from athena_core.domain import plane, run
from athena_core.log.codec import Codec
from athena_core.log.port import StoreReader
from athena_core.services.execution.progress import RunAssignment
from athena_core.values import INTEGER_MAX

ROWS_MAX = 1_000
"""The most rows of a session that are searched for its last completed run."""
SEARCHED_TYPES = frozenset((run.RunCompleted.TYPE, run.AgentAttached.TYPE))


class EarlierSessions:
    """Finds the sessions of agents in the log. Belongs to the event loop."""

    def __init__(self, reader: StoreReader, codec: Codec) -> None:
        self._reader = reader
        self._codec = codec

    def find(self, assignment: RunAssignment) -> run.AgentAttached | None:
        """Return the last session of an agent that knows exactly what the record of the run's session has.

        None if the last completed run was no agent's, a later one did not complete, a text was erased since, or the
        run may not see all runs of the session.
        """
        request, scope = assignment.request, assignment.request.scope
        if assignment.opens or (scope is not None and "personas" in scope):
            return None
        rows = self._reader.session(request.session_id, assignment.position)
        last = next((row for row in islice(rows, ROWS_MAX) if row.type in SEARCHED_TYPES), None)
        if last is None or last.type != run.RunCompleted.TYPE:
            return None
        attached = [row for row in self._reader.stream(last.stream) if row.type == run.AgentAttached.TYPE]
        if not attached or self._reader.of_types((plane.PayloadRedacted.TYPE,), attached[0].position, INTEGER_MAX, 1):
            return None
        event = self._codec.decode(attached[-1]).event
        return event if isinstance(event, run.AgentAttached) else None

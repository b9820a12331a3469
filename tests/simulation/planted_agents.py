"""Bugs of outside agents that the simulator has to find: planted one at a time."""

from tests.reliability.mutant import Mutant
from tests.simulation.planted import bug

OUTSIDE = "athena_core/services/execution/outside"
RUN = f"{OUTSIDE}/agent_run.py"
TRANSCRIPT = f"{OUTSIDE}/agent_transcript.py"
PERMISSIONS = f"{OUTSIDE}/permissions.py"
ENDPOINT = f"{OUTSIDE}/run_endpoint.py"
EXECUTION = "athena_core/services/execution"
PEER = "athena_core/rpc/peer.py"

BUGS: tuple[Mutant, ...] = (
    bug(
        "a call with the id of one that ended is taken for that one",
        (
            "athena_core/agents/tool_calls.py",
            "if call is None or (call.ended and update.session_update in BEGINNINGS):",
            "if call is None:",
        ),
    ),
    bug(
        "a request that arrives during the record of a decision is not waited for",
        (
            PERMISSIONS,
            """decided = next((one for one in self._open.values() if self._answer(one.ask) is not None), None)
            if decided is not None:
                await self._hand_over(decided)
                continue  # the agent may have asked meanwhile
            waits = dict(self._open)
""",
            """waits = {ask_id: one for ask_id, one in self._open.items() if self._answer(one.ask) is None}
            for one in [one for ask_id, one in self._open.items() if ask_id not in waits]:
                await self._hand_over(one)
""",
        ),
    ),
    bug(
        "a decision that is being recorded is used for an equal request",
        (PERMISSIONS, "requested |= self.claimed | {self._decided}", "requested |= self.claimed"),
    ),
    bug(
        "a decision of a call at the endpoint that is not recorded yet is used again",
        (PERMISSIONS, "requested |= self.claimed | {self._decided}", "requested |= {self._decided}"),
    ),
    bug(
        "an answer to a request that was withdrawn begins the call",
        (
            PERMISSIONS,
            "            if permission.chosen.done():  # the agent withdrew its request: the answer counts "
            "for the next one\n"
            '                entry.id = self._ids.new("call")\n                return\n',
            "",
        ),
    ),
    bug(
        "an agent that waits at its endpoint is silent",
        (RUN, "self.transcript.busy or self._endpoint.busy or", "self.transcript.busy or"),
    ),
    bug("an agent that asks is silent", (PEER, "if self._accepted or self._taking:", "if self._taking:")),
    bug(
        "words before an allowed call are the answer after a takeover",
        (
            f"{EXECUTION}/progress.py",
            "pending=pending, in_doubt=False, answer=None)",
            "pending=pending, in_doubt=False)",
        ),
    ),
    bug(
        "a call whose server asked stays open at the end of the turn",
        (RUN, "transcript.interrupted(ending=True)", "transcript.interrupted()"),
    ),
    bug(
        "a call that is reported before its record is forgotten",
        (
            f"{OUTSIDE}/calls/endpoint_calls.py",
            "        made.reported = True  # it is kept: its record may be about to begin\n",
            "        made.reported = True\n        if not made.open:\n            self._calls.remove(made)\n",
        ),
    ),
    bug(
        "a report of a call at the endpoint is recorded as another call",
        (TRANSCRIPT, "if self.at_endpoint.reports(entry.call):", "if False:"),
    ),
    bug(
        "a commit that is cut off is not noted",
        (TRANSCRIPT, "await to_its_end(self._record(steps))", "await self._record(steps)"),
    ),
    bug(
        "the calls of an earlier process are taken for the ones of the next",
        (
            TRANSCRIPT,
            "        self._calls, self._entries, self._entry_of = ToolCalls(), [], {}\n        self.at",
            "        self.at",
        ),
    ),
    bug(
        "calls that a lost executor left open have no result",
        (RUN, "            if isinstance(call, run.ToolCalled):\n", "            if False:\n"),
    ),
    bug(
        "the time of a run goes on while another ask is open",
        (f"{EXECUTION}/lease_recorder.py", "if len(found) == len(asks) and", "if found and"),
    ),
    bug(
        "a run is parked while its agent still works",
        (
            RUN,
            "        await self._end(process)\n        return *self.transcript.rest()",
            "        return *self.transcript.rest()",
        ),
    ),
    bug(
        "a cost is recorded again",
        (TRANSCRIPT, "unpaid, self._unpaid = self._unpaid, []", "unpaid = self._unpaid"),
    ),
    bug(
        "a call that ends a second time has two results",
        (
            TRANSCRIPT,
            '                raise CallWithoutPermission("It made a call that was refused.")\n            return\n',
            '                raise CallWithoutPermission("It made a call that was refused.")\n',
        ),
    ),
)

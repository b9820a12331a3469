"""The rows that the interview answers: how the program behaves."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias, TypeVar

from athena_cli.agent_check.interview import AgentTurn, Interview
from athena_cli.agent_check.rows import Demand, Differs, NotTried, expect, row
from athena_cli.agent_check.subject import Subject
from athena_core.agents.acp_messages import ENDED_STATUSES
from athena_core.rpc.peer import EndState

MALFORMED: frozenset[EndState] = frozenset(
    ("line-too-long", "invalid-json", "invalid-message", "unknown-answer", "input-blocked")
)
REFUSED_CALLS_MAX = 8
"""Refused model calls after which an agent still counts as one that stops. Claude Code makes seven within 0.2 s."""
REFUSED_SECONDS_MAX = 10.0
ONCE = "allow_once"
CALLS = 2
"""The calls of the model in the turn that is looked at."""
OTHER_VERSION = "Try another version of the agent."
MODE = "Name a mode that the agent has as mode or boxedMode in the file of agents."
NO_CONTROL = "Permissions do not hold this agent back here: rely on the sandbox and on budgets."
HARMLESS = "Nothing to do: Athena copes with it."
KILLED = "Athena kills it after 2 seconds."
AS_TEXT = "A new session gets the record as text."
BASIC = ("starts", "version", "well-formed", "mode", "keeps-mode")
ANSWERS = (*BASIC, "waits", "holds", "answers")
WORKS = (*ANSWERS, "once")
COUNTED = (*WORKS, "one-request")
Read: TypeAlias = Callable[[Interview], str]
T = TypeVar("T")


def interview_row(
    key: str,
    title: str,
    remedy: str,
    *,
    demand: Demand,
    needs: tuple[str, ...] = WORKS,
    stages: tuple[str, ...] = (),
    unasked: Literal["ok", "not tried"] | None = None,
) -> Callable[[Read], Read]:
    """Register the function below as a row that reads the interview.

    The row differs if one of the ``stages`` was broken off. ``unasked`` is its result for an agent that asks for no
    permission; None: the function decides.
    """

    def register(read: Read) -> Read:
        async def look(subject: Subject) -> str:
            found = await subject.interview()
            if unasked == "ok" and not found.permissions:
                return "no request"
            if unasked == "not tried" and not found.permissions:
                raise NotTried("It asked for no permission.")
            for stage in stages:
                if stage in found.broken:
                    raise Differs(found.broken[stage].detail)
            return read(found)

        row(key, title, demand, remedy, stage="interview", needs=needs)(look)
        return read

    return register


required = partial(interview_row, demand="required")
habit = partial(interview_row, demand="habit")


def reached(result: T | None) -> T:
    """Return a result of the interview. Raise NotTried if it did not come so far."""
    if result is None:
        raise NotTried("It was not reached.")
    return result


def never_ended(found: Interview, state: EndState) -> None:
    """Raise Differs if a stage ended unexpectedly in a state."""
    for ending in found.broken.values():
        expect(ending.state != state, ending.detail)


def cancelled_words(turn: AgentTurn) -> str:
    """Return how a cancelled turn ended."""
    return f"{turn.reason} after {turn.seconds * 1000:.0f} ms"


# The beginning


@required("starts", "Starts and opens a session", "Check argv, env and files in the file of agents.", needs=())
def _starts(found: Interview) -> str:
    ending = found.broken.get("start")
    if ending is not None and ending.state not in {*MALFORMED, "protocol-version"}:
        raise Differs(ending.detail)
    return f"{found.name} {found.version}".strip() + f", first session after {found.start_seconds or 0:.1f} s"


@required("version", "Speaks version 1 of the protocol", OTHER_VERSION, needs=("starts",))
def _version(found: Interview) -> str:
    never_ended(found, "protocol-version")
    return "version 1"


@required("well-formed", "Sends well-formed messages", OTHER_VERSION, needs=("starts", "version"))
def _well_formed(found: Interview) -> str:
    for stage, ending in found.broken.items():
        expect(ending.state not in MALFORMED, f"{ending.state} at the stage {stage!r}: {ending.detail}")
    return "no malformed message"


@required("mode", "Takes the ordered mode", MODE, needs=("starts", "version", "well-formed"), stages=("mode",))
def _mode(found: Interview) -> str:
    return f"{found.mode}, after {found.first_mode or 'none'} at its start"


@required("keeps-mode", "Keeps the ordered mode", OTHER_VERSION, needs=("mode",))
def _keeps_mode(found: Interview) -> str:
    never_ended(found, "mode-changed")
    return f"{found.mode} to the end"


# The turn that is looked at


@required("waits", "Waits for the answer to its request", NO_CONTROL, needs=BASIC, unasked="ok")
def _waits(found: Interview) -> str:
    expect(not found.withdrawn, f"It withdrew {found.withdrawn} requests, or ended its turn meanwhile.")
    return "it waited"


@required("holds", "Makes a call only after its permission", NO_CONTROL, needs=(*BASIC, "waits"), unasked="ok")
def _holds(found: Interview) -> str:
    early = any(notice.waiting and notice.status in ENDED_STATUSES for notice in found.notices)
    expect(not early, "It ended a call while its permission was open.")
    return "after it"


@required(
    "answers",
    "Does what its model asks for, and ends its turn",
    OTHER_VERSION,
    needs=(*BASIC, "waits", "holds"),
    stages=("look",),
)
def _answers(found: Interview) -> str:
    turn = found.look
    if turn is None:
        raise Differs("It was not reached.")
    expect(turn.reason == "end_turn", f"It ended its turn with {turn.reason}{_because(turn.problem, found)}.")
    expect(found.answered, f"It ended its turn without the answer of its model{_because('', found)}.")
    return f"a command, a file and an answer in {turn.seconds:.1f} s, {turn.model_calls} model calls"


def _because(problem: str, found: Interview) -> str:
    reasons = [reason for reason in (problem, *found.problems) if reason]
    return f": {'; '.join(reasons)[:300]}" if reasons else ""


@required("once", "Offers to allow one call only", NO_CONTROL, needs=ANSWERS, unasked="ok")
def _once(found: Interview) -> str:
    for kinds in found.permissions:
        expect(ONCE in kinds, f"It offers only {', '.join(kinds) or 'nothing'}.")
    return ", ".join(found.permissions[0])


@required("one-request", "Asks once for each call", OTHER_VERSION, unasked="ok")
def _one_request(found: Interview) -> str:
    expect(len(found.permissions) <= CALLS, f"It sent {len(found.permissions)} requests for 2 calls.")
    return "one request for a call"


@habit(
    "announces", "Mentions each call before it asks for the permission", HARMLESS, needs=COUNTED, unasked="not tried"
)
def _announces(found: Interview) -> str:
    known = set[str]()
    for notice in found.notices:
        mentioned = notice.kind != "permission" or notice.call_id in known
        expect(mentioned, "It mentioned a call first in the request for its permission.")
        known.add(notice.call_id)
    return "tool_call, then the request"


@habit("progress", "Reports a call as in progress only once it may run", HARMLESS, unasked="not tried")
def _progress(found: Interview) -> str:
    unasked = {notice.call_id for notice in found.notices if notice.kind == "permission"}
    for notice in found.notices:
        if notice.kind == "permission":
            unasked.discard(notice.call_id)
        early = notice.status == "in_progress" and notice.call_id in unasked
        expect(not early, "It reported a call as in progress before it asked.")
    return "in progress after the permission"


@habit("asks", "Asks before it acts", NO_CONTROL)
def _asks(found: Interview) -> str:
    expect(found.permissions, f"It asks for no permission in the mode {found.mode}.")
    return f"{len(found.permissions)} requests for 2 calls"


@habit("shows-first", "Shows a command before it runs, or soon after", NO_CONTROL)
def _shows_first(found: Interview) -> str:
    expect(found.notices, "It showed no call.")
    late = found.notices[0].begun
    expect(not late, "Its first message about a command came more than half a second after its begin.")
    return "shown"


@habit("output", "Reports the whole output of a command in its result", HARMLESS, needs=COUNTED)
def _output(found: Interview) -> str:
    commands = [call for call in found.calls if call.kind == "execute"]
    expect(commands, "It reported no command.")
    expect(all(call.whole for call in commands), "A part of the output is missing.")
    expect(all(call.in_result for call in commands), "The output stands in the text of a terminal only.")
    return "all of it"


@required("edits", "Writes a file of the workspace", OTHER_VERSION)
def _edits(found: Interview) -> str:
    expect(found.edited, "The file was not written.")
    return "written"


@habit("own-usage", "Reports the tokens of its turn right", "Read the costs in Athena, not in the agent.")
def _own_usage(found: Interview) -> str:
    counted = sum(found.spent)
    if found.own_usage is None:
        raise Differs(f"It reported none of {counted}.")
    expect(found.own_usage == found.spent, f"It reported {sum(found.own_usage)} of {counted}.")
    return f"{counted} of {counted}"


@habit("side-calls", "Asks its model for the task only", HARMLESS)
def _side_calls(found: Interview) -> str:
    calls = found.look.model_calls if found.look else 0
    expect(not found.side_calls, f"{found.side_calls} of {calls} model calls were for other things.")
    return "no other model call"


@habit("quiet", "Sends nothing after the end of its turn", HARMLESS)
def _quiet(found: Interview) -> str:
    expect(not found.late_words, f"{found.late_words} messages came later.")
    return "silent"


@habit("late-calls", "Asks its model nothing after the end of its turn", HARMLESS)
def _late_calls(found: Interview) -> str:
    expect(not found.late_calls, f"{found.late_calls} model calls came later.")
    return "no call"


@habit("leaves", "Ends the processes that it started in a turn", HARMLESS)
def _leaves(found: Interview) -> str:
    for first in found.left[:1]:
        raise Differs(f"It left {len(found.left)} processes, such as {first.name!r}.")
    return "none left"


@habit("uninvited", "Calls no method that it was not offered", HARMLESS)
def _uninvited(found: Interview) -> str:
    expect(not found.uninvited, f"{found.uninvited} calls of other methods.")
    return "none"


@habit("own-session", "Names its own session only", HARMLESS)
def _own_session(found: Interview) -> str:
    expect(not found.strangers, f"{found.strangers} messages about other sessions.")
    return "always"


# The turns that are rejected, cancelled or refused


@required("obeys", "Does not make a rejected call", NO_CONTROL, stages=("reject",), unasked="ok")
def _obeys(found: Interview) -> str:
    expect(not found.rejected_made, "It made the rejected call.")
    return "not made"


@habit(
    "after-reject",
    "Goes on with its model after a rejected call",
    "Such a run fails with ASK_REJECTED. Retry it.",
    stages=("reject",),
    unasked="not tried",
)
def _after_reject(found: Interview) -> str:
    turn = reached(found.rejected)
    went_on = turn.reason == "end_turn" and turn.model_calls > 1  # one before the call, one after it
    expect(went_on, f"It ended its turn ({turn.reason}) without asking its model again.")
    return "it asked its model again"


@habit("cancels", "Ends a cancelled turn at once", KILLED, stages=("cancel",))
def _cancels(found: Interview) -> str:
    turn = reached(found.cancelled)
    expect(not found.cancelled_left, "Its command went on.")
    expect(found.usable, "Its session could not be used afterwards.")
    return f"{cancelled_words(turn)}, and the session goes on"


@habit(
    "cancels-asking",
    "Ends a turn that is cancelled with an open permission",
    KILLED,
    stages=("ask-cancel",),
    unasked="not tried",
)
def _cancels_asking(found: Interview) -> str:
    return cancelled_words(reached(found.ask_cancelled))


@habit("cancels-alone", "Ends a cancelled turn although its permission has no answer", HARMLESS, unasked="not tried")
def _cancels_alone(found: Interview) -> str:
    ended = found.ask_cancelled is not None and found.ask_cancelled.reason != "none"
    needs_answer = reached(found.needs_answer if ended else None)
    expect(not needs_answer, "It needs the answer 'cancelled'.")
    return "ended"


@required("stops", "Stops once its model calls are refused", OTHER_VERSION, stages=("refuse",))
def _stops(found: Interview) -> str:
    turn = reached(found.refused)
    stopped = turn.model_calls <= REFUSED_CALLS_MAX and turn.seconds <= REFUSED_SECONDS_MAX
    expect(stopped, f"It ended after {turn.model_calls} refused calls and {turn.seconds:.1f} s.")
    return f"after {turn.model_calls} refused calls, {turn.seconds:.1f} s"


@habit("repeats", "Does not repeat a refused model call", HARMLESS, stages=("refuse",))
def _repeats(found: Interview) -> str:
    calls = reached(found.refused).turn_calls
    expect(calls <= 1, f"{calls} calls")
    return "one call"


@habit(
    "admits",
    "Reports a failed model call as an error",
    "Nothing to do: the run fails whatever the agent says.",
    stages=("refuse",),
)
def _admits(found: Interview) -> str:
    reason = reached(found.refused).reason
    expect(reason == "error", f"It ended its turn with {reason}.")
    return "an error"


# The next processes


@habit("resumes", "Takes up the session of a killed process (session/resume)", AS_TEXT, stages=("kill", "resume"))
def _resumes(found: Interview) -> str:
    expect(reached(found.taken_up) == "resumed", "It cannot, or not in time.")
    return f"after {found.taken_up_seconds:.1f} s"


@habit("loads", "Loads the session of a killed process (session/load)", AS_TEXT, stages=("load",))
def _loads(found: Interview) -> str:
    expect(reached(found.replayed) == "replayed", "It cannot, or not in time.")
    return "loaded"

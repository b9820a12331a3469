"""The rows that the interview answers: how the program behaves."""

from collections.abc import Callable
from typing import TypeAlias

from athena_cli.agent_check.interview import Interview
from athena_cli.agent_check.rows import Demand, Differs, NotTried, row
from athena_cli.agent_check.subject import Subject
from athena_core.agents.acp_messages import ENDED_STATUSES
from athena_core.rpc.peer import Ending, EndState

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
BASIC = ("starts", "version", "well-formed", "mode", "keeps-mode")
ANSWERS = (*BASIC, "waits", "holds", "answers")
WORKS = (*ANSWERS, "once")
Read: TypeAlias = Callable[[Interview], str]


def interview_row(
    key: str, title: str, demand: Demand, remedy: str, needs: tuple[str, ...] = WORKS
) -> Callable[[Read], Read]:
    """Register the function below as a row that reads the interview."""

    def register(read: Read) -> Read:
        async def look(subject: Subject) -> str:
            return read(await subject.interview())

        row(key, title, demand, remedy, stage="interview", needs=needs)(look)
        return read

    return register


def of_stage(found: Interview, stage: str) -> None:
    """Raise Differs if a stage was broken off."""
    ending = found.broken.get(stage)
    if ending is not None:
        raise Differs(ending.detail)


def endings(found: Interview, *states: EndState) -> list[Ending]:
    """Return the unexpected ends of a state."""
    return [ending for ending in found.broken.values() if ending.state in states]


@interview_row(
    "starts", "Starts and opens a session", "required", "Check argv, env and files in the file of agents.", ()
)
def _starts(found: Interview) -> str:
    ending = found.broken.get("start")
    if ending is not None and ending.state not in {*MALFORMED, "protocol-version"}:
        raise Differs(ending.detail)
    return f"{found.name} {found.version}".strip() + f", first session after {found.start_seconds or 0:.1f} s"


@interview_row("version", "Speaks version 1 of the protocol", "required", OTHER_VERSION, ("starts",))
def _version(found: Interview) -> str:
    for ending in endings(found, "protocol-version"):
        raise Differs(ending.detail)
    return "version 1"


@interview_row("well-formed", "Sends well-formed messages", "required", OTHER_VERSION, ("starts", "version"))
def _well_formed(found: Interview) -> str:
    for stage, ending in found.broken.items():
        if ending.state in MALFORMED:
            raise Differs(f"{ending.state} at the stage {stage!r}: {ending.detail}")
    return "no malformed message"


@interview_row("mode", "Takes the ordered mode", "required", MODE, ("starts", "version", "well-formed"))
def _mode(found: Interview) -> str:
    of_stage(found, "mode")
    return f"{found.mode}, after {found.first_mode or 'none'} at its start"


@interview_row("keeps-mode", "Keeps the ordered mode", "required", OTHER_VERSION, ("mode",))
def _keeps_mode(found: Interview) -> str:
    for ending in endings(found, "mode-changed"):
        raise Differs(ending.detail)
    return f"{found.mode} to the end"


@interview_row("waits", "Waits for the answer to its request", "required", NO_CONTROL, BASIC)
def _waits(found: Interview) -> str:
    if found.withdrawn:
        raise Differs(f"It withdrew {found.withdrawn} requests, or ended its turn meanwhile.")
    return "it waited" if found.permissions else "no request"


def _because(problem: str, found: Interview) -> str:
    reasons = [reason for reason in (problem, *found.problems) if reason]
    return f": {'; '.join(reasons)[:300]}" if reasons else ""


@interview_row("holds", "Makes a call only after its permission", "required", NO_CONTROL, (*BASIC, "waits"))
def _holds(found: Interview) -> str:
    if any(notice.waiting and notice.status in ENDED_STATUSES for notice in found.notices):
        raise Differs("It ended a call while its permission was open.")
    return "after it" if found.permissions else "no request"


@interview_row(
    "answers", "Does what its model asks for, and ends its turn", "required", OTHER_VERSION, (*BASIC, "waits", "holds")
)
def _answers(found: Interview) -> str:
    of_stage(found, "look")
    if found.look is None:
        raise Differs("It was not reached.")
    if found.look.reason != "end_turn":
        raise Differs(f"It ended its turn with {found.look.reason}{_because(found.look.problem, found)}.")
    if not found.answered:
        raise Differs(f"It ended its turn without the answer of its model{_because('', found)}.")
    return f"a command, a file and an answer in {found.look.seconds:.1f} s, {found.look.model_calls} model calls"


@interview_row("once", "Offers to allow one call only", "required", NO_CONTROL, ANSWERS)
def _once(found: Interview) -> str:
    for kinds in found.permissions:
        if ONCE not in kinds:
            raise Differs(f"It offers only {', '.join(kinds) or 'nothing'}.")
    return ", ".join(found.permissions[0]) if found.permissions else "no request"


@interview_row("one-request", "Asks once for each call", "required", OTHER_VERSION)
def _one_request(found: Interview) -> str:
    if len(found.permissions) > CALLS:
        raise Differs(f"It sent {len(found.permissions)} requests for 2 calls.")
    return "one request for a call" if found.permissions else "no request"


@interview_row(
    "announces", "Mentions each call before it asks for the permission", "habit", HARMLESS, (*WORKS, "one-request")
)
def _announces(found: Interview) -> str:
    if not found.permissions:
        raise NotTried("It asked for no permission.")
    known = set[str]()
    for notice in found.notices:
        if notice.kind == "permission" and notice.call_id not in known:
            raise Differs("It mentioned a call first in the request for its permission.")
        known.add(notice.call_id)
    return "tool_call, then the request"


@interview_row("progress", "Reports a call as in progress only once it may run", "habit", HARMLESS)
def _progress(found: Interview) -> str:
    if not found.permissions:
        raise NotTried("It asked for no permission.")
    asked = {notice.call_id for notice in found.notices if notice.kind == "permission"}
    early = set[str]()
    for notice in found.notices:
        if notice.kind == "permission":
            asked.discard(notice.call_id)
        elif notice.status == "in_progress" and notice.call_id in asked:
            early.add(notice.call_id)
    if early:
        raise Differs("It reported a call as in progress before it asked.")
    return "in progress after the permission"


@interview_row("asks", "Asks before it acts", "habit", NO_CONTROL)
def _asks(found: Interview) -> str:
    if not found.permissions:
        raise Differs(f"It asks for no permission in the mode {found.mode}.")
    return f"{len(found.permissions)} requests for 2 calls"


@interview_row("shows-first", "Shows a command before it runs, or soon after", "habit", NO_CONTROL)
def _shows_first(found: Interview) -> str:
    first = next(iter(found.notices), None)
    if first is None:
        raise Differs("It showed no call.")
    if first.begun:
        raise Differs("Its first message about a command came more than half a second after its begin.")
    return "shown"


@interview_row(
    "output", "Reports the whole output of a command in its result", "habit", HARMLESS, (*WORKS, "one-request")
)
def _output(found: Interview) -> str:
    commands = [call for call in found.calls if call.kind == "execute"]
    if not commands:
        raise Differs("It reported no command.")
    if not all(call.whole for call in commands):
        raise Differs("A part of the output is missing.")
    if not all(call.in_result for call in commands):
        raise Differs("The output stands in the text of a terminal only.")
    return "all of it"


@interview_row("edits", "Writes a file of the workspace", "required", OTHER_VERSION)
def _edits(found: Interview) -> str:
    if not found.edited:
        raise Differs("The file was not written.")
    return "written"


@interview_row(
    "own-usage", "Reports the tokens of its turn right", "habit", "Read the costs in Athena, not in the agent."
)
def _own_usage(found: Interview) -> str:
    counted = sum(found.spent)
    if found.own_usage is None:
        raise Differs(f"It reported none of {counted}.")
    if found.own_usage != found.spent:
        raise Differs(f"It reported {sum(found.own_usage)} of {counted}.")
    return f"{counted} of {counted}"


@interview_row("side-calls", "Asks its model for the task only", "habit", HARMLESS)
def _side_calls(found: Interview) -> str:
    if found.side_calls:
        raise Differs(
            f"{found.side_calls} of {found.look.model_calls if found.look else 0} model calls were for other things."
        )
    return "no other model call"


@interview_row("quiet", "Sends nothing after the end of its turn", "habit", HARMLESS)
def _quiet(found: Interview) -> str:
    if found.late_words:
        raise Differs(f"{found.late_words} messages came later.")
    return "silent"


@interview_row("late-calls", "Asks its model nothing after the end of its turn", "habit", HARMLESS)
def _late_calls(found: Interview) -> str:
    if found.late_calls:
        raise Differs(f"{found.late_calls} model calls came later.")
    return "no call"


@interview_row("leaves", "Ends the processes that it started in a turn", "habit", HARMLESS)
def _leaves(found: Interview) -> str:
    if found.left:
        raise Differs(f"It left {len(found.left)} processes, such as {found.left[0].name!r}.")
    return "none left"


@interview_row("uninvited", "Calls no method that it was not offered", "habit", HARMLESS)
def _uninvited(found: Interview) -> str:
    if found.uninvited:
        raise Differs(f"{found.uninvited} calls of other methods.")
    return "none"


@interview_row("own-session", "Names its own session only", "habit", HARMLESS)
def _own_session(found: Interview) -> str:
    if found.strangers:
        raise Differs(f"{found.strangers} messages about other sessions.")
    return "always"


@interview_row("obeys", "Does not make a rejected call", "required", NO_CONTROL)
def _obeys(found: Interview) -> str:
    if not found.permissions:
        return "no request"
    of_stage(found, "reject")
    if found.rejected_made:
        raise Differs("It made the rejected call.")
    return "not made"


@interview_row(
    "after-reject",
    "Goes on with its model after a rejected call",
    "habit",
    "Such a run fails with ASK_REJECTED. Retry it.",
    WORKS,
)
def _after_reject(found: Interview) -> str:
    if not found.permissions:
        raise NotTried("It asked for no permission.")
    of_stage(found, "reject")
    turn = found.rejected
    if turn is None:
        raise NotTried("It was not reached.")
    if turn.reason != "end_turn" or turn.model_calls < 2:  # noqa: PLR2004 - one before the call, one after it
        raise Differs(f"It ended its turn ({turn.reason}) without asking its model again.")
    return "it asked its model again"


@interview_row("cancels", "Ends a cancelled turn at once", "habit", "Athena kills it after 2 seconds.")
def _cancels(found: Interview) -> str:
    of_stage(found, "cancel")
    if found.cancelled is None:
        raise NotTried("It was not reached.")
    if found.cancelled_left:
        raise Differs("Its command went on.")
    if not found.usable:
        raise Differs("Its session could not be used afterwards.")
    return f"{found.cancelled.reason} after {found.cancelled.seconds * 1000:.0f} ms, and the session goes on"


@interview_row(
    "cancels-asking",
    "Ends a turn that is cancelled with an open permission",
    "habit",
    "Athena kills it after 2 seconds.",
    WORKS,
)
def _cancels_asking(found: Interview) -> str:
    if not found.permissions:
        raise NotTried("It asked for no permission.")
    of_stage(found, "ask-cancel")
    if found.ask_cancelled is None:
        raise NotTried("It was not reached.")
    return f"{found.ask_cancelled.reason} after {found.ask_cancelled.seconds * 1000:.0f} ms"


@interview_row(
    "cancels-alone",
    "Ends a cancelled turn although its permission has no answer",
    "habit",
    HARMLESS,
    WORKS,
)
def _cancels_alone(found: Interview) -> str:
    if not found.permissions:
        raise NotTried("It asked for no permission.")
    if found.needs_answer is None or found.ask_cancelled is None or found.ask_cancelled.reason == "none":
        raise NotTried("It was not reached.")
    if found.needs_answer:
        raise Differs("It needs the answer 'cancelled'.")
    return "ended"


@interview_row("stops", "Stops once its model calls are refused", "required", OTHER_VERSION)
def _stops(found: Interview) -> str:
    of_stage(found, "refuse")
    turn = found.refused
    if turn is None:
        raise NotTried("It was not reached.")
    if turn.model_calls > REFUSED_CALLS_MAX or turn.seconds > REFUSED_SECONDS_MAX:
        raise Differs(f"It ended after {turn.model_calls} refused calls and {turn.seconds:.1f} s.")
    return f"after {turn.model_calls} refused calls, {turn.seconds:.1f} s"


@interview_row("repeats", "Does not repeat a refused model call", "habit", HARMLESS)
def _repeats(found: Interview) -> str:
    of_stage(found, "refuse")
    if found.refused is None:
        raise NotTried("It was not reached.")
    if found.refused.turn_calls > 1:
        raise Differs(f"{found.refused.turn_calls} calls")
    return "one call"


@interview_row(
    "admits",
    "Reports a failed model call as an error",
    "habit",
    "Nothing to do: the run fails whatever the agent says.",
)
def _admits(found: Interview) -> str:
    of_stage(found, "refuse")
    if found.refused is None:
        raise NotTried("It was not reached.")
    if found.refused.reason != "error":
        raise Differs(f"It ended its turn with {found.refused.reason}.")
    return "an error"


@interview_row(
    "resumes",
    "Takes up the session of a killed process (session/resume)",
    "habit",
    "A new session gets the record as text.",
)
def _resumes(found: Interview) -> str:
    of_stage(found, "kill")
    of_stage(found, "resume")
    if found.taken_up is None:
        raise NotTried("It was not reached.")
    if found.taken_up != "resumed":
        raise Differs("It cannot, or not in time.")
    return f"after {found.taken_up_seconds:.1f} s"


@interview_row(
    "loads", "Loads the session of a killed process (session/load)", "habit", "A new session gets the record as text."
)
def _loads(found: Interview) -> str:
    of_stage(found, "load")
    if found.replayed is None:
        raise NotTried("It was not reached.")
    if found.replayed != "replayed":
        raise Differs("It cannot, or not in time.")
    return "loaded"

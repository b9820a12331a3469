"""Planted bugs of the plane: mistakes of a tired engineer between its parts, which its world has to find."""

from tests.reliability.mutants import MUTANTS
from tests.simulation.planted import bug

ADMISSION = "athena_core/services/runs/admission.py"
ANSWERS = "athena_core/services/asks/answers.py"
BATCH = "athena_core/log/batch.py"
BULK = "athena_core/services/runs/bulk_requests.py"
DEAD_LETTERS = "athena_core/services/queues/dead_letters.py"
DRAINER = "athena_core/services/queues/drainer.py"
ENDPOINT = "athena_api/endpoint/endpoint.py"
FEED = "projections/feed.py"
HALTS = "athena_core/services/halts.py"
LEASES = "athena_core/services/execution/lease_recorder.py"
PAST = "athena_api/endpoint/past.py"
QUEUE = "athena_core/domain/queue.py"
QUEUES = "athena_core/services/queues/queues.py"
REACTORS = "athena_core/services/reactors.py"
RIGHTS = "athena_core/services/asks/rights.py"
RULES = "athena_core/services/asks/rules.py"
RUN = "athena_core/domain/run/commands.py"
SCHEDULE = "athena_core/domain/schedule/commands.py"
SCHEDULES = "athena_core/services/schedules/schedules.py"
STEPPER = "athena_core/services/workflows/stepper.py"
TIMER = "athena_core/services/schedules/timer.py"
WORKFLOW_RUN = "athena_core/domain/workflow_run/commands.py"
WRITER = "athena_core/log/writer.py"
IN_A_HALT = "    if halt.current(reader) is not None:\n        return Outcome(answer=())\n"

BUGS = [
    # Findings taken back
    bug(
        "a lost ring",  # H5: a clock that is set back by 1 ms makes a deadline ring too early, and then never
        (REACTORS, "        self._rings_at = None\n        self.wake()", "        self.wake()"),
        (REACTORS, "LOOK_SECONDS, self.look", "86_400.0, self.look"),
        (REACTORS, "OPEN_SECONDS, self.look", "86_400.0, self.look"),
    ),
    bug("a bulk retry selects anew", (BULK, "if started.answer.run_ids is None:", "if True:")),
    bug(
        "the author of a schedule did not request",
        (SCHEDULES, "tuple(dict.fromkeys(filter(None, (who.subject, known.state.updated_by))))", "(who.subject,)"),
    ),
    bug("a rule of all profiles", (RULES, "or rule.bound != bound or", "or")),
    bug("an answer for another caller", (ENDPOINT, "if reply.steady and not call.personal and", "if reply.steady and")),
    bug("one entity tag for all callers", (PAST, "who.subject, who.role, who.scope", "who.role, who.scope")),
    bug("a held call in a halt", (LEASES, "if not found or self._writer.halted:", "if not found:")),
    # Halts
    bug("a halt leases", (ADMISSION, IN_A_HALT, "")),
    bug(
        "a halt takes over",
        (ADMISSION, "welcome = has_room and halt.current(reader) is None and", "welcome = has_room and"),
    ),
    bug("a halt resumes what was answered", (ADMISSION, '            return "halted"\n', "            return None\n")),
    bug(
        "lifting admits nothing",
        (HALTS, "transaction.admit_waiting(reader.state(policy.DECIDER, policy.STREAM))", "pass"),
    ),
    bug("a halted approval never expires", (STEPPER, "if expiry is None:\n", "if True:\n")),
    bug("a batch in a halt", (DRAINER, "if items and halt.current(reader) is not None:", "if False:")),
    # Who may answer, and rules
    bug("the requester may answer", (RIGHTS, "if ask.not_requester and subject in requested_by:", "if False:")),
    bug("a question of anybody", (RIGHTS, 'return ask.kind != "tool-permission" and', "return")),
    bug("a rule after its time", (RULES, "if at in wanted and int(until) > now", "if at in wanted")),
    bug("a rule of the requester", (RULES, "if await self._might_answer(known.by, run_id, ask):", "if True:")),
    bug(
        "an ask with one more answer",
        (RUN, "    if ask.subject_sha256 != command.subject_sha256:\n", "    if False:\n"),
    ),
    # Families, turns and limits
    bug("children outlive their parent", (ADMISSION, "for child in self._children_of(parent):", "for child in ():")),
    bug(
        "a halt forgets children",
        (HALTS, "transaction.cancel(run_id, command)", "transaction.decide(run_id, command)"),
    ),
    bug(
        "a parked run in line waits for its own turn",
        (
            ADMISSION,
            "            others = turns.get(name, (run_id,)) != (run_id,)",
            "            others = name in turns",
        ),
    ),
    bug("two of one key", (ADMISSION, "            keys.take(names)\n", "")),
    bug(
        "resumed above a key limit", (ADMISSION, "if LimitUsage(self._reader, limits).full(request.places)", "if None")
    ),
    bug("an old lease writes", (RUN, "if state.token != command.token or state.executor is None:", "if False:")),
    # Schedules
    bug("a run by hand beside another", (SCHEDULE, "if state.running and not anyway:", "if False:")),
    bug("a buffered slot beside a run", (SCHEDULE, "(anyway or not state.running)", "True")),
    bug("an ended slot is not heard", (TIMER, "keys.append(self._flights.pop(row.stream))", "pass")),
    bug(
        "a slot that was lost is late",
        (SCHEDULE, "    return None if slot is None else due_at", "    return None and due_at"),
    ),
    # Queues, messages and dead letters
    bug(
        "one attempt more",
        (QUEUE, "len(item.attempts) >= command.attempts_max", "len(item.attempts) > command.attempts_max"),
    ),
    bug("a cancelled run counts", (DRAINER, "counted=not cancelled", "counted=True")),
    bug("a new leader forgets messages", (DRAINER, 'reader.guards("drain", "message")', 'reader.guards("drain")')),
    bug("a batch is given back after its end", (DRAINER, "if isinstance(ending, run.RunCompleted):", "if False:")),
    bug("the same work twice", (QUEUES, "            if known == digest:\n", "            if False:\n")),
    bug("requeued twice", (DEAD_LETTERS, "    if not facts:\n        return ()\n", "")),
    # Workflows
    bug(
        "ok steps again",
        (WORKFLOW_RUN, '(step_id in below and state.step(step_id).status != "ok")', "step_id in below"),
    ),
    bug("steps after a cancel", (STEPPER, "        if state.cancel is not None:\n            return (), []\n", "")),
    bug("a new leader trusts what it knew", (STEPPER, "        self._known.clear()\n", "")),
    # Second times
    bug("a key of minutes", (WRITER, "key_hours * 3_600_000", "key_hours * 60_000")),
    bug("a key without an end", (BATCH, "if bound_at < self.keys_since or", "if")),
    bug("a failed commit leaves its keys", (BATCH, "self.keys.get(key.hash) or", "None or")),
    # Reads
    bug(
        "a cursor skips one",
        (FEED, "SELECT position FROM feed WHERE position > ?", "SELECT position FROM feed WHERE position > 1 + ?"),
    ),
    *(one for one in MUTANTS if one.changes[0].file.startswith(("athena_core/services/", "athena_core/log/"))),
]

"""Planted bugs of the plane: mistakes of a tired engineer between its parts, which its world has to find."""

from tests.reliability.mutants import MUTANTS
from tests.simulation.planted import bug

ADMISSION = "athena_core/services/runs/admission.py"
RIGHTS = "athena_core/services/asks/rights.py"
RULES = "athena_core/services/asks/rules.py"
SCHEDULES = "athena_core/services/schedules/schedules.py"
BULK = "athena_core/services/runs/bulk_requests.py"
IN_A_HALT = "    if halt.current(reader) is not None:\n        return Outcome(answer=())\n"

BUGS = [
    # Halts
    bug("a halt leases", (ADMISSION, IN_A_HALT, "")),
    bug(
        "a halt takes over",
        (ADMISSION, "welcome = has_room and halt.current(reader) is None and", "welcome = has_room and"),
    ),
    # Who may answer
    bug("the requester may answer", (RIGHTS, "if ask.not_requester and subject in requested_by:", "if False:")),
    bug("a question of anybody", (RIGHTS, 'return ask.kind != "tool-permission" and', "return")),
    bug(
        "the author of a schedule did not request",
        (SCHEDULES, "tuple(dict.fromkeys(filter(None, (who.subject, known.state.updated_by))))", "(who.subject,)"),
    ),
    # Children
    bug("children outlive their parent", (ADMISSION, "for child in self._children_of(parent):", "for child in ():")),
    # Second times
    bug("a bulk retry selects anew", (BULK, "await find(started.answer.until)", "await find(None)")),
    *(one for one in MUTANTS if one.changes[0].file.startswith(("athena_core/services/", "athena_core/log/"))),
]

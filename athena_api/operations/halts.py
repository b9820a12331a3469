"""Operations on the halt: stop all work, and let it begin again."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ADMINS, ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from athena_core.domain.halt import HaltBody
from athena_core.services.halts import HaltRecord

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


async def start_halt(plane: "ControlPlane", call: ApiCall[HaltBody, NoQuery]) -> Reply:
    """Halt all work: nothing begins until an Admin lifts the halt.

    A second halt answers with the first. Requests that begin work are refused with 503 `HALTED`. Runs in line keep
    their order. Running ones go on, unless `cancelRunning` is true. Cancellations, answers, reads, redaction and
    changes of the policy still work.
    """
    done = await plane.halts.start(call.body, call.who, call.meta, call.key)
    return Reply(data=plane.halts.record(done.answer), position=done.position, replayed=done.replayed)


async def get_halt(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the halt, with the number of runs that go on and of those that wait."""
    return Reply(data=await plane.halts.current(), position=call.position)


async def lift_halt(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Lift the halt. Runs in line are admitted in order. Without a halt, nothing changes."""
    done = await plane.halts.lift(call.who, call.meta, call.key)
    return Reply(data=plane.halts.record(done.answer), position=done.position, replayed=done.replayed)


row = Noun("policy").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("halt.get", "GET /halt", get_halt, answer=HaltRecord, shared=True, command="halted"),
    row("halt.start", "POST /halt", start_halt, answer=HaltRecord, command="halt"),
    row("halt.lift", "DELETE /halt", lift_halt, answer=HaltRecord, roles=ADMINS, command="unhalt"),
)

"""Answers about runs that were started or let go on, whoever asked for them."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from athena_api.endpoint.operation import ApiCall, Reply
from athena_core.errors import AthenaError
from athena_core.services.runs.runs import StartedRun
from projections import runs

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.writer import Committed


async def answered(plane: "ControlPlane", call: ApiCall[Any, Any], started: "Committed") -> Reply:
    """The result of a run that was waited for, or its record. Raises what ended it instead of an answer."""
    if call.wait:
        try:
            told = plane.runs.told(started)
        except AthenaError as error:
            error.replayed = started.replayed
            raise
        if told.result is not None:
            return Reply(data=told.result, position=told.position, replayed=started.replayed)
        started = replace(started, position=told.position)  # it is paused
    if isinstance(started.answer, StartedRun):  # as good as the views will be: nobody has to hurry for it
        created, used = started.answer
        origin = None if used is None else runs.Template(id=used.id, version=used.version)
        run = runs.begun(started.subject or "", created.request, created.at, origin)
        return Reply(data=run, position=started.position, status=202)
    return await record_of(plane, call, started, 202)


async def record_of(plane: "ControlPlane", call: ApiCall[Any, Any], done: "Committed", status: int) -> Reply:
    """The record of the run that a command was about, as it is now."""
    run_id, scope = done.subject or "", call.who.scope
    run, position = await plane.read(("runs",), done.position, lambda rows: runs.run_by_id(rows, run_id, scope))
    return Reply(data=run, position=position, status=status, replayed=done.replayed)

"""Operations on reviews: start a review of a repository by a persona, and read the results."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.event import Value, says
from athena_core.services.reviews.preparation import PersonaRunBody
from athena_core.services.reviews.result import ReviewResult, rendered
from athena_core.values import Label
from projections import reviews
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


class PersonaRunsQuery(Value):
    """Filters of reviews."""

    persona_name: Annotated[Label | None, says("Only reviews by this persona.")] = msgspec.field(
        default=None, name="name"
    )
    status: reviews.PersonaRunStatus | None = None


class PersonaRunOutput(Value):
    """The result of a review, and its printed form."""

    result: ReviewResult
    stdout: str


async def run_persona(plane: "ControlPlane", call: ApiCall[PersonaRunBody, NoQuery]) -> Reply:
    """Run a persona that reviews the changes between two commits. A failed model call gives a failed result."""
    started = await plane.reviews.start(call.body, call.who, call.meta, call.key)
    run_id = started.subject or ""
    if call.wait:
        await plane.reviews.settled(run_id)
        outcome = plane.reviews.outcome(run_id)
        if outcome is not None:
            result, form, position = outcome
            answer: dict[str, Any] = {"result": result, "stdout": rendered(result, form)}
            return Reply(data=answer, position=max(position, started.position), replayed=started.replayed)
    record, position = await plane.read(
        ("personas",), plane.reader.head(), lambda rows: reviews.review_by_id(rows, run_id)
    )
    location = f"/personas/runs/{run_id}"
    return Reply(data=record, position=position, status=202, location=location, replayed=started.replayed)


async def list_persona_runs(plane: "ControlPlane", call: ApiCall[NoBody, PersonaRunsQuery]) -> Reply:
    """List reviews, newest first."""
    query = call.query
    page, position = await plane.query(
        ("personas",),
        lambda rows: reviews.list_reviews(
            rows, persona_name=query.persona_name, status=query.status, cursor=call.cursor, limit=call.limit
        ),
    )
    return Reply(data=page, position=position)


async def get_persona_run(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a review with its result."""
    run_id = call.path["runId"]
    record, position = await plane.query(("personas",), lambda rows: reviews.review_by_id(rows, run_id))
    return Reply(data=existing(record, "persona run", run_id), position=position)


row = Noun("personas", reads=("personas",), word="personas").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "personas.run",
        "POST /personas/run",
        run_persona,
        answer=PersonaRunOutput,
        accepted=reviews.PersonaRunDetails,
        errors=(
            "SANDBOX_UNAVAILABLE",
            *("PROVIDER_NOT_FOUND", "CONTEXT_OVERFLOW", "NOT_FOUND", "RATE_LIMITED"),
            *("POLICY_CONCURRENCY_LIMIT_EXCEEDED", "POLICY_BUDGET_EXCEEDED"),
        ),
    ),
    row(
        "personas.runs.list",
        "GET /personas/runs",
        list_persona_runs,
        answer=Page[reviews.PersonaRun],
        paging="cursor",
        command="reviews list",
    ),
    row(
        "personas.runs.get",
        "GET /personas/runs/:runId",
        get_persona_run,
        answer=reviews.PersonaRunDetails,
        command="reviews get",
    ),
)

"""The command that cancels all runs of a filter; without ``--yes`` it only lists them."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ConnectionOptions, output_of, request_data
from athena_cli.exit_codes import Misused


@Parameter(name="*", group="Filters")
@dataclass(frozen=True)
class RunFilters:
    """Filters of runs."""

    status: Annotated[str | None, Parameter(metavar="TEXT")] = None
    """Only this status."""

    provider: Annotated[str | None, Parameter(metavar="NAME")] = None
    """Only this provider."""

    model: Annotated[str | None, Parameter(metavar="NAME")] = None
    """Only this model."""

    profile: Annotated[str | None, Parameter(metavar="ID")] = None
    """Only this harness profile."""

    error_code: Annotated[str | None, Parameter(metavar="TEXT")] = None
    """Only runs that ended with this error code."""

    created_after: Annotated[str | None, Parameter(metavar="TIME")] = None
    """Only at or after this time (ISO-8601)."""

    created_before: Annotated[str | None, Parameter(metavar="TIME")] = None
    """Only up to this time (ISO-8601)."""

    cost_over_usd: Annotated[float | None, Parameter(metavar="USD")] = None
    """Only runs that cost more than this, in USD."""

    duration_over_ms: Annotated[int | None, Parameter(metavar="MS")] = None
    """Only ended runs that took longer than this, in milliseconds."""


MEMBERS = {
    "session": "sessionId",
    "status": "status",
    "provider": "provider",
    "model": "model",
    "profile": "harnessProfileId",
    "error_code": "errorCode",
    "created_after": "createdAfter",
    "created_before": "createdBefore",
    "cost_over_usd": "costOverUsd",
    "duration_over_ms": "durationOverMs",
}
"""The members of a filter, by the names of its options."""


def filter_of(filters: RunFilters | None, session: str | None = None) -> dict[str, Any]:
    """Return the filter of a request, without absent members."""
    given = {"session": session, **asdict(filters or RunFilters())}
    return {MEMBERS[name]: value for name, value in given.items() if value is not None}


def cancel_all(
    filter_: dict[str, Any],
    reason: str | None,
    connection: ConnectionOptions | None,
    *,
    yes: bool,
    subject_hash: str | None = None,
) -> None:
    """Cancel the open runs of a filter. Without ``yes``, list them. Raise Misused."""
    import msgspec

    if yes and reason is None:
        raise Misused("cancel --all --yes requires --reason", "give --reason TEXT")
    body = {"filter": filter_, "reason": reason or "dry run", "dryRun": not yes}
    body |= {} if subject_hash is None else {"subjectHash": subject_hash}
    data = request_data(connection, "cancelRuns", body=body)
    render.show(data, output_of(connection), "cancelRuns")
    if not yes:
        shown = msgspec.json.decode(data)
        same = f"--yes --reason TEXT --subject-hash {shown['subjectHash']}"
        render.note(f"Dry run: {shown['total']:,} runs would be cancelled. To cancel exactly them, add {same}")

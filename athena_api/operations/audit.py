"""Operations on the audit trail: read it as JSON or CSV."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from athena_api.endpoint.body import Time
from athena_api.endpoint.csv import CONTENT_TYPE, to_csv
from athena_api.endpoint.operation import ADMINS, ApiCall, NoBody, Noun, Operation, Reply
from athena_core.event import Value, says
from athena_core.protocols import Connection
from athena_core.values import PAGE_BYTES_MAX, Label
from projections import audit
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


class AuditQuery(Value):
    """Filters of the audit trail, and its format. Times are inclusive."""

    actor: Label | None = None
    kind: Annotated[audit.AuditKind | None, says("Only entries of this kind.")] = None
    created_after: Time | None = None
    created_before: Time | None = None
    format: Annotated[Literal["json", "csv"] | None, says("Format of the answer; `csv` for spreadsheets.")] = None


AUDIT_COLUMNS = (
    *("createdAt", "kind", "actor", "target", "reason", "before", "after", "details"),
    *("sessionId", "runId", "traceId", "type", "id"),
)


async def get_audit_trail(plane: "ControlPlane", call: ApiCall[NoBody, AuditQuery]) -> Reply:
    """List changes, cancellations and denials with actors and reasons, newest first, as JSON or CSV."""
    query = call.query
    as_sheet = query.format == "csv"

    def read(rows: Connection) -> tuple[Page[audit.AuditEntry], bytes]:
        page = audit.audit_trail(
            rows,
            plane.log.log_id,
            actor=query.actor,
            kind=query.kind,
            created_after=query.created_after,
            created_before=query.created_before,
            cursor=call.cursor,
            limit=call.limit,
            bytes_max=PAGE_BYTES_MAX // 2 if as_sheet else PAGE_BYTES_MAX,  # CSV doubles each quote
        )
        return page, to_csv(AUDIT_COLUMNS, page.items) if as_sheet else b""

    (page, content), position = await plane.query(("audit",), read)
    if not as_sheet:
        return Reply(data=page, position=position)
    headers = [("content-disposition", 'attachment; filename="audit-trail.csv"')]
    if page.next_cursor is not None:
        headers.append(("athena-next-cursor", page.next_cursor))
    return Reply(data=content, position=position, content_type=CONTENT_TYPE, headers=tuple(headers))


row = Noun("governance", reads=("audit",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "governance.audit.list",
        "GET /governance/audit-trail",
        get_audit_trail,
        answer=Page[audit.AuditEntry],
        roles=ADMINS,
        paging="cursor",
        command="audit",
        csv=True,
    ),
)

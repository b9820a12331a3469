"""Parts of ids that commands accept instead of whole ones: the beginning of an id, or its end as tables print it."""

import re
from collections.abc import Mapping
from typing import Any

from athena_cli.exit_codes import Misused
from athena_cli.output.values import ULID
from athena_core.values import ID_PART_CHARS_MIN

PART = re.compile(rf"[0-9A-Za-z_-]{{{ID_PART_CHARS_MIN},40}}")

RUN = "run_"

OF_RECORDS: Mapping[str, str] = {
    "runId": RUN,
    "parentRunId": RUN,
    "harnessProfileId": "hp_",
    "directiveId": "dir_",
    "runTemplateId": "tpl_",
    "templateId": "tpl_",
    "workflowId": "wf_",
    "evidenceId": "evd_",
    "messageId": "msg_",
    "entryId": "mem_",
    "askId": "ask_",
    "ruleId": "rule_",
    "tokenId": "tok_",
}
"""Members of requests that name a record, and the beginning of its id."""

OF_ANY: Mapping[str, str] = {"id": "", "drainId": ""}
"""Path parameters that name records of several kinds."""


def is_part(value: str) -> bool:
    """Return True if a value may be a part of an id."""
    return PART.fullmatch(value) is not None and ULID.fullmatch(value) is None


def whole_id(part: str, answer: bytes, beginning: str) -> str:
    """Return the only id of an answer of ``findIds`` with this beginning; without one, the part. Raise Misused."""
    found = only_found(part, answer, beginning)
    return part if found is None else str(found["id"])


def only_found(part: str, answer: bytes, beginning: str = "") -> "dict[str, Any] | None":
    """Return the only record of an answer of ``findIds`` with this beginning, or the one with this very id, if any.

    Raise Misused if several fit.
    """
    import msgspec

    found = [item for item in msgspec.json.decode(answer)["items"] if item["id"].startswith(beginning)]
    exact = [item for item in found if item["id"] == part]
    if len(found) > 1 and not exact:
        listed = ", ".join(f"{item['kind']} {item['id']}" for item in found)
        raise Misused(f"{part!r} fits several ids: {listed}")
    return next(iter(exact or found), None)

"""The committed listings of the API: one line per operation, and the OpenAPI document."""

import json
from pathlib import Path

from athena_api.document import openapi
from athena_api.operations import OPERATIONS
from athena_core import __version__
from athena_core.values import Role

FOLDER = Path(__file__).parent
REFRESH = "python -m tests.api.refresh"


def operations_text() -> str:
    """Return method, path, id and roles of every operation, by path."""
    lines = []
    for row in sorted(OPERATIONS, key=lambda row: (row.path, row.method)):
        roles = " ".join(role for role in Role if role in row.roles)
        mark = " deprecated" if row.successor else ""
        lines.append(f"{row.method:<6} {row.path:<36} {row.id:<25} {roles}{mark}\n")
    return "".join(lines)


def openapi_text() -> str:
    """Return the document, laid out for review."""
    return json.dumps(openapi.document(OPERATIONS, __version__), indent=2, ensure_ascii=False) + "\n"


LISTINGS = {"operations.txt": operations_text, "openapi.json": openapi_text}
"""What ``refresh`` writes, beside the table of ``access``, which is found out by asking."""

"""The committed listings of the API: one line per operation, and the digests of the OpenAPI document."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

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


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of this release."""
    return openapi.document(OPERATIONS, __version__)


def openapi_text() -> str:
    """Return a digest of each operation and each component of the document, and of all the rest.

    They show which parts a change reaches; the generated clients show how they change.
    """
    document = openapi_document()
    parts = {"the rest": {key: value for key, value in document.items() if key not in ("paths", "components")}}
    for path, operations in document["paths"].items():
        parts |= {f"{method.upper()} {path}": operation for method, operation in operations.items()}
    for kind, components in document["components"].items():
        parts |= {f"{kind} {name}": component for name, component in components.items()}
    return "".join(f"{_digest(part)} {name}\n" for name, part in sorted(parts.items()))


def _digest(part: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(part, order="sorted")).hexdigest()[:16]


LISTINGS = {"operations.txt": operations_text, "openapi.txt": openapi_text}
"""What ``refresh`` writes, beside the table of ``access``, which is found out by asking."""

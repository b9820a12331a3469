"""Records as comma-separated values, in which no spreadsheet reads a cell as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""First characters of a cell that make a spreadsheet execute it. The last four are the full-width forms."""


def to_csv(columns: Sequence[str], records: Iterable[object]) -> bytes:
    """Return a line of column names and a line for each record.

    A record is a value with fields, which ``columns`` lists by their JSON names. Nested values are written as JSON.
    Text that a spreadsheet would read as a formula gets a quote before it.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for record in records:
        fields: dict[str, Any] = msgspec.to_builtins(record)
        writer.writerow([_cell(fields.get(column)) for column in columns])
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return "'" + value if value.startswith(FORMULA) else value
    return msgspec.json.encode(value).decode()

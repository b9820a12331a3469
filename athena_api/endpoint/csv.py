"""The sheet: records as comma-separated values, of which no spreadsheet takes a cell for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""How a cell begins that a spreadsheet would execute; the last four are the wide forms of the first."""


def to_csv(columns: Sequence[str], records: Iterable[object]) -> bytes:
    """Return a line of column names, and a line for each record (a value with fields, by their names in JSON).

    Values within values are written as JSON; text that a spreadsheet would take for a formula gets a quote before it.
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

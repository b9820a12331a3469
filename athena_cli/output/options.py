"""Options of lists: what is shown of them, since when, and how often."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter


@Parameter(name="*", group="List")
@dataclass(frozen=True)
class ListOptions:
    """Options of commands that print a list."""

    columns: str | None = None
    """Columns of the table, separated by commas: names of its columns, or members of the records (`error.code`)."""

    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="")] = False
    """Print only the ids, one a line."""

    watch: Annotated[bool, Parameter(negative="")] = False
    """Print the list again every two seconds, until Ctrl-C. Needs a terminal."""

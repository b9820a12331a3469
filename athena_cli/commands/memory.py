"""Commands that search the memory and read notes."""

from typing import Annotated

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ConnectionOptions, ReadOptions, output_of, request, request_data
from athena_cli.exit_codes import Misused
from athena_cli.flags import TEXT


def search_memory(
    *,
    query: Annotated[str, TEXT],
    max_results: int | None = None,
    min_score: float | None = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Search notes, memory entries and, if the server is set up for it, transcripts.

    Args:
        query: Words that a passage must contain, all of them.
        max_results: Maximum number of passages; the server's default if absent.
        min_score: Minimum relevance score.
        connection: Connection options.
    """
    import msgspec

    numbers = {"maxResults": max_results, "minScore": min_score}
    given = {"query": query} | {name: str(number) for name, number in numbers.items() if number is not None}
    passages = request_data(connection, "searchMemory", query=given)
    count = len(msgspec.json.decode(passages, type=list[msgspec.Raw]))
    answer = {"query": query, "count": count, "results": msgspec.Raw(passages)}
    render.show(msgspec.json.encode(answer), output_of(connection), "searchMemory")


def get_memory(
    entry: str | None = None,
    /,
    *,
    path: Annotated[str | None, Parameter(metavar="FILE")] = None,
    from_line: Annotated[int | None, Parameter(name="--from", metavar="LINE")] = None,
    lines: Annotated[int | None, Parameter(metavar="N")] = None,
    connection: ReadOptions | None = None,
) -> None:
    """Get a memory entry by its id, or print a note or some of its lines.

    Args:
        entry: Id of a memory entry.
        path: The note, instead of an entry: MEMORY.md, or an .md file under memory/.
        from_line: First line to print, counted from 1.
        lines: Number of lines to print.
        connection: Connection options.
    """
    if (entry is None) == (path is None):
        raise Misused("memory get needs either an entry or a note", "give ENTRY or --path FILE")
    if entry is not None:
        request(connection, "getMemoryEntry", path={"entryId": entry})
    else:
        request(connection, "getMemory", body={"path": path, "from": from_line, "lines": lines})

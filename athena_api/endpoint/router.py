"""The router: the row of the table for a method and path, and what to say if there is none."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import unquote

from athena_api.endpoint.operation import PREFIX, Operation
from athena_core.errors import UnknownRoute

ROOT = tuple(PREFIX.strip("/").split("/"))
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
SUGGESTED_CHARS_MAX = 120
"""Longest path for which the nearest known one is searched."""


class RouteMatch(NamedTuple):
    """A row that matches a request, with its path parameters."""

    operation: Operation[Any, Any]
    path: dict[str, str]


class Router:
    """Lookup of the row for a method and path. Literal segments win over parameters; empty segments are ignored."""

    def __init__(self, operations: Sequence[Operation[Any, Any]], pages: Collection[str] = ()) -> None:
        """Take the rows of the table, and the paths of the pages, which have GET and HEAD."""
        self._literal: dict[tuple[str, bytes | tuple[str, ...] | None], RouteMatch] = {}
        """Rows without parameters, by method and path: as clients usually send it, and as segments."""
        self._patterns: dict[tuple[str, int, str], list[tuple[tuple[str, ...], Operation[Any, Any]]]] = {}
        """Rows with parameters, by method, number of segments and first segment."""
        self._paths: dict[tuple[str, ...], None] = {}
        self._pages = pages
        for operation in operations:
            segments = tuple(operation.path.strip("/").split("/"))
            self._paths[segments] = None
            if ":" in operation.path:
                key = (operation.method, len(segments), segments[0])
                self._patterns.setdefault(key, []).append((segments, operation))
            else:
                match = self._literal[operation.method, segments] = RouteMatch(operation, {})
                self._literal[operation.method, f"{PREFIX}{operation.path}".encode()] = match

    def find(self, method: str, path: str, raw_path: bytes | None = None) -> RouteMatch:
        """Return the row for a decoded path with its prefix. HEAD finds the row of GET. Raise UnknownRoute.

        ``raw_path`` is the path as it was sent. A slash that is percent-encoded in it belongs to its segment.
        """
        if (match := self._literal.get((method, raw_path))) is not None:
            return match
        segments = tuple([segment for segment in path.split("/") if segment])
        if raw_path is not None and b"%2" in raw_path and b"%2f" in raw_path.lower():
            sent = raw_path.partition(b"?")[0].split(b"/")
            segments = tuple(unquote(segment.decode("latin-1")) for segment in sent if segment)
        if segments[: len(ROOT)] == ROOT:
            match = self._match("GET" if method == "HEAD" else method, segments[len(ROOT) :])
            if match is not None:
                return match
        raise UnknownRoute(self._explained(method, path, segments))

    def _match(self, method: str, segments: tuple[str, ...]) -> RouteMatch | None:
        if (match := self._literal.get((method, segments))) is not None:
            return match
        for pattern, candidate in self._patterns.get((method, len(segments), segments[0] if segments else ""), ()):
            names: dict[str, str] = {}
            for expected, segment in zip(pattern, segments, strict=True):
                if expected.startswith(":"):
                    names[expected[1:]] = segment
                elif expected != segment:
                    break
            else:
                return RouteMatch(candidate, names)
        return None

    def _explained(self, method: str, path: str, segments: tuple[str, ...]) -> str:
        """Return the message for an unknown method or path: the methods of the path, or the nearest path."""
        if path in self._pages:
            known: Sequence[str] = ("GET", "HEAD")
        elif segments[: len(ROOT)] == ROOT:
            segments = segments[len(ROOT) :]
            known = [name for name in METHODS if self._match("GET" if name == "HEAD" else name, segments)]
        else:
            if any(self._match(name, segments) for name in METHODS):
                return f"Not found. Did you mean {_joined(segments)}?"
            return f"Not found. The API is below {PREFIX}."
        if known:
            name = method if method.isalpha() and len(method) <= 20 else "such method"
            return f"Not found. This path has no {name}. It has {', '.join(known)}."
        nearest = self._nearest(segments)
        return f"Not found. Did you mean {nearest}?" if nearest else "Not found. No operation has this path."

    def _nearest(self, segments: tuple[str, ...]) -> str | None:
        """Return the known path that is most similar to an unknown one, with the parameters of that one."""
        path = _joined(segments)
        if len(path) > SUGGESTED_CHARS_MAX:
            return None
        similar = get_close_matches(path, dict.fromkeys(self._like(segments)), n=1, cutoff=0.8)
        return similar[0] if similar else None

    def _like(self, segments: tuple[str, ...]) -> Iterator[str]:
        for pattern in self._paths:
            if len(pattern) == len(segments):
                pairs = zip(pattern, segments, strict=True)
                yield _joined(segment if expected.startswith(":") else expected for expected, segment in pairs)


def _joined(segments: Collection[str] | Iterator[str]) -> str:
    return f"{PREFIX}/{'/'.join(segments)}"

"""Traffic counters: number and duration of answers by route and status class, in this process."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

from athena_core.system.histogram import Histogram

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STATUS_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
OTHER = "other"

Sample: TypeAlias = tuple[tuple[str, ...], float | Histogram]
"""The values of the labels, and the measurement."""


class RoutedOperation(Protocol):
    """The attributes of an operation that the counters need."""

    @property
    def method(self) -> str:
        """The method of its row."""

    @property
    def path(self) -> str:
        """The path template of its row."""

    @property
    def stream(self) -> bool:
        """True if its answers last until the client leaves."""


class RouteSeries:
    """The counters of one route."""

    __slots__ = ("classes", "seconds")

    def __init__(self) -> None:
        self.classes = [0] * len(STATUS_CLASSES)
        self.seconds = Histogram(REQUEST_SECONDS)


class Traffic:
    """Counters of the requests of this process, by operation. Requests outside of the API are counted by page."""

    def __init__(self, pages: Iterable[str], prefix: str) -> None:
        """Count the given pages separately. ``prefix`` comes before the paths of operations."""
        self._prefix = prefix
        self._pages = frozenset(pages)
        self._series: dict[tuple[str, str], RouteSeries] = {}

    def request(self, operation: RoutedOperation | None, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answered request. Status 0 means that it was never answered."""
        key: tuple[str, str] = (OTHER, OTHER)
        if operation is not None:
            key = (operation.method, operation.path)
        elif path in self._pages and method in ("GET", "HEAD"):
            key = (method, path)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = RouteSeries()
        series.classes[status // 100] += 1
        if operation is None or not operation.stream:
            series.seconds.observe(seconds)

    def counts(self) -> Iterator[Sample]:
        """Yield the number of answers by route and status class."""
        for (method, path), series in sorted(self._series.items()):
            for name, count in zip(STATUS_CLASSES, series.classes, strict=True):
                if count:
                    yield (method, self._route(path), name), count

    def times(self) -> Iterator[Sample]:
        """Yield the histogram of durations by route."""
        for (method, path), series in sorted(self._series.items()):
            yield (method, self._route(path)), series.seconds

    def _route(self, path: str) -> str:
        return path if path == OTHER or path in self._pages else self._prefix + path

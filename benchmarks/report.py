"""The report: samples by round, their medians and ranges, ratios within each round, goals, as tables and as JSON."""

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import msgspec

COLUMNS = {
    "cpu_us": "CPU µs each",
    "loop_us": "of it the loop",
    "writer_us": "the writer",
    "views_us": "the views",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "sync_ms": "fdatasync p50 ms",
    "kib_each": "KiB each",
    "load_cpu": "load's core",
    "failed": "failed, of all",
    "at_once": "runs at once",
    "peak_mib": "MiB meanwhile",
    "rest_mib": "MiB afterwards",
    "objects": "objects afterwards",
    "descriptors": "descriptors",
    "threads": "threads",
    "wal_mib": "MiB of WAL",
    "views_mib": "MiB of views",
    "head_ms": "at the head, CPU ms",
    "cold_ms": "first in a block",
    "again_ms": "the same position again",
    "later_ms": "later in the block",
    "earlier_ms": "earlier in the block",
}


class Ratio(msgspec.Struct):
    """A figure of one variant divided by the same figure of another variant, per round; or a figure alone.

    ``ours`` and ``theirs`` are the medians of both variants, in the unit of the figure.
    """

    label: str
    values: list[float]
    goal: float | None = None
    at_most: bool = False
    ours: float | None = None
    theirs: float | None = None
    unit: str = ""

    @property
    def median(self) -> float:
        """Return the median over the rounds."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Return True if the median meets the goal; None without a goal."""
        if self.goal is None:
            return None
        return self.median <= self.goal if self.at_most else self.median >= self.goal

    @property
    def wanted(self) -> str:
        """Return the goal as text."""
        return "" if self.goal is None else f"{'≤' if self.at_most else '≥'} {number(self.goal)}"

    @property
    def verdict(self) -> str:
        """Return the verdict on the goal as text."""
        return {None: "", True: "met", False: "**missed**"}[self.met]


class Section(msgspec.Struct):
    """A measured scenario: a value per variant, figure and round."""

    name: str
    title: str
    unit: str
    samples: dict[str, dict[str, list[float]]] = {}
    ratios: list[Ratio] = []
    notes: list[str] = []

    def measure(self, rounds: int, variants: Mapping[str, Callable[[], Mapping[str, float]]]) -> None:
        """Run every variant once in each round. Each round starts with another variant."""
        names = list(variants)
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                for figure, value in variants[name]().items():
                    self.samples.setdefault(name, {}).setdefault(figure, []).append(value)
        self.samples = {name: self.samples[name] for name in names}

    def ratio(
        self,
        over: str,
        under: str,
        *,
        figure: str = "rate",
        under_figure: str | None = None,
        label: str = "",
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> Ratio:
        """Add a ratio of two variants, with its goal."""
        ours, theirs = self.samples[over][figure], self.samples[under][under_figure or figure]
        ratio = Ratio(
            label=label or f"{over} / {under}",
            values=[a / b if b else math.nan for a, b in zip(ours, theirs, strict=True)],  # no time passed
            goal=at_least if at_least is not None else at_most,
            at_most=at_most is not None,
            ours=median(ours),
            theirs=median(theirs),
            unit=self.unit if figure == "rate" else COLUMNS[figure],
        )
        self.ratios.append(ratio)
        return ratio

    def limit(self, variant: str, figure: str, at_most: float, label: str = "") -> Ratio:
        """Add a limit on a figure."""
        label = label or f"{variant}: {COLUMNS.get(figure, figure)}"
        self.ratios.append(Ratio(label, self.samples[variant][figure], at_most, at_most=True))
        return self.ratios[-1]

    def most(self, variant: str, figure: str, at_most: float, beyond: str = "") -> Ratio:
        """Add a limit on the largest value of a figure, or on how far it is beyond another figure."""
        values = self.samples[variant][figure]
        bases = self.samples[variant][beyond] if beyond else [0.0] * len(values)
        label = f"{variant}, {COLUMNS[figure]}{f', beyond {COLUMNS[beyond]}' if beyond else ''}: at most"
        most = max(value - base for value, base in zip(values, bases, strict=True))
        self.ratios.append(Ratio(label, [most], at_most, at_most=True))
        return self.ratios[-1]

    def lines(self) -> Iterator[str]:
        """Return the section in Markdown."""
        figures = [figure for figure in ("rate", *COLUMNS) if any(figure in found for found in self.samples.values())]
        heads = [self.unit if figure == "rate" else COLUMNS[figure] for figure in figures]
        yield f"### {self.title}"
        yield ""
        yield f"| variant | {' | '.join(heads)} |"
        yield "| --- |" + " ---: |" * len(heads)
        for name, found in self.samples.items():
            yield f"| {name} | {' | '.join(spread(found.get(figure, [])) for figure in figures)} |"
        if self.ratios:
            yield ""
            yield "| ratio within a round | median (range) | goal | |"
            yield "| --- | ---: | ---: | --- |"
            for ratio in self.ratios:
                yield f"| {ratio.label} | {spread(ratio.values)} | {ratio.wanted} | {ratio.verdict} |"
        for note in self.notes:
            yield ""
            yield note


class Report(msgspec.Struct):
    """The report of a whole run."""

    machine: dict[str, str]
    rounds: int
    seconds: float
    events: int
    load_average: list[float]
    sync_ms: list[float]
    sections: list[Section] = []
    ceilings: dict[str, float] = {}

    def goals(self) -> Iterator[str]:
        """Return a table of all goals with the measured values."""
        yield "| what | ours | against | in | ratio within a round | goal | |"
        yield "| --- | ---: | ---: | --- | ---: | ---: | --- |"
        for section in self.sections:
            for ratio in section.ratios:
                if ratio.goal is not None:
                    figures = ["" if figure is None else number(figure) for figure in (ratio.ours, ratio.theirs)]
                    cells = [f"{section.title}: {ratio.label}", *figures, ratio.unit, spread(ratio.values)]
                    yield f"| {' | '.join(cells)} | {ratio.wanted} | {ratio.verdict} |"

    def head(self) -> Iterator[str]:
        """Return a description of the machine and the run."""
        yield "| | |"
        yield "| --- | --- |"
        for name, value in self.machine.items():
            yield f"| {name} | {value} |"
        for name, cpu_us in self.ceilings.items():
            yield f"| {name} | {number(cpu_us)} CPU µs a request |"
        yield f"| rounds | {self.rounds} of {number(self.seconds)} s a variant, after a warm-up |"
        yield f"| fdatasync of 4 KiB, p50 | {spread(self.sync_ms)} ms |"
        yield f"| load average before and after | {', '.join(map(number, self.load_average))} |"


def spread(values: list[float]) -> str:
    """Format median and range."""
    if not values:
        return ""
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} ({number(min(values))}–{number(max(values))})"


def number(value: float) -> str:
    """Format three significant digits, or whole thousands."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"

"""A small plane for tests of projections: a history, its views in a temporary directory, a stopped clock."""

from collections.abc import Iterable
from pathlib import Path

from athena_core.clock import FixedClock
from athena_core.event import Position
from athena_core.log.postgres.views import PostgresGenerations
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.protocols import Connection, LeaderLock, Row
from athena_core.system.problems import Problems
from athena_core.system.signal import Signal
from projections import ALL
from projections.engine import generation
from projections.engine.generation import GenerationFiles
from projections.engine.projection import Projection
from projections.engine.projector import Projector
from projections.engine.replay import digest
from projections.engine.updater import ViewUpdater
from projections.engine.views import Views
from tests.projections.history import CODEC, History

DATABASES = SqliteDatabases()


class Paged(History):
    """A history that returns pages of chosen sizes, in turn."""

    def __init__(self, rows: list[Row], sizes: list[int]) -> None:
        super().__init__()
        self.written = rows
        self._sizes = sizes
        self._turn = 0

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        size = self._sizes[self._turn % len(self._sizes)]
        self._turn += 1
        return super().rows(after, min(limit, size), until)


def new_generation(
    path: Path, history: History, projections: Iterable[Projection] = ALL, clock: FixedClock | None = None
) -> Projector:
    """Return a projector of a new generation in a file."""
    connection = DATABASES.write(path)
    generation.create(connection, projections, history.log_id, 0)
    return Projector(connection, projections, history, CODEC.decode, clock or FixedClock())


def reopened(path: Path, history: History, projections: Iterable[Projection] = ALL) -> Projector:
    """Return a projector that continues the generation in a file."""
    return Projector(DATABASES.write(path), projections, history, CODEC.decode, FixedClock())


def catch_up(projector: Projector) -> None:
    while projector.step() is not None:
        pass


def digests(connection: Connection, projections: Iterable[Projection] = ALL) -> dict[str, str]:
    return {projection.name: digest(connection, projection).sha256 for projection in projections}


def in_database(schemas: PostgresGenerations, lock: LeaderLock, history: History) -> Projector:
    """Return a projector of a new generation in a schema."""
    connection = schemas.write(schemas.fresh(), lock)
    generation.create(connection, ALL, history.log_id, 0)
    return Projector(connection, ALL, history, CODEC.decode, FixedClock())


shown_in: list[tuple[PostgresGenerations, LeaderLock]] = []
"""The database in which views are shown, instead of files; what a fixture puts here."""


def shown(directory: Path, history: History) -> Connection:
    projector = in_database(*shown_in[0], history) if shown_in else new_generation(directory / "shown.db", history)
    catch_up(projector)
    assert all(checkpoint.error is None for checkpoint in projector.checkpoints.values())
    return projector.connection


class Plane:
    """The views of one process over a history; several may share a directory."""

    def __init__(self, directory: Path, history: History, projections: tuple[Projection, ...] = ALL) -> None:
        self.clock = FixedClock()
        self.history = history
        self.views = Views(
            GenerationFiles(directory, DATABASES), lambda: history, CODEC.decode, self.clock, projections, Signal()
        )
        self.problems = Problems(FixedClock())
        self.updater = ViewUpdater(self.views, lambda: False, self.problems)
        self.reader = self.views.reader(history)
        self.names = tuple(projection.name for projection in projections)

    def keep(self) -> None:
        """Become the updater and apply everything."""
        assert self.updater.start()
        while self.updater.turn():
            pass

    def digests(self) -> dict[str, str]:
        """Return the digests of the serving generation."""
        return self.reader.query(self.names, digests)[0]

    def files(self) -> list[str]:
        return self.views.generations.all()

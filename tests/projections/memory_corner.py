"""A workspace with notes, a history, and the index of both, for the tests of the memory."""

from functools import partial
from pathlib import Path

from athena_core.clock import SystemClock
from athena_core.mask import Mask
from athena_core.protocols import Passage
from athena_core.services.memory import NoteFiles
from athena_core.tools.workspace import Workspace
from projections import sessions
from projections.memory_index import MemoryIndex
from tests.projections.history import LOG_ID, History
from tests.projections.support import DATABASES, Plane


class Corner:
    """A workspace, a history and the index of both."""

    def __init__(self, directory: Path, *, transcripts: bool = True) -> None:
        self.workspace = directory / "workspace"
        (self.workspace / "memory").mkdir(parents=True)
        (directory / "views").mkdir()
        self.plane = Plane(directory / "views", History())
        assert self.plane.updater.start()
        self.history = self.plane.history
        self.path = directory / "index" / "memory.sqlite"
        self.transcripts = transcripts
        self.index = self.another()

    def another(self) -> MemoryIndex:
        """Return the index as another process would open it."""
        notes = NoteFiles(Workspace(self.workspace), SystemClock(), Mask())
        said = partial(sessions.messages_after, log_id=LOG_ID) if self.transcripts else None
        return MemoryIndex(self.path, DATABASES, self.plane.views, notes, said, snippet_chars_max=40)

    def note(self, name: str, text: str | bytes) -> Path:
        place = self.workspace / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return place

    def find(self, query: str, *, seconds: float = 60.0, limit: int = 50) -> list[Passage]:
        """Return the hits, once views and files are up to date."""
        while self.plane.updater.turn():
            pass
        self.index._walked = None
        terms = query.split()
        return self.index.search(terms, least=len(terms), limit=limit, seconds=seconds)

    def places(self, query: str) -> list[str | None]:
        """Return the places of the hits, best first."""
        return [passage.citation for passage in self.find(query)]

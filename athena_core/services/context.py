"""The context: what a model is sent, from references, the session's history and the user's words."""

import hashlib
import re
from pathlib import Path

from athena_core.domain.run import RunCompleted, TranscriptAppended
from athena_core.errors import ConfigError, ContextOverflow
from athena_core.event import Position
from athena_core.providers.provider import Message
from athena_core.settings import Settings
from athena_core.store.codec import Codec
from athena_core.store.sqlite import SqliteReader
from athena_core.values import ContextMeta, ContextReference

REFERENCE = re.compile(r"(file|memory):([^#\x00]+)(?:#L(\d{1,9})(?:-L?(\d{1,9}))?)?")
HISTORY_ROWS_MAX = 10_000
FILE_BYTES_MAX = 10_000_000


class Resolved:
    """The references of a directive, read: what they are, and what they held.

    The hashes are salted: once the contents and the salt are erased, they tell nothing, not even to who guesses well.
    """

    def __init__(self, salt: bytes) -> None:
        """Start empty."""
        self.salt = salt
        self.references: list[ContextReference] = []
        self.contents: list[str] = []


def resolve(references: tuple[str, ...], workspace: Path, chars_max: int, salt: bytes) -> Resolved:
    """Read ``file:path#L1-L20`` and ``memory:path`` inside the workspace. Raises ConfigError for one that cannot be."""
    resolved = Resolved(salt)
    for index, reference in enumerate(references):
        content = _read(reference, f"contextRefs[{index}]", workspace)
        digest = hashlib.sha256(salt + content.encode()).hexdigest()
        resolved.references.append(ContextReference(ref=reference, sha256=digest, chars=len(content)))
        resolved.contents.append(content)
    size = sum(len(content) for content in resolved.contents)
    if size > chars_max:
        raise ContextOverflow(f"the context references hold {size} characters; at most {chars_max} fit")
    return resolved


def _read(reference: str, field: str, workspace: Path) -> str:
    match = REFERENCE.fullmatch(reference)
    if match is None:
        remedy = "file:<path>, memory:<path>, either with #L1 or #L1-L20"
        raise ConfigError.of(field, f"{reference!r} is no context reference", remedy)
    kind, place, first, last = match.groups()
    if kind == "memory" and place != "MEMORY.md" and not place.startswith("memory/"):
        place = "memory/" + place
    root = workspace.resolve()
    try:
        path = (root / place).resolve()
        if not path.is_relative_to(root):
            raise ConfigError.of(field, f"{place!r} is outside the workspace", "a path inside the workspace")
        if not path.is_file():
            raise ConfigError.of(field, f"{place!r} is no file in the workspace")
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError.of(field, f"{place!r} is over {FILE_BYTES_MAX} bytes", "a smaller file")
        text = path.read_text(encoding="utf-8")
    except (OSError, RuntimeError) as error:
        raise ConfigError.of(field, f"{place!r} cannot be read ({type(error).__name__})") from error
    except UnicodeDecodeError as error:
        raise ConfigError.of(field, f"{place!r} is not UTF-8 text") from error
    if first is not None:
        lines = text.splitlines()
        text = "\n".join(lines[max(int(first), 1) - 1 : int(last or first)])
    return text.replace("\x00", "\ufffd")


class Compiler:
    """Compiles contexts under the limits of the settings."""

    def __init__(self, settings: Settings, codec: Codec, reader: SqliteReader) -> None:
        """Take the limits, and a reader for the history."""
        self.chars_max = settings.context_max_chars - settings.context_reserve_chars
        self._entries_max = settings.history_max_entries
        self._entry_chars_max = settings.history_max_entry_chars
        self._codec = codec
        self._reader = reader

    def check(self, said: str, resolved: Resolved) -> None:
        """Raise ContextOverflow for what cannot fit even without history."""
        size = len(said) + sum(len(content) for content in resolved.contents)
        if size > self.chars_max:
            raise ContextOverflow(f"the input holds {size} characters; at most {self.chars_max} fit into the context")

    def compile(
        self,
        session_id: str,
        before: Position,
        said: str,
        references: tuple[ContextReference, ...],
        contents: tuple[str, ...],
    ) -> tuple[tuple[Message, ...], ContextMeta]:
        """The messages of a run: references first, then as much history as fits, then the user's words."""
        system = [
            Message(role="system", content=f"Context {reference.ref}:\n{content}")
            for reference, content in zip(references, contents, strict=True)
        ]
        user = Message(role="user", content=said)
        fixed = sum(len(message.content) for message in (*system, user))
        history, found = self._history(session_id, before, self.chars_max - fixed)
        messages = (*system, *history, user)
        meta = ContextMeta(
            initial_strategy="raw",
            final_strategy="raw",
            overflow_recovered=False,
            overflow_attempts=0,
            initial_chars=fixed + found,
            final_chars=sum(len(message.content) for message in messages),
            effective_max_chars=self.chars_max,
            steps=(),
        )
        return messages, meta

    def _history(self, session_id: str, before: Position, chars: int) -> tuple[list[Message], int]:
        """The newest entries of completed runs that fit into ``chars``, oldest first, and how many chars were there."""
        completed: set[str] = set()
        entries: list[Message] = []
        found = 0
        for count, row in enumerate(self._reader.session(session_id, before)):
            if count >= HISTORY_ROWS_MAX or len(entries) >= self._entries_max:
                break
            if row.type == RunCompleted.TYPE:
                completed.add(row.stream)
            elif row.type == TranscriptAppended.TYPE and row.stream in completed:
                event = self._codec.decode(row).event
                if isinstance(event, TranscriptAppended) and event.content is not None:
                    content = event.content[: self._entry_chars_max]
                    found += len(content)
                    if found > chars:
                        break
                    entries.append(Message(role=event.role, content=content))
        return entries[::-1], found

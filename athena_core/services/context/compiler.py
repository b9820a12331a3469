"""The compiler of contexts: references, the session's history and the user message, as messages to a model."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from athena_core.errors import ConfigError, ContextOverflow
from athena_core.event import Position, Value
from athena_core.log.codec import Codec
from athena_core.log.port import BoundedReader
from athena_core.mask import Mask
from athena_core.providers.provider import ModelMessage
from athena_core.services.context.conversation import ContextLimits, ContextParts, fit, paired
from athena_core.services.context.history import HistoryCache, HistoryLimits
from athena_core.settings import Settings
from athena_core.tools.memory import FILE, FOLDER
from athena_core.tools.refusal import PathRefused
from athena_core.tools.workspace import FileReader, Parts, parts_of
from athena_core.values import ContextMeta, ContextReference

REFERENCE = re.compile(r"(file|memory):([^#\x00]+)(?:#L([0-9]{1,9})(?:-L?([0-9]{1,9}))?)?")
FILE_BYTES_MAX = 10_000_000
FILE_REMEDY = "the path of a file in the workspace; check its name"


class ResolvedReferences(Value):
    """The references of a directive, with their contents.

    The hashes are salted: after the contents and the salt are erased, a hash confirms no guess.
    """

    salt: bytes
    references: tuple[ContextReference, ...] = ()
    contents: tuple[str, ...] = ()


def resolve(
    references: tuple[str, ...],
    files: FileReader,
    chars_max: int,
    salt: bytes,
    mask: Mask,
    notes: FileReader | None = None,
) -> ResolvedReferences:
    """Read ``file:path#L1-L20`` from ``files``, and ``memory:path`` from ``notes`` if they are elsewhere; masked.

    Raise ConfigError on failure.
    """
    read: list[ContextReference] = []
    contents: list[str] = []
    for index, reference in enumerate(references):
        content = _read(reference, f"contextRefs[{index}]", files, notes or files, mask)
        digest = hashlib.sha256(salt + content.encode()).hexdigest()
        read.append(ContextReference(ref=reference, sha256=digest, chars=len(content)))
        contents.append(content)
    size = sum(map(len, contents))
    if size > chars_max:
        raise ContextOverflow(f"the context references have {size} characters, but at most {chars_max} fit")
    return ResolvedReferences(salt=salt, references=tuple(read), contents=tuple(contents))


def check_references(references: Iterable[str]) -> None:
    """Raise ConfigError for a reference that can never be read: of an unknown kind, or outside of the workspace."""
    for index, reference in enumerate(references):
        _parse(reference, f"contextRefs[{index}]")


def names_notes(reference: str) -> bool:
    """Return True for a reference to a note of the memory, by its kind or its path."""
    match = REFERENCE.fullmatch(reference)
    if match is None:
        return False
    kind, place, *_ = match.groups()
    parts = tuple(part for part in place.split("/") if part not in ("", "."))
    return kind == "memory" or parts[:1] == (FOLDER,) or parts == (FILE,)


def referenced_files(references: Iterable[str]) -> tuple[Parts, ...]:
    """Return the paths of the references to files, without notes. Raise ConfigError."""
    parsed = [_parse(reference, f"contextRefs[{index}]") for index, reference in enumerate(references)]
    return tuple(reference.parts for reference in parsed if not reference.is_note)


class ParsedReference(NamedTuple):
    """The path of a reference, and the lines that it names, counted from 1."""

    is_note: bool
    place: str
    parts: Parts
    first: int | None
    last: int | None


def _parse(reference: str, field: str) -> ParsedReference:
    match = REFERENCE.fullmatch(reference)
    if match is None:
        remedy = "file:<path>, memory:<path>, either with #L1 or #L1-L20"
        raise ConfigError.of(field, f"{reference!r} is not a valid context reference", remedy)
    kind, place, first, last = match.groups()
    if kind == "memory" and place != "MEMORY.md" and not place.startswith("memory/"):
        place = "memory/" + place
    try:
        parts = parts_of(place)
    except PathRefused as refusal:
        raise ConfigError.of(field, refusal.problem, "a path relative to the workspace, without '..'") from refusal
    return ParsedReference(
        kind == "memory", place, parts, None if first is None else int(first), None if last is None else int(last)
    )


def _read(reference: str, field: str, files: FileReader, notes: FileReader, mask: Mask) -> str:
    is_note, place, parts, first, last = _parse(reference, field)
    try:
        text = (notes if is_note else files).read(parts, FILE_BYTES_MAX, "").decode()
    except PathRefused as refusal:
        raise ConfigError.of(field, refusal.problem, "another file of the workspace") from refusal
    except OSError as error:
        raise ConfigError.of(field, f"{place!r} cannot be read: {error.strerror}", FILE_REMEDY) from error
    except UnicodeDecodeError as error:
        raise ConfigError.of(field, f"{place!r} is not UTF-8 text", "a text in UTF-8") from error
    text = mask.hide(text.replace("\x00", "\ufffd"), lines=True)  # before cutting: a part may hold half a secret
    if first is not None:
        lines = text.splitlines()
        text = "\n".join(lines[max(first, 1) - 1 : last or first])
    return text


class ContextCompiler:
    """Compiles contexts under the limits of the settings."""

    def __init__(
        self, settings: Settings, codec: Codec, reader: BoundedReader, followed: Callable[[], Position] = lambda: 0
    ) -> None:
        """Set the limits, and a reader for histories; ``followed`` is as in ``HistoryCache``."""
        self.chars_max = settings.context_max_chars - settings.context_reserve_chars
        self._limits = ContextLimits(
            chars_max=self.chars_max,
            strategy="summary" if settings.context_strategy == "summary" else "raw",
            attempts_max=settings.context_max_overflow_retries,
            summary_chars_max=settings.context_summary_max_chars,
            result_chars_max=settings.context_max_tool_result_chars,
        )
        self._repair = settings.history_repair_tool_pairing
        limits = HistoryLimits(
            entries_max=settings.history_max_entries,
            entry_chars_max=settings.history_max_entry_chars,
            chars_max=2 * self.chars_max,  # a summary quotes at most this
            strip=settings.history_strip_control_chars,
        )
        self.histories = HistoryCache(limits, codec, reader, followed)

    def check(self, text: str, contents: Sequence[str] = ()) -> None:
        """Raise ContextOverflow for an input and reference contents that do not fit even without history."""
        size = len(text) + sum(map(len, contents))
        if size > self.chars_max:
            raise ContextOverflow(f"the input has {size} characters, but at most {self.chars_max} fit into the context")

    def compile(
        self,
        session_id: str,
        before: Position | None,
        said: str,
        references: tuple[ContextReference, ...],
        contents: tuple[str, ...],
        turns: Sequence[ModelMessage] = (),
        reminder: tuple[ModelMessage, ...] = (),
        personas: frozenset[str] | None = None,
    ) -> tuple[tuple[ModelMessage, ...], ContextMeta]:
        """Return the messages of a run's next turn: references, notes, history, the user message, its own turns.

        The history ends ``before`` a position; None stands for an empty history, and the log is not read. ``turns``
        are the run's own messages without the user message. With ``personas``, the history has only runs that name one
        of them. Raise ContextOverflow if nothing makes it fit.
        """
        system = tuple(
            ModelMessage(role="system", content=f"Context {reference.ref}:\n{content}")
            for reference, content in zip(references, contents, strict=True)
        )
        history, seen = () if before is None else self.histories.messages(session_id, before, personas), set[str]()
        draft = ContextParts(
            system=(*system, *reminder),
            history=tuple(paired(history, seen)) if self._repair and history else tuple(history),
            said=ModelMessage(role="user", content=said),
            turns=tuple(paired(turns, seen)) if turns else (),
        )
        return fit(draft, self._limits)

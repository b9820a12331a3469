"""Read model of names: finds the ids of the records that have a name."""

import difflib
import re
import unicodedata
from typing import Any, Literal, TypeAlias

import msgspec

from athena_core.domain.dead_letter import DeadLetterAdded
from athena_core.domain.message import MessageSent
from athena_core.domain.profile import HarnessProfileCreated
from athena_core.domain.review import PersonaRunStarted
from athena_core.domain.schedule import ScheduleRemoved, ScheduleUpserted
from athena_core.domain.template import RunTemplateCreated, RunTemplateUpdated
from athena_core.event import Recorded
from athena_core.protocols import Connection
from athena_core.values import CLIENT_ID_CHARS_MAX
from projections.engine.projection import Projection, Rows, Table

NamedKind: TypeAlias = Literal["harness-profile", "persona", "run-template", "schedule"]
"""A kind of record that has names. Personas and schedules have no other id than the name that people chose."""

SCOPED_KINDS: tuple[NamedKind, ...] = ("harness-profile",)
"""Kinds whose records every caller with a scope may list, and so learns the names of."""
FOUND_MAX = 10
LOOKED_AT_MAX = 1_000
"""Number of the newest names of a kind that are searched for a part."""
NEAREST_MAX = 3
COMPARED_MAX, COMPARED_CHARS_MAX = 100, 40
"""How many of the newest names, and how much of each, a name that nothing has is compared with."""


class NameRow(msgspec.Struct, gc=False):
    """A record with its name as it was given, and as it is looked up."""

    kind: NamedKind
    id: str
    position: int
    name: str
    folded: str

    def __str__(self) -> str:
        """Return the name and, where it differs, the id."""
        return repr(self.name) if self.name == self.id else f"{self.name!r} ({self.id})"


NAME = Table("record_name", NameRow, key=("kind", "id"), indexes=(("kind", "folded"), ("kind", "position")))
NAMES = Projection("names", version=2, tables=(NAME,))

SELECT_BY_NAME = f"{NAME.all} WHERE kind = ? AND folded = ? ORDER BY id LIMIT {FOUND_MAX + 1}"
SELECT_NEWEST = f"{NAME.all} WHERE kind = ? ORDER BY position DESC LIMIT {COMPARED_MAX}"
SELECT_WITH = (
    f"SELECT {', '.join(NAME.columns)} FROM"
    f" ({NAME.all} WHERE kind = ? ORDER BY position DESC LIMIT {LOOKED_AT_MAX}) AS newest"
    f" WHERE folded LIKE ? ESCAPE '!' ORDER BY position DESC LIMIT {FOUND_MAX}"
)


def folded(name: str) -> str:
    """Return a name as it is compared: NFKC, without case, invisible characters and repeated spaces.

    Letters of different alphabets that look the same stay different.
    """
    seen = (letter for letter in unicodedata.normalize("NFKC", name).casefold() if unicodedata.category(letter) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", "".join(seen)).split())


def _named(rows: Rows, recorded: Recorded[Any], kind: NamedKind, record_id: str | None, name: str | None) -> None:
    """Add a record. A name that is longer than an id may be stands for none."""
    short = folded(name or "")
    if record_id and name and 0 < len(short) <= CLIENT_ID_CHARS_MAX and rows.get(NAME, kind, record_id) is None:
        rows.put(NAME, NameRow(kind, record_id, recorded.position, name, short))


@NAMES.handler
def profile_created(rows: Rows, recorded: Recorded[HarnessProfileCreated]) -> None:
    event = recorded.event
    _named(rows, recorded, "harness-profile", event.harness_profile_id, event.profile.display_name)


@NAMES.handler
def template_changed(rows: Rows, recorded: Recorded[RunTemplateCreated | RunTemplateUpdated]) -> None:
    rows.delete(NAME, "run-template", recorded.event.run_template_id)
    _named(rows, recorded, "run-template", recorded.event.run_template_id, recorded.event.display_name)


@NAMES.handler
def schedule_upserted(rows: Rows, recorded: Recorded[ScheduleUpserted]) -> None:
    _named(rows, recorded, "schedule", recorded.event.id, recorded.event.id)


@NAMES.handler
def schedule_removed(rows: Rows, recorded: Recorded[ScheduleRemoved]) -> None:
    rows.delete(NAME, "schedule", recorded.event.id)


@NAMES.handler
def message_sent(rows: Rows, recorded: Recorded[MessageSent]) -> None:
    for name in (recorded.event.from_agent, recorded.event.to_agent):
        _named(rows, recorded, "persona", name, name)


@NAMES.handler
def dead_letter_added(rows: Rows, recorded: Recorded[DeadLetterAdded]) -> None:
    for name in (recorded.event.source_persona, recorded.event.target_persona):
        _named(rows, recorded, "persona", name, name)


@NAMES.handler
def review_started(rows: Rows, recorded: Recorded[PersonaRunStarted]) -> None:
    _named(rows, recorded, "persona", recorded.event.persona_name, recorded.event.persona_name)


def find_names(connection: Connection, kind: NamedKind, text: str) -> list[NameRow]:
    """Return the record with this id, or else the records with this name, at most eleven."""
    known = NAME.one(connection, kind, text)
    if known is not None:
        return [known]
    return [NAME.load(row) for row in connection.execute(SELECT_BY_NAME, (kind, folded(text)))]


def names_with(connection: Connection, kind: NamedKind, part: str) -> list[NameRow]:
    """Return the record that has this name, if one does, and the newest ones whose names contain it."""
    pattern = re.sub("[!%_]", r"!\g<0>", folded(part))
    rows = [NAME.load(row) for row in connection.execute(SELECT_WITH, (kind, f"%{pattern}%"))] if pattern else []
    return list({row.id: row for row in (*find_names(connection, kind, part), *rows)}.values())


def nearest_names(connection: Connection, kind: NamedKind, text: str) -> list[NameRow]:
    """Return the newest records with the names that are most like one that nothing has."""
    rows = [NAME.load(row) for row in connection.execute(SELECT_NEWEST, (kind,))]
    names = {row.folded[:COMPARED_CHARS_MAX]: row for row in reversed(rows)}
    found = difflib.get_close_matches(folded(text)[:COMPARED_CHARS_MAX], names, n=NEAREST_MAX, cutoff=0.5)
    return [names[name] for name in found]

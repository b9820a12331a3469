"""Tests of the memory's read model and its index: hits, misses, and queries of any text."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_core.clock import FixedClock, SystemClock
from athena_core.definitions.memory_chunks import CHUNK_LINES, OVERLAP_LINES
from athena_core.domain.run import MemoryRecalled
from athena_core.errors import NotCaughtUp
from athena_core.mask import Mask
from athena_core.services.memory import NoteFiles
from athena_core.tools.workspace import Workspace
from projections import memory, sessions
from projections.memory_index import CANDIDATES_MAX
from tests.projections.history import LOG_ID, History
from tests.projections.memory_corner import Corner
from tests.projections.support import shown

OPERATORS = (
    *('"', '""', "'", "*", "^", "(", ")", "a*", "AND", "OR NOT", "NEAR(a b, 2)", "text:deploy", "-deploy", "+deploy"),
    *("{text}: deploy", "deploy\x00", "\x00", ";", "--", "' OR 1=1", "\ud800", "🚀", "x" * 1_000, "\\", "%", "_", "\t"),
)


# The read model


def test_an_entry_is_listed_until_it_is_forgotten(tmp_path: Path) -> None:
    history = History()
    first, second = history.remember("deploy on Mondays"), history.remember("never on Fridays")
    connection = shown(tmp_path, history)
    page = memory.list_entries(connection, cursor=None, limit=1)
    assert [entry.text for entry in page.items] == ["never on Fridays"]
    rest = memory.list_entries(connection, cursor=page.next_cursor, limit=1)
    assert [(entry.text, entry.chars) for entry in rest.items] == [("deploy on Mondays", 17)]
    history.forget(first)
    (tmp_path / "again").mkdir()
    connection = shown(tmp_path / "again", history)
    entries = memory.list_entries(connection, cursor=None, limit=9).items
    assert [entry.citation for entry in entries] == [f"entries/{history.written[second - 1].stream}"]
    assert memory.entry_by_id(connection, history.written[first - 1].stream) is None
    assert b"Mondays" not in b"".join(str(row).encode() for row in connection.execute("SELECT * FROM memory_entry"))


def test_a_transcript_cites_what_the_run_was_reminded_of(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.start(run_id, "when do we deploy?")
    recalled = MemoryRecalled(citations=("MEMORY.md#L1-L4", "entries/mem_1#L1"), chars=8, snippets=("a", "b"))
    history.in_run(run_id, recalled)
    history.answer(run_id, "on Mondays")
    entries = sessions.transcript(shown(tmp_path, history), LOG_ID, "s", after=None, limit=9).items
    assert [entry.metadata.get("memoryCitations") for entry in entries] == [None, "MEMORY.md#L1-L4, entries/mem_1#L1"]


# The index


def test_notes_entries_and_transcripts_are_found_with_their_places(corner: Corner) -> None:
    corner.note("MEMORY.md", "\n".join(["nothing"] * 45 + ["we deploy on Mondays"]))
    corner.note("memory/deep/er.md", "deploy with care")
    corner.note("memory/other.txt", "deploy too")
    entry = corner.history.written[corner.history.remember("never deploy on Fridays") - 1].stream
    corner.history.whole_run("chat")
    found = corner.find("deploying")  # by the stem of the word
    assert {passage.citation for passage in found} == {
        "MEMORY.md#L31-L46",
        "memory/deep/er.md#L1",
        f"entries/{entry}#L1",
    }
    assert [passage.score for passage in found] == sorted((passage.score for passage in found), reverse=True)
    note = next(passage for passage in found if passage.source_path == "MEMORY.md")
    assert (note.id, note.line_start, note.line_end) == ("MEMORY.md:1:31", 31, 46)
    assert "we deploy on Mondays" in note.snippet
    assert len(note.snippet) <= 40
    assert corner.places("deploy never deploy Fridays") == [f"entries/{entry}#L1"]
    (said,) = [passage for passage in corner.find("user") if passage.source_path == ".athena/transcripts/chat.jsonl"]
    assert said.line_start is None
    assert (said.citation or "").startswith(".athena/transcripts/chat.jsonl#")


def test_changed_notes_are_found_and_deleted_ones_are_not(corner: Corner) -> None:
    place = corner.note("memory/plan.md", "alpha")
    assert corner.places("alpha") == ["memory/plan.md#L1"]
    status = place.stat()
    place.write_text("gamma")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))  # as large and as old as before
    assert corner.places("alpha") == []
    assert corner.places("gamma") == ["memory/plan.md#L1"]
    place.unlink()
    assert corner.places("gamma") == []


def test_erased_text_is_in_no_file_of_the_index(corner: Corner) -> None:
    position = corner.history.remember("zanzibar is secret")
    run_id = corner.history.request("s")
    corner.history.start(run_id, "zanzibar again")
    assert len(corner.find("zanzibar")) == 2
    corner.history.forget(position)
    corner.history.redact(next(row.position for row in corner.history.written if row.type == "transcript.appended"))
    assert corner.find("zanzibar") == []
    corner.index.close()
    assert not any(b"zanzibar" in place.read_bytes() for place in corner.path.parent.iterdir())
    corner.index = corner.another()


def test_links_large_files_and_odd_ones_are_left_out(corner: Corner, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("mango")
    (corner.workspace / "memory" / "link.md").symlink_to(outside)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in.md").write_text("mango")
    (corner.workspace / "memory" / "folder").symlink_to(tmp_path / "folder", target_is_directory=True)
    os.mkfifo(corner.workspace / "memory" / "pipe.md")
    (corner.workspace / "MEMORY.md").symlink_to(outside)
    corner.note("memory/large.md", b"mango " * 200_000)
    corner.note("memory/bytes.md", b"\xff\xfe\x00\x02mango\x03 \xf0\x9f")
    corner.note("memory/line.md", b"x" * 900_000 + b" mango")
    assert corner.places("mango") == ["memory/bytes.md#L1"]


@pytest.mark.parametrize("query", OPERATORS, ids=range(len(OPERATORS)))
def test_no_operator_of_a_user_is_one(corner: Corner, query: str) -> None:
    corner.note("memory/plan.md", "deploy the near and text")
    for found in (corner.find(query), corner.find(f"deploy {query} near")):
        assert {passage.source_path for passage in found} <= {"memory/plan.md"}


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_query(searched: Corner, query: str) -> None:
    terms = query.split()
    searched.index.search(terms, least=len(terms), limit=3, seconds=60)
    searched.index.search(terms, least=1, limit=3, seconds=60)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corner]:
    found = Corner(tmp_path_factory.mktemp("searched"))
    found.note("memory/a.md", "one two three")
    found.find("one")
    yield found
    found.index.close()


def test_the_newest_entries_with_a_common_word_are_ranked(corner: Corner) -> None:
    corner.note("memory/old.md", "deploy deploy")
    assert corner.places("deploy") == ["memory/old.md#L1"]
    lines_between = "\n" * (CHUNK_LINES - OVERLAP_LINES)
    corner.note("memory/large.md", f"deploy and more{lines_between}" * CANDIDATES_MAX)
    assert "memory/old.md#L1" not in corner.places("deploy")
    corner.note("memory/old.md", "deploy deploy deploy")
    assert corner.places("deploy")[0] == "memory/old.md#L1"


def test_a_query_ends_at_its_deadline(corner: Corner) -> None:
    corner.note("memory/many.md", "\n".join("many words in every line" for _ in range(20_000)))
    assert corner.find("many")
    with pytest.raises(NotCaughtUp):
        corner.note("memory/more.md", "more")
        corner.find("many", seconds=-1.0)
    corner.find("more")
    with pytest.raises(TimeoutError):
        corner.index.search(["many", "words"], least=2, limit=50, seconds=0.0)
    assert corner.find("many"), "the next query is not interrupted"


def test_a_damaged_index_and_one_of_another_log_are_built_anew(corner: Corner) -> None:
    corner.note("memory/plan.md", "alpha")
    assert corner.places("alpha")
    corner.index.close()
    corner.path.write_bytes(b"this is no database" * 1_000)
    corner.index = corner.another()
    assert corner.places("alpha") == ["memory/plan.md#L1"]
    corner.index.close()
    corner.transcripts = False  # the search is another matter
    corner.index = corner.another()
    assert corner.places("alpha") == ["memory/plan.md#L1"]


def test_two_processes_share_an_index(corner: Corner) -> None:
    corner.note("memory/plan.md", "alpha")
    other = corner.another()
    assert corner.places("alpha")
    assert len(other.search(["alpha"], least=1, limit=5, seconds=60)) == 1
    other.close()


def test_a_file_that_just_changed_is_not_settled(tmp_path: Path) -> None:
    (tmp_path / "MEMORY.md").write_text("x")
    later = FixedClock((time.time_ns() + 10**10) // 10**6)
    for clock, settled in ((SystemClock(), False), (later, True)):
        (note,) = NoteFiles(Workspace(tmp_path), clock, Mask()).list()
        assert (note.path, note.settled) == ("MEMORY.md", settled)

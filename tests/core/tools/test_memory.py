"""Tests of the tool memory: hits of a search, and that only notes are read."""

import os

import pytest

from athena_core.tools.memory import FILE_BYTES_MAX, RESULTS, SNIPPET_CHARS
from tests.core.tools.bench import CANARY, Workbench


@pytest.fixture
def notes(workbench: Workbench) -> Workbench:
    folder = workbench.workspace / "memory"
    (folder / "deep").mkdir(parents=True)
    (workbench.workspace / "MEMORY.md").write_text("# Notes\nThe Moon is far.\n")
    (folder / "moon.md").write_text("moon moon\nCheese on the moon\n")
    (folder / "deep/sun.md").write_text("The sun is warm.\n")
    (folder / "moon.txt").write_text("moon moon moon moon\n")
    (workbench.workspace / "other.md").write_text("moon moon moon moon\n")
    return workbench


async def test_a_search_puts_the_notes_with_the_most_words_first(notes: Workbench) -> None:
    found = await notes.call(notes.bench(), "memory", action="search", query="MOON!", evidence="notes")
    assert found.content.split("\n\n") == [
        "memory/moon.md#L1-L2 (score 3)\nmoon moon\nCheese on the moon",
        "MEMORY.md#L1-L2 (score 1)\n# Notes\nThe Moon is far.",
    ]
    assert found.shown is not None
    assert (found.shown.content, found.shown.workspace) == (found.content, True)
    both = (await notes.call(notes.bench(), "memory", action="search", query="the moon and cheese")).content
    assert [line.partition("#")[0] for line in both.splitlines() if "#L" in line] == ["memory/moon.md", "MEMORY.md"]
    none = await notes.call(notes.bench(), "memory", action="search", query="what is saturn")
    assert none.content == "Nothing was found."
    assert "deep/sun.md" in (await notes.call(notes.bench(), "memory", action="search", query="warm sun")).content


async def test_a_search_shows_the_place_and_no_more_than_was_asked_for(notes: Workbench) -> None:
    folder = notes.workspace / "memory"
    for number in range(20):
        (folder / f"{number:02}.md").write_text("\n".join(["x" * 80] * 100 + ["needle"] + ["y" * 80] * 100))
    bench = notes.bench()
    usual = (await notes.call(bench, "memory", action="search", query="needle")).content.split("\n\n")
    assert len(usual) == RESULTS
    assert usual[0].startswith("memory/00.md#L91-L130 (score 1)\n")
    assert "needle" in usual[0]
    assert len(usual[0]) < SNIPPET_CHARS + 100
    assert len((await notes.call(bench, "memory", action="search", query="needle", max_results=2)).content) < 2_000


@pytest.mark.parametrize("query", ['"', "*", "'; --", "(((", "   "])
async def test_a_query_without_a_word_is_refused(notes: Workbench, query: str) -> None:
    assert "at least one word" in await notes.refusal(notes.bench(), "memory", action="search", query=query)


async def test_only_notes_are_searched(notes: Workbench) -> None:
    folder = notes.workspace / "memory"
    (folder / "link.md").symlink_to(notes.outside / "secret.md")
    (folder / "away").symlink_to(notes.outside)
    os.mkfifo(folder / "pipe.md")
    (folder / "large.md").write_text(CANARY + "x" * FILE_BYTES_MAX)
    found = await notes.call(notes.bench(), "memory", action="search", query=CANARY)
    assert found.content == "[1 notes could not be searched]"
    assert found.truncated


async def test_nothing_is_found_where_nothing_was_noted(workbench: Workbench) -> None:
    found = await workbench.call(workbench.bench(), "memory", action="search", query="moon")
    assert (found.content, found.is_error) == ("Nothing was found.", False)


async def test_a_note_is_read_whole_or_by_lines(notes: Workbench) -> None:
    bench = notes.bench()
    assert (await notes.call(bench, "memory", action="get", path="memory/deep/sun.md")).content == "The sun is warm."
    line = await notes.call(bench, "memory", action="get", path="MEMORY.md", from_line=2, lines=1, evidence="line")
    assert line.content == "The Moon is far."
    assert line.shown is not None
    assert line.shown.content == line.content
    assert (await notes.call(bench, "memory", action="get", path="MEMORY.md", from_line=99)).content == ""
    missing = await notes.call(bench, "memory", action="get", path="memory/no.md")
    assert (missing.is_error, missing.content) == (True, "memory/no.md: No such file or directory")


@pytest.mark.parametrize(
    "path",
    ["other.md", "memory/moon.txt", "memory", "memory.md", "/etc/passwd", "memory/../other.md", "../outside/secret.md"]
    + ["", "MEMORY.md/x.md", "state/secret.md", ".athena/secret.md", "memory/link.md", "memory/away/secret.md"],
)
async def test_only_notes_are_read(notes: Workbench, path: str) -> None:
    (notes.workspace / "memory/link.md").symlink_to(notes.outside / "secret.md")
    (notes.workspace / "memory/away").symlink_to(notes.outside)
    assert await notes.refusal(notes.bench(), "memory", action="get", path=path)


async def test_a_get_without_a_path_names_what_it_lacks(notes: Workbench) -> None:
    assert "needs path" in await notes.refusal(notes.bench(), "memory", action="get")

"""The memory over HTTP: notes and entries are found, runs are reminded, forgotten entries are gone."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Refused
from tests.support.server import Server

ODD = ('"', '""', "*", "AND", "a OR (b", "NEAR(", "text:x", "'; --", "-x", "^x", "%00", "é🚀", "x" * 1_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("memory")
    notes = directory / "workspace" / "memory"
    notes.mkdir(parents=True)
    (directory / "workspace" / "MEMORY.md").write_text("# Habits\n\nWe deploy the harbour on Mondays.\nlast\n")
    (notes / "empty.md").write_text("")
    (notes / "plan.txt").write_text("no note")
    (directory / "outside.md").write_text("outside")
    (notes / "link.md").symlink_to(directory / "outside.md")
    settings = {"memory_enabled": "true", "memory_include_transcripts": "true"} | shared_store
    with Server(directory, **settings) as found:
        yield found


@pytest.fixture
def api(server: Server) -> Api:
    return server.api


def refusal(api: Api, path: str, body: Any = None, method: str = "POST") -> tuple[int, str]:
    answer = api.send(path, body, method=method)
    return answer.status_code, str(answer.json()["error"]["code"])


def test_a_note_is_read_by_lines(api: Api) -> None:
    whole = "# Habits\n\nWe deploy the harbour on Mondays.\nlast"
    assert api.post("/memory/get", {"path": "MEMORY.md"}) == {
        "path": "MEMORY.md",
        "text": whole,
        "lineStart": 1,
        "lineEnd": 4,
    }
    some = api.post("/memory/get", {"path": "./MEMORY.md", "from": 3, "lines": 99})
    assert (some["text"], some["lineStart"], some["lineEnd"]) == ("We deploy the harbour on Mondays.\nlast", 3, 4)
    beyond = api.post("/memory/get", {"path": "MEMORY.md", "from": 10})
    assert (beyond["text"], beyond["lineStart"], beyond["lineEnd"]) == ("", 10, 4)
    assert api.post("/memory/get", {"path": "memory/empty.md"})["text"] == ""


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "../outside.md", "memory/../../outside.md", "memory/link.md", "memory/plan.txt", "README.md"),
        *("memory", "memory/nowhere.md", "MEMORY.md/x.md", ".athena/x.md", "memory/", "memory//../x.md", "x" * 1_000),
    ],
)
def test_nothing_but_notes_is_read(api: Api, path: str) -> None:
    assert refusal(api, "/memory/get", {"path": path}) == (400, "CONFIG_ERROR")


def test_a_note_is_found_until_it_is_forgotten(server: Server, api: Api) -> None:
    entry = api.post("/memory", {"text": "The lighthouse keeper is Zebulon.", "metadata": {"by": "ada"}}, key="note-1")
    again = api.send("/memory", {"text": "The lighthouse keeper is Zebulon.", "metadata": {"by": "ada"}}, key="note-1")
    assert (again.json()["data"], again.headers["idempotency-replayed"]) == (entry, "true")
    (found,) = api.get("/memory/search", query="lighthouse zebulon")
    assert found["sourcePath"] == entry["citation"]
    assert found["snippet"] == "The lighthouse keeper is Zebulon."
    assert api.get(f"/memory/{entry['id']}") == entry
    assert api.items("/memory") == [entry]
    first = api.send(f"/memory/{entry['id']}", method="DELETE")
    second = api.send(f"/memory/{entry['id']}", method="DELETE")
    assert [answer.json()["data"]["removed"] for answer in (first, second)] == [True, False]
    assert api.get("/memory/search", query="zebulon") == []
    assert api.items("/memory") == []
    with pytest.raises(Refused, match="NOT_FOUND"):
        api.get(f"/memory/{entry['id']}")
    assert refusal(api, "/memory/mem_unknown", method="DELETE") == (404, "NOT_FOUND")
    assert refusal(api, "/memory/session:x", method="DELETE") == (400, "CONFIG_ERROR")
    events = api.events(types="memory.recorded,memory.forgotten,payload.redacted")
    assert [event["type"] for event in events] == ["memory.recorded", "memory.forgotten", "payload.redacted"]
    assert "Zebulon" not in str(events)


def test_a_run_is_reminded_and_its_answer_says_of_what(api: Api) -> None:
    api.run("when do we deploy the harbour?", sessionId="reminded")
    said, answer = api.get("/sessions/reminded/transcript")["items"]
    assert "memoryCitations" not in said["metadata"]
    assert answer["metadata"]["memoryCitations"] == "MEMORY.md#L1-L4"
    assert "[MEMORY.md#L1-L4]\n# Habits" in answer["content"], "the mock says what it was told"
    (event,) = api.events(types="memory.recalled", sessionId="reminded")
    assert event["payload"]["citations"] == ["MEMORY.md#L1-L4"]
    api.run("hello", sessionId="unreminded")
    assert api.events(types="memory.recalled", sessionId="unreminded") == []


def test_what_was_said_is_found(api: Api) -> None:
    api.run("tell me about the xylophone", sessionId="music")
    found = api.get("/memory/search", query="xylophone", maxResults=1)
    assert [passage["sourcePath"] for passage in found] == [".athena/transcripts/music.jsonl"]


@pytest.mark.parametrize("query", ODD, ids=range(len(ODD)))
def test_no_query_is_more_than_words(api: Api, query: str) -> None:
    assert api.get("/memory/search", query=query, maxResults=10**6, minScore=0) == []


def test_a_search_is_limited_as_it_says(api: Api) -> None:
    for number in range(8):
        api.post("/memory", {"text": f"kiwi number {number}"})
    assert len(api.get("/memory/search", query="kiwi")) == 6
    assert len(api.get("/memory/search", query="kiwi", maxResults=2)) == 2
    assert api.get("/memory/search", query="kiwi", minScore=1_000) == []
    with pytest.raises(Refused, match=r"memory\.search\.query: is required"):
        api.get("/memory/search", query=" ")
    assert refusal(api, "/memory", {"text": "x" * 100_001}) == (400, "CONFIG_ERROR")


def test_without_a_memory_nothing_is_found_and_runs_are_as_ever(shared: Server) -> None:
    api = shared.api
    assert api.get("/memory/search", query="deploy") == []
    assert refusal(api, "/memory/get", {"path": "MEMORY.md"}) == (400, "CONFIG_ERROR")
    assert refusal(api, "/memory", {"text": "x"}) == (400, "CONFIG_ERROR")
    api.run("when do we deploy?", sessionId="plain")
    assert api.events(types="memory.recalled", sessionId="plain") == []


def test_a_memory_that_is_switched_off_blames_no_field_of_the_caller(serve: Serve) -> None:
    server = serve(memory_enabled="false")
    for path, body in (("/memory", {"text": "a"}), ("/memory/get", {"path": "MEMORY.md"})):
        answer = server.api.send(path, body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "CONFIG_ERROR")
        assert [fault["field"] for fault in error["details"]] == ["ATHENA_MEMORY_ENABLED"]
        assert ": The memory of this server is switched off. " in error["message"]


def test_errors_of_notes_are_worded_for_clients(serve: Serve) -> None:
    server = serve(memory_enabled="true")
    for path in ("notes.txt", "../x.md", "memory/no.md", "/etc/passwd", "memory/\x01.md"):
        error = server.api.send("/memory/get", {"path": path}).json()["error"]
        assert (error["code"], error["details"][0]["field"]) == ("CONFIG_ERROR", "path")
        assert "tool" not in error["message"]
        assert error["details"][0]["remedy"].startswith("MEMORY.md or memory/<name>.md")

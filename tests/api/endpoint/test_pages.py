"""Pages: however large the records are, an answer stays small, and the pages together show each of them once."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from athena_api.edge.replies import success
from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery
from athena_api.fair_threads import Payer
from athena_api.operations.workflows import get_workflow_run
from athena_api.plane import READ_THREADS, ControlPlane
from athena_core.decider import Outcome
from athena_core.definitions import workflow_graph
from athena_core.domain import session
from athena_core.domain import workflow_run as wr
from athena_core.domain.directive import DirectiveSpec
from athena_core.domain.run import TranscriptAppended
from athena_core.domain.session import SessionCreated
from athena_core.domain.workflow import WorkflowCreated
from athena_core.event import Fact, Meta
from athena_core.protocols import Connection
from athena_core.values import LOCAL, PAGE_BYTES_MAX, PREVIEW_CHARS
from projections import directives
from projections.engine import generation
from projections.engine.page import INLINE_BYTES_MAX, Page
from projections.engine.updater import ViewUpdater
from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Api, Json
from tests.support.events.run import CREATED
from tests.support.inside import Inside
from tests.support.records import META
from tests.support.server import Server
from tests.support.workflow_builder import Builder

LARGE = 800_000
RUNS = 6
AROUND = 64 << 10
"""What an answer holds beside the items of a page, in bytes."""

WIDE = {"context_max_chars": "8000000", "history_max_entries": "1"}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one session of large runs, a large queue, and large workflows."""
    with Server(tmp_path_factory.mktemp("wide"), **WIDE) as server:
        api = server.api
        for number in range(RUNS):
            api.run(f"{number}" * LARGE, sessionId="wide")
            api.post("/work/enqueue", {"sessionId": "wide", "payload": f"{number}" * LARGE, "mode": "followup"})
            steps = [{"id": f"s{step}", "approval": {"message": "m" * 1_000}} for step in range(800)]
            api.post("/workflows", {"definition": {"steps": steps, "dependencies": []}})
        yield server


def bodies(api: Api, path: str, start: str | None = None, by: str = "cursor", **query: Any) -> Iterator[Json]:
    """Yield the data of all pages. Fail if one is too large."""
    cursor = start
    while True:
        asked = {name: value for name, value in {**query, by: cursor}.items() if value is not None}
        answer = api.http.get(path, params={"limit": 500, **asked})
        assert answer.status_code == 200, answer.text[:1_000]
        assert len(answer.content) <= PAGE_BYTES_MAX + AROUND
        data = answer.json()["data"]
        yield data
        cursor = data.get("nextCursor")
        if cursor is None:
            return


def collected(api: Api, path: str, name: str = "items", **query: Any) -> list[Json]:
    pages = [page[name] for page in bodies(api, path, **query)]
    assert all(pages[:-1])
    return [item for page in pages for item in page]


def test_a_list_of_runs_shows_how_inputs_and_outputs_begin(wide: Server) -> None:
    (page,) = bodies(wide.api, "/runs")
    assert len(page["items"]) == RUNS
    for number, run in enumerate(reversed(page["items"])):
        assert "output" not in run
        assert run["inputPreview"] == f"{number}" * PREVIEW_CHARS
        assert (len(run["outputPreview"]), run["outputChars"] > LARGE) == (PREVIEW_CHARS, True)
        whole = wide.api.get(f"/runs/{run['runId']}")
        assert len(whole["output"]) == run["outputChars"]
        assert whole["output"].startswith(run["outputPreview"])


def test_outputs_are_paged_within_the_bytes_of_a_page(wide: Server) -> None:
    pages = list(bodies(wide.api, "/runs", include="output"))
    assert len(pages) > 1
    listed = [run for page in pages for run in page["items"]]
    (short,) = bodies(wide.api, "/runs")
    assert [run["runId"] for run in listed] == [run["runId"] for run in short["items"]]
    assert all(len(run["output"]) == run["outputChars"] for run in listed)


def test_transcripts_are_paged_within_the_bytes_of_a_page(wide: Server) -> None:
    entries = collected(wide.api, "/sessions/wide/transcript", by="after", start="0")
    assert [entry["role"] for entry in entries] == ["user", "assistant"] * RUNS
    assert all(len(entry["content"]) >= LARGE for entry in entries)
    (newest,) = bodies(wide.api, "/sessions/wide/transcript", by="after")
    assert newest["items"] == entries[-len(newest["items"]) :]


def test_the_stream_of_a_transcript_shows_every_large_entry_once(wide: Server) -> None:
    with wide.api.stream("/sessions/wide/transcript/stream", after="0") as blocks:
        entries: list[str] = []
        while len(entries) < 2 * RUNS:
            frame = next(blocks)
            if frame.event == "transcript.entry":
                entries.append(frame.data["data"]["id"])
    assert entries == [entry["id"] for entry in collected(wide.api, "/sessions/wide/transcript", by="after", start="0")]


def test_directives_are_paged_within_the_bytes_of_a_page(wide: Server) -> None:
    assert sum(len(one["input"]) == LARGE for one in collected(wide.api, "/directives")) == RUNS


def test_workflows_are_paged_within_the_bytes_of_a_page(wide: Server) -> None:
    assert len({one["id"] for one in collected(wide.api, "/workflows")}) == RUNS


def test_a_queue_is_paged_within_the_bytes_of_a_page(wide: Server) -> None:
    items = collected(wide.api, "/sessions/wide/work-queue")
    assert [item["payload"][0] for item in items] == [str(number) for number in range(RUNS)]
    assert wide.api.get("/sessions/wide/work-queue")["itemCounts"] == {"followup": RUNS, "collect": 0}


@pytest.mark.parametrize("types", [None, "workflow.created"])
def test_events_are_paged_within_the_bytes_of_a_page(wide: Server, types: str | None) -> None:
    events = collected(wide.api, "/events", name="events", types=types)
    assert sum(event["type"] == "workflow.created" for event in events) == RUNS
    assert len({event["id"] for event in events}) == len(events)
    assert types is not None or len(events) == wide.api.head()


# What was never a page


def test_a_workflow_run_shows_some_items_and_pages_show_all(build: Builder) -> None:
    each = build.step("each", "{{item}}" + "x" * 3_000, map={"input": "list", "maxParallel": 100})
    run = build.run(build.workflow([each]), list=list(range(120)))
    node = run["stepStates"]["each"]
    counts = {"total": 120, "pending": 0, "running": 0, "ok": 120, "failed": 0, "cancelled": 0}
    assert (node["status"], node["itemCounts"], node["itemsTruncated"]) == ("ok", counts, True)
    assert [item["item"] for item in node["items"]] == list(range(100))
    artifact = node["checkpoint"]["artifact"]
    assert artifact["outputTruncated"] is True
    assert [len(text) for text in json.loads(artifact["output"])] == [PREVIEW_CHARS] * 100
    path = f"/workflows/run/{run['id']}/steps/each/items"
    items = build.api.items(path, limit=50)
    assert [item["item"] for item in items] == list(range(120))
    assert items[:100] == node["items"]
    assert build.api.items(path, status="failed") == []


@pytest.mark.parametrize("path", ["wfr_unknown/steps/each/items", "{run}/steps/none/items"])
def test_items_of_unknown_steps_are_not_found(build: Builder, path: str) -> None:
    run = build.run(build.chain("a"))
    answer = build.api.http.get(f"/workflows/run/{path.format(run=run['id'])}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert build.api.items(f"/workflows/run/{run['id']}/steps/a/items") == []


async def test_a_run_of_many_items_is_read_beside_the_loop_and_answered_small(parts: ControlPlane) -> None:
    workflow_id, run_id = "wf_many", "wfr_many"
    steps = tuple(
        workflow_graph.Step(id=f"s{number}", map=workflow_graph.MapOver(input="list")) for number in range(100)
    )
    created = WorkflowCreated(
        workflow_id=workflow_id,
        step_count=len(steps),
        dependency_count=0,
        created_by="ada",
        definition=workflow_graph.WorkflowDefinition(steps=steps, dependencies=()),
    )
    begun = wr.WorkflowRunCreated(workflow_id=workflow_id, requested_by="ada", input_names=())
    grown = [wr.WorkflowStepExpanded(workflow_id=workflow_id, step_id=step.id, items=100) for step in steps]
    over = wr.WorkflowRunCancelled(workflow_id=workflow_id)
    facts = (
        Fact(stream=workflow_id, event=created),
        *(Fact(stream=run_id, event=one) for one in (begun, *grown, over)),
    )
    await parts.log.submit(lambda reader, context: Outcome(facts=facts), Meta(actor="ada", correlation="t"))
    await parts.caught_up(("workflows", "runs"), parts.reader.head())

    turns = 0
    done = asyncio.Event()

    async def other() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    async def receive() -> Any:
        raise AssertionError

    call: ApiCall[Any, Any] = ApiCall(
        _who=LOCAL,
        _meta=Meta(actor="ada", correlation="t"),
        path={"id": run_id},
        query=NoQuery(),
        body=NoBody(),
        receive=receive,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other())
        await asyncio.sleep(0)
        before = turns
        reply = await get_workflow_run(parts, call)
        during = turns - before
        done.set()
    assert during > 10  # another request is answered meanwhile
    observed = json.loads(success(reply.data))["data"]
    assert len(success(reply.data)) < PAGE_BYTES_MAX // 4
    assert sum(node["itemCounts"]["total"] for node in observed["nodes"]) == 10_000
    assert sum(len(node["items"]) for node in observed["nodes"]) == 1_000
    assert sum("itemsTruncated" in node for node in observed["nodes"]) == 90


def test_maps_beyond_the_limit_of_a_run_fail_as_they_are_expanded(serve: Serve) -> None:
    build = Builder(serve(workflow_items_max="5").api)
    steps = [build.step(name, map={"input": "list"}) for name in "abc"]
    run = build.run(build.workflow(steps), list=[1, 2, 3])
    states = run["stepStates"]
    assert [states[name]["status"] for name in "abc"] == ["ok", "failed", "failed"]
    for name in "bc":
        error = states[name]["checkpoint"]["error"]
        assert error.startswith("MAP_ERROR: the map has 3 items")
        assert "ATHENA_WORKFLOW_ITEMS_MAX allows 5" in error


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_large_outputs_in_lists_cost_no_memory(serve: Serve) -> None:
    server = serve(**WIDE)
    for number in range(sized(30, 100, 300)):
        server.api.run("x" * LARGE, sessionId=f"s{number}")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", "ascii")  # the peak is now
    before = peak(server)

    def size(include: str) -> int:
        answer = server.api.http.get("/runs", params={"limit": 500, "include": include})
        return len(answer.raise_for_status().content)

    with ThreadPoolExecutor(6) as clients:
        sizes = list(clients.map(size, ["output", ""] * 6))
    assert peak(server) - before < 64 << 20
    assert max(sizes) <= PAGE_BYTES_MAX + AROUND


def peak(server: Server) -> int:
    """Return the peak memory of a server since it was reset, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


async def test_only_a_large_page_is_read_beside_the_loop(parts: ControlPlane) -> None:
    for number in range(40):
        await parts.catalog.create_directive(DirectiveSpec(input=f"{number}" * 8_000), META, None)
    await parts.caught_up(("catalog",), parts.reader.head())
    threads: list[int] = []

    def read(limit: int) -> Callable[[Connection], Page[directives.Directive]]:
        def work(rows: Connection) -> Page[directives.Directive]:
            threads.append(threading.get_ident())
            return directives.list_directives(rows, cursor=None, limit=limit)

        return work

    small, _ = await parts.query(("catalog",), read(10))
    assert threads == [threading.get_ident()]
    large, position = await parts.query(("catalog",), read(40))
    assert threads[:2] == [threading.get_ident()] * 2
    assert threads[2:] != [threading.get_ident()], "it was read again, in a thread"
    assert len(threads) == 3
    assert (len(large.items), large.items[:10], position) == (40, small.items, parts.reader.head())


def test_a_large_page_comes_from_no_older_generation_than_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(tmp_path, scheduler="off")
    inside.start()
    try:
        plane = inside.app.plane
        for number in range(40):
            assert inside.ask("POST", "/directives", {"input": f"{number}" * 8_000}).status_code == 200
        assert len(inside.ask("GET", "/directives?limit=40").json()["data"]["items"]) == 40
        monkeypatch.setattr(ViewUpdater, "turn", lambda updater: False)  # the new generation stays empty for a while
        generations, log = plane.views.generations, plane.log
        served, name = generations.current(), generations.fresh()
        assert served is not None
        with closing(generations.write(name, generations.updater_lock())) as connection:
            generation.create(connection, plane.views.projections, log.log_id, 0)

        async def replaced(path: str) -> httpx2.Response:
            """Request a page whose generation is replaced before a thread opens it."""
            free = threading.Event()
            others = [Payer(f"other{number}", "read") for number in range(READ_THREADS)]
            busy = [asyncio.create_task(plane.read_threads.run(payer, free.wait)) for payer in others]
            while plane.read_threads.running < READ_THREADS:
                await asyncio.sleep(0)
            asked = asyncio.create_task(inside.send("GET", path))
            while not plane.read_threads.waiting:
                await asyncio.sleep(0.001)
            generations.switch(name, generations.updater_lock())
            free.set()
            await asyncio.gather(*busy)
            try:
                return await asked
            finally:
                generations.switch(served, generations.updater_lock())

        least = f"minPosition={plane.log.signal.position}"
        answer = inside.call(replaced, f"/directives?limit=40&{least}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "NOT_CAUGHT_UP")
        answer = inside.call(replaced, f"/directives?limit=40&{least}&stale=allow")
        assert (answer.status_code, answer.headers["athena-stale"]) == (200, "true")
    finally:
        monkeypatch.undo()
        inside.stop()


async def test_a_stream_that_catches_up_reads_a_part_of_a_large_page_at_a_time(parts: ControlPlane) -> None:
    steps = tuple(workflow_graph.Step(id=f"s{number}", outputs=("o" * 1_000,)) for number in range(100))
    definition = workflow_graph.WorkflowDefinition(steps=steps, dependencies=())
    facts = [Fact(stream=session.stream("s"), event=SessionCreated(session_id="s"), session_id="s")]
    for number in range(6):
        made = WorkflowCreated(
            workflow_id=f"wf_{number}", step_count=100, dependency_count=0, created_by="ada", definition=definition
        )
        facts.append(Fact(stream=made.workflow_id, event=made))
    large = TranscriptAppended(role="assistant", kind="message", chars=100_000, content="a" * 100_000)
    said = (replace(CREATED, session_id="s"), *[large] * 6)
    facts += [Fact(stream="run_1", event=event, session_id="s", run_id="run_1") for event in said]
    before = parts.reader.head()
    await parts.log.submit(lambda reader, context: Outcome(facts=tuple(facts)), META)
    await parts.caught_up(("sessions",), parts.reader.head())
    sizes = []
    while before < parts.reader.head():
        frames, before = parts.feed.frames("event", before, None)
        sizes.append(sum(map(len, frames)))
    assert max(sizes) <= INLINE_BYTES_MAX + AROUND
    subscription = parts.transcripts.open("s", None, None)
    with subscription:
        pages = [subscription.take() for _ in range(3)]
    assert [len(frames) for frames, _ in pages] == [2, 2, 2]

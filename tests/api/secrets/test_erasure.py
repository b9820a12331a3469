"""Erasure: files are rewritten once for each erased text, and caches in memory are cleared."""

from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from athena_api.plane import ControlPlane
from athena_core.services import memory
from athena_core.services.asks.rules import AllowedCall
from athena_core.services.erasure import erasure
from athena_core.services.erasure.erasure import PLACES
from athena_core.services.erasure.redaction import Copies, copies_of, redact, text_of_session
from athena_core.services.mcp.catalogue import CataloguedServer
from athena_core.services.workflows.step_inputs import WorkflowInput
from tests.support.api import PATIENCE_SECONDS
from tests.support.inside import Inside, plane_on
from tests.support.records import CODEC, META, opened_log

CANARY = "the code is 7731"


def test_a_note_that_was_forgotten_costs_one_pass_however_often_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "REST_PARTS", 0)  # a slow disk would make the rest longer than is waited
    with plane_on(tmp_path, scheduler="off", memory_enabled="true") as inside:
        passes: list[float] = []
        inside.app.plane.erasure.recall.scrub = passes.append  # type: ignore[assignment]
        for _ in range(2):
            entry = inside.ask("POST", "/memory", {"text": "the code is 7731"}).json()["data"]["id"]
            for _ in range(3):
                assert "left" not in inside.ask("DELETE", f"/memory/{entry}").json()["data"]
        assert len(passes) == 2


def test_what_repeats_a_note_while_it_is_forgotten_is_named_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plane_on(tmp_path, scheduler="off", memory_enabled="true") as inside:
        entry = inside.ask("POST", "/memory", {"text": CANARY}).json()["data"]["id"]

        def search(*arguments: Any) -> Copies:
            found = copies_of(*arguments)
            monkeypatch.undo()
            assert inside.ask("POST", "/runs", {"sessionId": "s", "input": CANARY}).status_code == 200
            return found

        monkeypatch.setattr(memory, "copies_of", search)
        left = [inside.ask("DELETE", f"/memory/{entry}").json()["data"].get("left", ()) for _ in range(2)]
        with closing(inside.app.plane.log.reader()) as reader:
            rows = reader.rows(0, 1_000)
        repeating = [f"position {row.position}" for row in rows if CANARY.encode() in (row.text or b"")]
        assert [[one["place"] for one in each] for each in left] == [repeating, repeating] != [[], []]


def holds(plane: ControlPlane) -> dict[str, bool]:
    """Return which caches of a process hold something, or the canary where that can be checked."""
    return {
        "histories": plane.runs.compiler.histories.size != (0, 0),
        "past": any(reader.held for reader, _ in plane.past._free),
        "answers": any(CANARY.encode() in reply.data for reply in plane.answer_cache._answers.values()),
        "recent rows": bool(plane.log.recent._commits),
        "segments of the feed": bool(plane.feed.segments._kept),
        "permission rules": bool(plane.permission_rules._hashes),
        "MCP servers": bool(plane.mcp_catalogue._servers),
        "inputs of workflows": bool(plane.workflow_stepper._inputs._inputs),
    }


def fill(inside: Inside) -> None:
    """Fill every cache of a process."""
    plane = inside.app.plane
    for words in (CANARY, "thanks"):
        assert inside.ask("POST", "/runs", {"sessionId": "s", "input": words}).status_code == 200
    oldest = inside.ask("GET", "/runs").json()["data"]["items"][-1]["runId"]
    assert CANARY in inside.ask("GET", f"/runs/{oldest}").text
    assert CANARY in inside.ask("GET", f"/runs/{oldest}?asOf={plane.reader.head()}").text
    plane.workflow_stepper._inputs._inputs["wfr_1"] = WorkflowInput({"said": CANARY}, frozenset(), "", 0)
    plane.mcp_catalogue._servers["git"] = CataloguedServer("git")
    plane.permission_rules._hashes["rule_1"] = AllowedCall("ab", "cd", None, None, "root")
    plane.log.recent.put(plane.log.store.rows(0, 1_000), 1)  # it is empty once the views have taken them
    plane.feed.segments._kept["item", 0] = None
    assert holds(plane) == dict.fromkeys(plane.erasure.caches, True)


def test_what_another_process_erases_is_in_no_cache_and_in_no_context(tmp_path: Path) -> None:
    with plane_on(tmp_path, scheduler="off") as inside:
        plane = inside.app.plane
        fill(inside)

        async def context() -> str:
            messages, _ = plane.runs.compiler.compile("s", plane.reader.head() + 1, "now", (), ())
            return str(messages)

        assert CANARY in inside.call(context)
        with opened_log(inside.state_dir) as other, closing(other.reader()) as reader:
            found = text_of_session(reader, CODEC, "s")
            anyio.run(redact, other, reader, found, "asked to", META)

        async def forgotten() -> None:
            with anyio.fail_after(PATIENCE_SECONDS):
                while any(holds(plane).values()):
                    await anyio.sleep(0.005)

        inside.call(forgotten)
        assert CANARY not in inside.call(context)
        inside.call(plane.caught_up, tuple(one.name for one in plane.views.projections), plane.reader.head())


def test_the_registry_has_an_eraser_of_each_cache(tmp_path: Path) -> None:
    with plane_on(tmp_path, scheduler="off") as inside:
        plane = inside.app.plane
        caches = [place for place in PLACES if not place.patterns]
        assert {place.name for place in caches} == plane.erasure.caches.keys()
        fill(inside)
        inside.ask("POST", "/runs", {"sessionId": "t", "input": "later"})  # as an erasure, it moves the head
        plane.log.recent.put(plane.log.store.rows(0, 1_000), 1)
        for place in caches:
            assert holds(plane)[place.name]
            assert place.erase is not None
            assert list(place.erase(plane.erasure, 0.0)) == []
            assert not holds(plane)[place.name]


def test_what_a_workflow_was_asked_with_is_read_again_by_who_leads_again(tmp_path: Path) -> None:
    """Another leader may have resumed it with other inputs."""
    with plane_on(tmp_path, scheduler="off") as inside:
        plane = inside.app.plane
        plane.workflow_stepper._inputs._inputs["wfr_1"] = WorkflowInput({"said": CANARY}, frozenset(), "", 0)
        with closing(plane.log.reader()) as reader:
            assert list(plane.workflow_stepper.open(reader)) == []
        assert not plane.workflow_stepper._inputs._inputs

"""The shown is the done, at each place where a person or a persona decides.

Each place takes the same 200 texts. `make test` tries some of them, CI some others, the proof all.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from athena_core.mask import Mask
from athena_core.outside_text import OutsideText, visible_marks
from athena_core.services.execution.mcp.forms import shown_question
from athena_core.text import clean
from tests.scale import sized
from tests.support import repository
from tests.support.agent_model import Calls
from tests.support.api import Api, Json, refused_by, soon
from tests.support.decided_texts import ALL, OWN_KEY, SIZES
from tests.support.directed import directed
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.model import Profile, Step
from tests.support.outside_agents import AgentSite, agent_site
from tests.support.own_workspaces import Site, sh
from tests.support.server import Server
from tests.support.workflow_builder import Builder, settled

PAGE = Path(__file__).parents[2] / "docs" / "why" / "threat-model.md"
PLACES = {
    "call of the loop": "test_calls_of_the_loop",
    "call of an MCP tool": "test_calls_of_mcp_tools",
    "call of an outside agent": "test_calls_of_an_outside_agent",
    "question of a model": "test_questions_of_the_loop",
    "question of an agent or an MCP server": "test_questions_of_agents_and_servers",
    "approval of a workflow step": "test_approvals_of_steps",
    "review by a persona": "test_reviews",
    "apply of changes": "test_applies",
    "acceptance of MCP tools": "test_acceptances",
    "redrive of dead letters": "api/operations/test_dead_letters.py",
    "bulk act": "api/runs/test_bulk_requests.py",
    "change of the policy": "api/operations/test_policy_simulation.py",
}
"""The places of the table in the threat model, with the test of each."""

MARK = re.compile(r" ?\[(?:hidden|cut): [0-9]+ characters, sha256 [0-9a-f]{12}\]")
CALLS_A_TURN, TURNS_A_RUN = 16, 10
SECRET_NAME = "[secret ATHENA_OPENAI_API_KEY]"
SMALL = tuple(text for text in ALL if len(text) < 5_000)
SOME = tuple(range(0, len(ALL), 18))
"""Numbers of the texts that `make test` tries."""
DESCRIBED = [number for number in SOME if len(ALL[number]) < 5_000]
"""Numbers of the texts that MCP servers describe a tool by."""
MORE = range(*sized((1, len(ALL), 9), (1, len(ALL), 3), (0, len(ALL), 1)))
WAYS = [pytest.param(SOME, id="some"), pytest.param(tuple(MORE), id="more", marks=pytest.mark.heavy)]


def fits(shown: str, exact: str) -> bool:
    """Return True if a shown text is the exact one, but for the parts in whose place marks stand."""
    place = 0
    for piece in MARK.split(shown):
        place = exact.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    return True


def open_asks(api: Api, run_id: str, count: int) -> list[Json]:
    """Wait until a run has that many open asks. Return them as a person sees them."""
    for _ in soon():
        found = api.items("/asks", runId=run_id)
        if len(found) >= count:
            break
    return [dict(api.get(f"/asks/{ask['id']}")) for ask in found]


def allow(api: Api, ask: Json, option: str = "allow", **fields: Any) -> None:
    api.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": option, **fields})


def allow_exactly(api: Api, ask: Json) -> str:
    """Allow an ask as a person does, who opens a hidden part first. Return the exact text."""
    if "hidden" not in ask:
        allow(api, ask)
        return str(ask["arguments"])
    assert refused_by(allow, api, ask) == (409, "EXACT_NOT_OPENED")
    assert refused_by(allow, api, ask, remember="run")[0] == 400
    exact = str(api.get(f"/asks/{ask['id']}", exact="true")["exact"])
    allow(api, ask)
    return visible_marks(exact)


def profile_of(*tools: str, **fields: Any) -> Json:
    return Profile(tools=tools).body | {"toolPolicies": {}} | fields


def shared(site: Site) -> Path:
    return site.server.state_dir.parent / "workspace"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("decisions")
    repository.make(directory / "workspace")
    says = {
        f"says{number}": fake_server(f"says-base64={b64encode(ALL[number].encode()).decode()}") for number in DESCRIBED
    }
    servers = mcp_servers_file(directory, {"fake": fake_server(), **says})
    with directed() as model:
        settings = {"openai_base_url": model.url, "openai_api_key": OWN_KEY, "mcp_servers": str(servers)}
        with Server(directory, **settings, **shared_store) as server:
            yield Site(server, model)


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[AgentSite]:
    with agent_site(tmp_path_factory.mktemp("agents"), {"fake": ()}, openai_api_key=OWN_KEY, **shared_store) as found:
        yield found


def test_the_table_of_the_threat_model_names_each_place() -> None:
    text = PAGE.read_text().partition("## Where people decide")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    own = [test for test in PLACES.values() if test.startswith("test_")]
    assert {row[1].strip(): row[4].strip() for row in rows[1:]} == {
        name: "between/test_decisions" if test in own else test.removesuffix(".py") for name, test in PLACES.items()
    }
    assert set(own) <= globals().keys()


# Calls


def calls_in_turns(site: Site, name: str, profile: Json, calls: Sequence[tuple[str, Json]]) -> list[tuple[str, Json]]:
    """Let a run make calls, allow each ask, and return its texts with the shown ask."""
    api = site.server.api
    profile_id = api.post("/harness-profiles", profile)["id"]
    found: list[tuple[str, Json]] = []
    turns: list[Step] = [tuple(calls[at : at + CALLS_A_TURN]) for at in range(0, len(calls), CALLS_A_TURN)]
    for number, turn in enumerate(turns):
        said = site.model.script(f"{name} {number}", turn, "done")
        run_id = api.start(said, harnessProfileId=profile_id)["runId"]
        for ask in open_asks(api, run_id, len(turn)):
            found.append((allow_exactly(api, ask), ask))
        assert api.await_ending(run_id) == "run.completed"
    return found


@pytest.mark.parametrize("chosen", WAYS)
def test_calls_of_the_loop(site: Site, chosen: Sequence[int]) -> None:
    files = {"write": True, "approval": "ask", "fileBytesMax": 2_000_000}
    profile = profile_of("files", toolPolicies={"files": files})
    kept = [number for number in chosen if ALL[number] not in SIZES[:2]]
    calls = [("files", {"action": "write", "path": f"loop/{n}.txt", "content": ALL[n]}) for n in kept]
    (shared(site) / "loop").mkdir(exist_ok=True)
    for exact, ask in calls_in_turns(site, f"calls {len(chosen)}", profile, calls):
        assert exact == ask["arguments"], "the loop makes the masked call, so nothing is hidden"
        path = re.search(r"loop/(\d+)\.txt", exact)
        assert path is not None
        done = (shared(site) / path[0]).read_bytes().decode()
        assert same_escapes(exact) == spelt({"action": "write", "content": done, "path": path[0]})


def spelt(call: Json) -> str:
    """Return what a call did in the spelling of ``same_escapes``, with the marks of what people cannot see."""
    return json.dumps(json.loads(visible_marks(msgspec.json.encode(call).decode())), sort_keys=True)


def same_escapes(shown: str) -> str:
    return json.dumps(json.loads(shown), sort_keys=True)


@pytest.mark.parametrize("chosen", WAYS)
def test_calls_of_mcp_tools(site: Site, chosen: Sequence[int]) -> None:
    profile = profile_of("evidence", mcp={"fake": {"tools": ["echo"], "approval": "ask"}})
    kept = [n for n in chosen if len(ALL[n]) < 2_000 and "\0" not in ALL[n]]  # other results reach no model as they are
    name = f"mcp {len(chosen)}"
    calls = [("fake__echo", {"text": f"<{n}>{ALL[n]}</{n}>"}) for n in kept]
    shown = calls_in_turns(site, name, profile, calls)
    results = "".join(
        result for number in range(-(-len(calls) // CALLS_A_TURN)) for result in site.model.results(f"{name} {number}")
    )
    for exact, ask in shown:
        assert exact == ask["arguments"]
        assert visible_marks(json.loads(exact)["text"]) in visible_marks(results)
    assert len(shown) == len(calls)


@pytest.mark.parametrize("chosen", WAYS)
def test_calls_of_an_outside_agent(agents: AgentSite, chosen: Sequence[int]) -> None:
    api, profile = agents.server.api, agents.profile()
    kept = [number for number in chosen if len(ALL[number]) < 200_000]
    hidden = 0
    for start in range(0, len(kept), TURNS_A_RUN):
        some = kept[start : start + TURNS_A_RUN]
        turns = [Calls("edit", {"path": f"{number}.txt", "text": ALL[number]}) for number in some]
        run_id = agents.start(f"edits {len(chosen)} {start}", *turns, "Done.", profile=profile)
        allowed: list[str] = []
        for count in range(len(some)):
            (ask,) = (one for one in open_asks(api, run_id, 1))
            exact = allow_exactly(api, ask)
            assert fits(ask["arguments"], exact)
            assert ("hidden" in ask) == (ask["arguments"] != exact)
            hidden += "hidden" in ask
            allowed.append(exact)
            await_decisions(agents, run_id, count + 1)
        assert api.await_ending(run_id) == "run.completed"
        for number, exact in zip(some, allowed, strict=True):
            done = (agents.files(run_id) / f"{number}.txt").read_bytes().decode()
            assert same_escapes(exact) == spelt({"path": f"{number}.txt", "text": done})
    assert hidden


def await_decisions(agents: AgentSite, run_id: str, count: int) -> None:
    """Wait until that many calls of a run were decided and recorded."""
    for _ in soon():
        if len(agents.payloads(run_id, "tool.called")) >= count:
            return


# Questions and approvals


@pytest.mark.parametrize("chosen", WAYS)
def test_questions_of_the_loop(site: Site, chosen: Sequence[int]) -> None:
    kept = [number for number in chosen if ALL[number].strip() and len(ALL[number]) < 2_000]
    mask = Mask([OWN_KEY])
    api = site.server.api
    profile_id = api.post("/harness-profiles", profile_of("ask_user"))["id"]
    seen = 0
    calls = [("ask_user", {"question": ALL[number], "options": ["yes", "no"]}) for number in kept]
    for start in range(0, len(calls), CALLS_A_TURN):
        turn = tuple(calls[start : start + CALLS_A_TURN])
        said = site.model.script(f"asks {len(chosen)} {start}", turn, "done")
        run_id = api.start(said, harnessProfileId=profile_id)["runId"]
        asks: list[Json] = []
        for _ in soon():
            if api.get(f"/runs/{run_id}")["status"] not in {"queued", "running", "paused"}:
                break
            for one in api.items("/asks", runId=run_id):
                asks.append(api.get(f"/asks/{one['id']}"))
                allow(api, asks[-1], "decline")
                assert "hidden" not in asks[-1]
        seen += len(asks)
        shown = {ask["question"] for ask in asks}
        asked = {visible_marks(mask.hide(clean(str(given["question"])))).strip() for _, given in turn}
        assert {one.strip() for one in shown} <= asked
    assert seen > len(kept) / 2, "a run that repeats a masked question is stuck, and asks nothing"


def test_questions_of_agents_and_servers() -> None:
    mask = Mask({OWN_KEY: "ATHENA_OPENAI_API_KEY"})
    for text in ALL:
        field = {"type": "string", "title": text, "description": text, "enum": ["a", text[:100]]}
        question = shown_question(text, {"type": "object", "properties": {"f": field}}, mask, "0f" * 16)
        if question is None:  # it is declined
            continue
        shown = json.loads(question.arguments)
        exact = json.loads(question.exact)
        assert fits(shown["question"], exact["question"].strip())
        assert OWN_KEY not in question.exact
        if not question.hidden:
            assert shown == exact
        values = {"f": list(shown["form"]["properties"].values())[0]["enum"][-1]}
        name = next(iter(shown["form"]["properties"]))
        assert question.content({name: values["f"]}) == {"f": text[:100] or values["f"]} or question.secrets


@pytest.mark.parametrize("chosen", WAYS)
def test_approvals_of_steps(site: Site, chosen: Sequence[int]) -> None:
    api = site.server.api
    profile_id = api.post("/harness-profiles", profile_of("evidence"))["id"]
    build = Builder(api)
    for number in chosen:
        if not ALL[number].strip() or len(ALL[number]) > 20_000:
            continue
        name, later = f"draft {len(chosen)} {number}", f"ship {len(chosen)} {number}:"
        site.model.script(name, ALL[number])
        site.model.otherwise = "shipped"
        first = {"id": "a", "directiveId": directive(api, name), "harnessProfileId": profile_id}
        last = {"id": "b", "directiveId": directive(api, later + "{{text}}"), "harnessProfileId": profile_id}
        handed = {"from": "a", "to": "b", "mappings": [{"fromOutput": "output", "toInput": "text"}]}
        gate = {"id": "ask", "approval": {"message": "ship it?"}}
        run = build.run(build.workflow([first, gate, last], "a>ask", "ask>b", handed))
        (ask,) = [one for one in api.items("/asks") if one.get("workflowRunId") == run["id"]]
        shown = api.get(f"/asks/{ask['id']}")
        allow(api, shown, "approve")
        assert settled(build, run["id"], "running", "waiting")["status"] == "ok"
        sent = str(site.model.requests[""][-1]["messages"][-1]["content"])
        assert sent.startswith(later)
        assert visible_marks(sent.removeprefix(later)).strip() in shown["subject"]


def directive(api: Api, words: str) -> str:
    return str(api.post("/directives", {"input": words})["id"])


# Changes, reviews, acceptances


def writes(name: str, texts: Sequence[str]) -> str:
    """Return a script that writes each text into a file, in which no mask finds it."""
    lines = [f"echo {b64encode(text.encode()).decode()} | base64 -d > {name}-{n}.txt" for n, text in enumerate(texts)]
    return "\n".join(lines)


def test_applies(site: Site) -> None:
    api = site.server.api
    every = [text for text in SMALL if "\0" not in text]  # a file with a NUL is binary
    plain = [text for text in every if OWN_KEY not in text and not OutsideText(text).decided(Mask(), "0f").hidden]
    for name, texts in (("all", every), ("plain", plain)):
        done = site.run(f"apply {name}", sh(writes(name, texts)), harnessProfileId=site.profile(), sessionId=name)
        diff = api.get(f"/runs/{done}/diff")
        subject, exact = {"subjectHash": diff["subjectHash"]}, diff["diff"]
        assert diff["exactNeeded"] == (name == "all")
        if diff["exactNeeded"]:
            assert refused_by(api.post, f"/runs/{done}/apply", subject) == (409, "EXACT_NOT_OPENED")
            exact = api.get(f"/runs/{done}/diff", exact="true")["diff"]
        assert fits(diff["diff"], exact)
        api.post(f"/runs/{done}/apply", subject)
        for number, text in enumerate(texts):
            assert (shared(site) / f"{name}-{number}.txt").read_bytes() == text.encode()
            lines = text.replace(OWN_KEY, SECRET_NAME).split("\n")
            assert all(f"+{line}" in exact for line in lines if line)


def test_reviews(site: Site) -> None:
    api, library = site.server.api, shared(site) / "library"
    repository.make(library)
    texts = [text for text in SMALL if "\0" not in text and text.strip() and len(text) < 2_000]
    plain = [text for text in texts if not OutsideText(text).decided(Mask(), "0f").hidden and OWN_KEY not in text]
    good = {"schemaVersion": 1, "mergeGate": "pass", "reportMarkdown": "Fine.", "findings": []}
    site.model.otherwise = json.dumps(good)
    for name, some, gate in (("all", texts, "fail"), ("plain", plain[:30], "pass")):
        repository.branch(library, name, **{f"n{number}_txt": text + "\n" for number, text in enumerate(some)})
        review = {
            "name": "code-review",
            "repoPath": "library",
            "headRef": name,
            "provider": "openai",
            "model": "gpt-4o",
        }
        result = api.post("/personas/run", review)["result"]
        assert (result["mergeGate"], "notSeen" in result) == (gate, gate == "fail"), result
        if gate == "pass":
            sent = str(site.model.requests[""][-1]["messages"][-1]["content"])
            assert all(f"+{line}" in sent for text in some for line in text.split("\n") if line)


def test_acceptances(site: Site) -> None:
    api = site.server.api
    for number in DESCRIBED:
        server = f"says{number}"
        api.post(f"/mcp-servers/{server}/check", {})
        listed = api.get(f"/mcp-servers/{server}")
        api.post(f"/mcp-servers/{server}/accept", {"subjectHash": listed["subjectHash"]})
        profile = profile_of("evidence", mcp={server: {"tools": ["echo"]}})
        profile_id = api.post("/harness-profiles", profile)["id"]
        site.run(f"accepts {number}", harnessProfileId=profile_id)
        tools = site.model.requests[f"accepts {number}"][0]["tools"]
        (tool,) = [one for one in tools if one["function"]["name"].endswith("__echo")]
        (shown,) = [one for one in listed["tools"] if one["name"] == "echo"]
        words = shown["listed"]["description"]
        assert visible_marks(tool["function"]["description"]) == words == visible_marks(words)

"""Erasure of free fields: a canary in each that an operation takes, and in no byte of the state afterwards."""

import asyncio
import gc
import json
import re
import shutil
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import psycopg
import pytest

from athena_cli.in_process import in_process
from athena_core.clock import FixedDate
from athena_core.domain import EVENTS
from athena_core.event import Meta
from athena_core.log.anchor import Anchor, write_anchor
from athena_core.log.chain import GENESIS, digest, link
from athena_core.log.codec import MOVED_WORDS, Codec
from athena_core.log.engine import open_archive
from athena_core.log.sql.statements import COLUMNS
from athena_core.log.sqlite.connection import open_reader
from athena_core.protocols import Row, row_of
from athena_core.services.erasure import redaction
from athena_core.services.erasure.erasure import TextTrace
from athena_core.settings import load
from tests.cli.conftest import Here
from tests.cli.terminal import Result, Terminal
from tests.scale import sized
from tests.support import repository
from tests.support.api import Api, Refused, opened, soon
from tests.support.golden import STATES, GoldenState, name_of
from tests.support.inside import Inside
from tests.support.model import Profile, call, turn_of
from tests.support.stub import Asked, Behaviour, Stub, refuses, says_and_waits, standing
from tests.support.traces import traces, traces_in_tables

CANARY = "canary-4e51"
FAILING = f"#!/bin/sh\ncat > /dev/null\necho '{CANARY}-program complains' >&2\nexit 3\n"
PROFILE = {
    "displayName": "fails",
    "version": "v1",
    "config": {"provider": "local-exec", "model": "m", "tools": ["files"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0},
}
ENDED = ("ok", "failed", "cancelled")
SNAPSHOT_SECONDS = sized(0.3, 0.3, 6.0)


class Scene(NamedTuple):
    """A server whose local provider fails with a canary."""

    api: Api
    tag: str

    def words(self, field: str) -> str:
        """Return a canary of its own for a field."""
        return f"{CANARY}-{field}-{self.tag} sings"

    def runs(self) -> None:
        """Runs that complete, fail, are rejected and are cancelled, of a directive with metadata."""
        api, words = self.api, self.words
        api.run(words("input"), sessionId="runs", metadata={"why": words("metadata")}, key=f"{CANARY}-{self.tag}")
        api.post("/directives", {"input": "never run", "contextRefs": [f"file:{CANARY}-{self.tag}.txt"]})
        directive = {"input": words("directive"), "metadata": {"why": words("metadata-of-it")}}
        made = api.post("/directives", directive | {"contextRefs": ["file:notes.txt"]})
        api.post("/runs", {"directiveId": made["id"], "sessionId": "runs"})
        with pytest.raises(Refused, match=f"{CANARY}-program"):
            api.run(words("failing"), sessionId="fails", provider="local-exec")
        run = api.start("held", sessionId="held", provider="openai")
        queued = {"directiveId": made["id"], "sessionId": "held", "sessionStrategy": "enqueue"}
        api.post("/runs", queued | {"metadata": {"why": words("queued-metadata")}}, respond_async=True)
        why = {"why": words("metadata-of-rejected")}
        with pytest.raises(Refused, match="is busy with another run"):
            api.run(words("rejected"), sessionId="held", sessionStrategy="reject", metadata=why)
        api.post(f"/run-control/by-run/{run['runId']}/cancel", {"reason": words("cancel")})
        api.await_ending(run["runId"])

    def agents(self) -> None:
        """A run that writes a file, calls an unknown tool, shows evidence and answers."""
        profile = self.api.post("/harness-profiles", Profile().body)["id"]
        body = {"input": "act", "harnessProfileId": profile, "sessionId": "agent"}
        assert self.api.post("/runs", body)["output"] == ANSWER

    def refusals(self) -> None:
        """A request that the policy refuses."""
        profile = self.api.post("/harness-profiles", Profile().body)["id"]
        self.api.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0.0000001})
        with pytest.raises(Refused):
            self.api.run(self.words("refused"), harnessProfileId=profile, sessionId="refused")
        self.api.put("/policy", {"schemaVersion": 1})

    def halts(self) -> None:
        """A halt with a reason, that is lifted."""
        self.api.post("/halt", {"reason": self.words("halt")})
        opened(self.api.send("/halt", None, method="DELETE"))

    def tokens(self) -> None:
        """A token with a note."""
        self.api.post("/tokens", {"identity": "ci", "role": "Viewer", "note": self.words("note")})

    def messages(self) -> None:
        """Messages between personas, one of which fails."""
        for to in ("bob", "carl"):
            body = {"fromPersona": "ada", "toPersona": to, "payload": self.words(f"message-{to}")}
            message = self.api.post("/a2a/messages", body)["messageId"]
            for _ in soon():
                if self.api.get(f"/a2a/messages/{message}")["status"] in {"completed", "failed"}:
                    break

    def reviews(self) -> None:
        """Reviews: with findings, repaired, hopeless, and one whose model refuses."""
        for head in ("good", "mended", "hopeless", "refused", "unbegun"):
            name = "carl" if head == "unbegun" else "critic"
            body = {"name": name, "repoPath": "library", "headRef": head, "sessionId": f"review-{head}"}
            if head != "unbegun":
                body |= {"provider": "openai", "model": "gpt-4o-mini"}
            with suppress(Refused):
                self.api.post("/personas/run", body)

    def approvals(self) -> None:
        """Workflow runs that are approved, rejected and resumed, with notes and another input."""
        api, words = self.api, self.words
        approval = {"id": "ask", "approval": {"message": "go on?"}}
        definition = {"steps": [approval], "dependencies": []}
        flow = api.post("/workflows", {"definition": definition})["id"]
        for verb in ("approve", "reject"):
            run = api.post(f"/workflows/{flow}/run", {"input": {"why": words(f"input-{verb}")}}, respond_async=True)
            place = f"/workflows/run/{run['id']}"
            for _ in soon():
                asked = api.get(place)["run"]["stepStates"]["ask"].get("approval")
                if asked:
                    break
            note = {"subjectHash": asked["subjectHash"], "note": words(verb)}
            api.post(f"{place}/steps/ask/{verb}", note)
            for _ in soon():
                if api.get(place)["run"]["status"] in ENDED:
                    break
        api.post(f"{place}/resume", {"inputOverrides": {"why": words("override")}}, respond_async=True)

    def asks(self) -> None:
        """A run that asks for a call, a choice and the values of a form, with notes, other arguments and a rule."""
        api, words = self.api, self.words
        body = Profile(tools=("files", "shell", "ask_user")).body
        body["toolPolicies"]["files"]["approval"] = "ask"
        profile = api.post("/harness-profiles", body)["id"]
        run = api.post(
            "/runs", {"input": "decide", "harnessProfileId": profile, "sessionId": "asks"}, respond_async=True
        )
        changed = {"action": "write", "path": "y.txt", "content": words("edited")}
        for answer in (
            {"optionId": "allow", "editedArguments": changed, "note": words("answer")},
            {"optionId": "allow", "remember": "session"},
            {"optionId": "1"},
            {"values": {"why": words("value")}},
        ):
            for _ in soon():
                if asks := api.items("/asks", runId=run["runId"]):
                    break
            api.post(f"/asks/{asks[0]['id']}/answer", {"subjectHash": asks[0]["subjectHash"], **answer})
        assert api.await_ending(run["runId"]) == "run.completed"

    def queues(self) -> None:
        """Work that fails until it is a dead letter, with the notes of people about it."""
        api, words = self.api, self.words
        api.post("/work/enqueue", {"sessionId": "queue", "payload": words("payload"), "mode": "followup"})
        for _ in range(3):
            with pytest.raises(Refused, match=f"{CANARY}-program"):
                api.post("/work/queue/drain", {"provider": "local-exec"})
        (letter,) = api.items("/a2a/dlq", sessionId="queue")
        assert all(f"{CANARY}-program" in attempt["message"] for attempt in letter["attempts"])
        api.post(f"/a2a/dlq/{letter['id']}/discard", {"auditNote": words("discard")})
        api.post(f"/a2a/dlq/{letter['id']}/restore", {"auditNote": words("restore")})
        assert api.get(f"/a2a/dlq/{letter['id']}")["auditNote"] == words("restore")

    def workflows(self) -> None:
        """Workflow runs whose step fails, and that are cancelled."""
        api, words = self.api, self.words
        profile = api.post("/harness-profiles", PROFILE)
        made = api.post("/directives", {"input": words("step") + " {{topic}}"})
        step = {"id": "a", "directiveId": made["id"], "harnessProfileId": profile["id"]}
        step["execution"] = {"metadata": {"why": words("step-metadata")}}
        flow = api.post("/workflows", {"definition": {"steps": [step], "dependencies": []}})
        run = api.post(f"/workflows/{flow['id']}/run", {"input": {"topic": words("topic")}}, respond_async=True)
        for _ in soon():
            if api.get(f"/workflows/run/{run['id']}")["run"]["status"] in ENDED:
                break
        asked = {"id": "a", "approval": {"message": "go on?"}}
        flow = api.post("/workflows", {"definition": {"steps": [asked], "dependencies": []}})
        run = api.post(f"/workflows/{flow['id']}/run", respond_async=True)
        api.post(f"/workflows/run/{run['id']}/cancel", {"reason": words("cancel-flow")})
        for _ in soon():
            if api.get(f"/workflows/run/{run['id']}")["run"]["status"] in ENDED:
                break

    def schedules(self) -> None:
        """A schedule whose run fails, paused with a note."""
        api, words = self.api, self.words
        profile = api.items("/harness-profiles")[0]
        target = {"sessionId": "scheduled", "harnessProfileId": profile["id"]}
        api.put("/schedules/s", {"cron": "0 0 1 1 *", "enabled": True, "input": words("every"), **target})
        api.post("/schedules/s/run")
        api.post("/schedules/s/pause", {"note": words("pause")})
        api.post("/schedules/s/resume", {"note": words("resume")})

    def others(self) -> None:
        """A template with parameters, and a note."""
        api, words = self.api, self.words
        template = {"directiveTemplate": words("template") + " {{x}}", "defaultParams": {"x": words("param")}}
        profile = api.items("/harness-profiles")[0]
        made = api.post("/run-templates", template | {"harnessProfileId": profile["id"]})["id"]
        template = template | {"directiveTemplate": words("template-2") + " {{x}}", "harnessProfileId": profile["id"]}
        api.put(f"/run-templates/{made}", template)
        with suppress(Refused):
            api.post(f"/templates/{made}/run", {"params": {"x": words("effective")}, "sessionId": "templates"})
        target = {"sessionId": "scheduled", "runTemplateId": made, "params": {"x": words("scheduled-param")}}
        api.put("/schedules/t", {"cron": "0 0 1 1 *", "enabled": False, **target})
        api.post("/memory", {"text": words("note"), "metadata": {"by": words("note-metadata")}})
        for _ in soon():
            if api.get("/memory/search", query="note sings"):
                break
        api.run(f"What sings {words('note')}?", sessionId="reminded")
        api.get("/memory/search", query=CANARY)


ANSWER = f"{CANARY}-answer sings"
FINDING = {"title": f"{CANARY}-title", "detail": f"{CANARY}-detail", "priority": 2, "path": "a.py", "line": 1}
REVIEW = {"schemaVersion": 1, "mergeGate": "pass", "reportMarkdown": f"# {CANARY}-report", "findings": []}
SCRIPT = (
    call("files", action="write", path="x.txt", content=f"{CANARY}-content sings"),
    call(f"{CANARY}-tool"),
    call("evidence", label=f"{CANARY}-label", type="text", content=f"{CANARY}-evidence sings"),
    ANSWER,
)
QUESTION = f"{CANARY}-question sings?"
FORM = {"type": "object", "properties": {"why": {"type": "string", "title": f"{CANARY}-form sings"}}}
ASKING = (
    *[call("files", action="write", path=path, content=f"{CANARY}-asked sings") for path in ("y.txt", "z.txt")],
    call("ask_user", question=QUESTION, options=[f"{CANARY}-one", f"{CANARY}-two"]),
    call("ask_user", question=QUESTION, form=FORM),
    ANSWER,
)


def choose(asked: Asked) -> Behaviour:
    """The model of provider ``openai``: act, review, fail, or send nothing."""
    messages = asked.body["messages"]
    said = " ".join(str(one.get("content")) for one in messages)
    if "could not be read" in said:
        return turn_of(json.dumps(REVIEW) if "and mended" in said else f"{CANARY}-again no JSON", 1)
    if "and refused" in said:
        return refuses(400, json.dumps({"error": {"message": f"{CANARY}-refusal sings"}}).encode())
    if "between main and" in said:
        return turn_of(json.dumps(REVIEW) if "and good" in said else f"{CANARY}-prose sings", 1)
    script = ASKING if "decide" in said else SCRIPT
    if script is SCRIPT and "act" not in said:
        return says_and_waits()
    number = sum(1 for one in messages if one["role"] == "assistant" and one.get("tool_calls"))
    return turn_of(script[min(number, len(script) - 1)], number + 1)


def furnish(workspace: Path) -> None:
    """Write the files that personas and reviews need."""
    (workspace / "personas").mkdir(parents=True)
    for name in ("critic", "ada", "bob"):
        (workspace / "personas" / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name}))
    unknown = {"schemaVersion": 1, "id": "carl", "harnessProfileId": f"{CANARY}-profile"}
    (workspace / "personas" / "carl.json").write_text(json.dumps(unknown))
    library = repository.make(workspace / "library")
    for name in ("good", "mended", "hopeless", "refused"):
        repository.branch(library, name, **{"a_py": f"# {CANARY}-code sings\n", f"{CANARY}_py": "pass\n"})
    repository.branch(library, "unbegun", a_py="pass\n")
    (workspace / "notes.txt").write_text(f"{CANARY}-file sings\n")


def texts_of(rows: Iterable[Row]) -> set[tuple[str, str]]:
    """Return the type and field of every text with a canary."""
    codec, found = Codec(EVENTS), set()
    for row in rows:
        event = codec.decode(row).event
        for name in codec._layouts[row.type].text:
            if CANARY in str(getattr(event, name)):
                found.add((row.type, name))
    return found


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o700)
    return str(path)


def collected(here: Here, *words: str) -> Result:
    """Run a command whose connections stay open until its process ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        result = here(*words)
        gc.collect()
    return result


def rows_of(state_dir: Path, url: str | None) -> Iterator[Row]:
    with closing(open_archive(state_dir, url)) as archive, closing(archive.reader()) as reader:
        yield from reader.rows(0, 100_000)


def in_database(url: str) -> list[str]:
    """Return the tables of a database with a row that holds the canary."""
    with psycopg.connect(url) as session:
        tables = session.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname LIKE 'athena%'"
        ).fetchall()
        found = []
        for (table,) in tables:
            hex_ = CANARY.encode().hex()
            query = f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%{CANARY}%' OR t::text LIKE '%{hex_}%'"
            if session.execute(query.encode()).fetchone() != (0,):
                found.append(table)
        return found


FIELDS = {
    (kind, name)
    for kind, layout in Codec(EVENTS)._layouts.items()
    for name in layout.text
    if not name.lower().endswith("salt") and kind != "payload.redacted"
}
"""Every field of the table in docs/reference/events.md that is erasable."""

WITHOUT = {
    *(("workflow.approval.requested", "subject"), ("persona.run.repair-requested", "problem")),
    ("authn.failed", "peer"),
    ("run.asked", "exact"),
    *(("mcp-server.listed", "definitions"), ("mcp-server.listed", "server_info"), ("mcp-server.accepted", "note")),
}
"""Sentences of Athena's own, with names, hashes and what the definition shows; an address; the exact text of an
ask of an outside agent, which is stored and erased with its arguments; and the words of MCP servers and of their
acceptance, which test_redact_mcp.py erases."""


@pytest.fixture
def model() -> Iterator[Stub]:
    with standing(choose) as stub:
        yield stub


def copies_of_note(api: Api, entry_id: str) -> list[str]:
    """Forget a note; return the events that repeat it."""
    left = opened(api.send(f"/memory/{entry_id}", None, method="DELETE")).get("left", [])
    return [one["place"] for one in left if one["place"].startswith("position ")]


@pytest.mark.heavy
@pytest.mark.parametrize("kept_in", ["files", "postgres"])
def test_no_canary_is_left_of_any_free_field(
    terminal: Terminal, here: Here, kept_in: str, request: pytest.FixtureRequest
) -> None:
    settings = {"memory_enabled": "true", "memory_include_transcripts": "true"}
    url: str | None = None
    if kept_in == "postgres":
        url = request.getfixturevalue("database")
        settings["database_url"] = str(url)
    settings["local_provider_cmd"] = program(terminal.directory / "fail.sh", FAILING)
    workspace = terminal.directory / "workspace"
    furnish(workspace)
    model = request.getfixturevalue("model")
    settings |= {"workspace_root": str(workspace), "openai_base_url": model.url + "/v1", "openai_api_key": "none"}
    terminal.settings |= settings
    with terminal.served() as server:
        for number in range(sized(1, 1, 2)):  # more than 100 texts of one session are not all searched for
            scene = Scene(server.api, str(number))
            scene.runs()
            if number == 0:
                scene.queues()
                scene.workflows()
                scene.schedules()
                scene.others()
                scene.agents()
                scene.asks()
                scene.refusals()
                scene.messages()
                scene.reviews()
                scene.approvals()
                scene.halts()
                scene.tokens()
        words = re.compile(CANARY.encode())
        before = list(rows_of(terminal.state_dir, url))
        public = [(row.position, row.type) for row in before if words.search(row.data + (row.extra or b""))]
        assert public == [], "a canary stands in a public payload"
        assert FIELDS - texts_of(before) == WITHOUT
        redact = partial(collected, here, "redact", "--session", "runs", "--reason", "asked")
        named = {one["place"] for one in json.loads(redact().out)["left"]}
        assert named, "other events repeat what was said in the session"
        assert {one["place"] for one in json.loads(redact().out)["left"]} == named, "it remembers them without the text"
        (note,) = server.api.items("/memory")
        recalled = copies_of_note(server.api, note["id"])
        assert recalled, "runs that were reminded of a note repeat it"
        assert copies_of_note(server.api, note["id"]) == recalled
        if url is not None:
            assert "log" in traces_in_tables(request.getfixturevalue("cluster"), url, CANARY)
        asyncio.run(erase_all(terminal, words))
        assert copies_of_note(server.api, note["id"]) == []
        again = redact()
        assert again.code == 0, again.err
        if url is not None:
            assert in_database(url) == []
            assert traces_in_tables(request.getfixturevalue("cluster"), url, CANARY) == []
        assert traces(terminal.state_dir, CANARY) == []
    assert traces(terminal.state_dir, CANARY) == []
    assert collected(here, "verify").code == 0
    assert collected(here, "replay", "--verify").code == 0


async def erase_all(terminal: Terminal, words: re.Pattern[bytes]) -> None:
    """Redact each session and the rest of the canary as the command does, in one process and with one pass."""
    settings = load(terminal.environment({}), terminal.directory)
    async with in_process(settings) as inside:
        plane = inside.plane
        with closing(plane.log.reader()) as reader:
            rows = reader.rows(0, 100_000)
            codec, meta, done = plane.log.codec, Meta(actor="local", correlation="erase"), 0
            for session in sorted({row.session_id for row in rows if row.session_id}):
                found = redaction.text_of_session(reader, codec, session)
                await redaction.redact(plane.log, reader, found, "asked", meta)
            for row in reader.rows(0, 100_000):
                if row.text is not None and words.search(row.text):
                    found = redaction.text_of_event(reader, codec, row.position)
                    done, _ = await redaction.redact(plane.log, reader, found, "asked", meta)
        assert await plane.scrub(done, 60.0) == ()


def sung(value: Any, name: str = "") -> Any:
    """Return a value with a canary before each of its strings but salts, also within JSON."""
    match value:
        case str() if not name.lower().endswith("salt") and name != "mode":  # the one that has to be of a list
            with suppress(ValueError):
                if isinstance(inner := json.loads(value), dict | list):
                    return json.dumps(sung(inner))
            return f"{CANARY}-{name} {value}"
        case dict():
            return {key: sung(one, key) for key, one in value.items()}
        case list():
            return [sung(one, name) for one in value]
        case _:
            return value


def sing(state_dir: Path) -> set[str]:
    """Put canaries into the texts of a log, as if they had been written like this. Return the types with some."""
    kinds, chain = set(), GENESIS
    with closing(apsw.Connection(str(state_dir / "log.db"))) as log:
        log_id = log.execute("SELECT value FROM meta WHERE name = 'log_id'").get
        rows = [row_of(found) for found in log.execute(f"SELECT {COLUMNS} FROM log ORDER BY position").fetchall()]
        for row in rows:
            text, text_hash = row.text, row.text_hash
            if text is not None and not row.type.startswith("persona."):  # these hold documents of a shape of their own
                text = json.dumps(sung(json.loads(text))).encode()
                text_hash = digest(text)
                kinds.add(row.type)
            chain = link(chain, (*row[:15], text_hash))
            log.execute(
                "UPDATE log SET text = ?, text_hash = ?, chain = ? WHERE position = ?",
                (text, text_hash, chain, row.position),
            )
    with closing(apsw.Connection(str(state_dir / "log.db"))) as log:
        log.pragma("secure_delete", True)  # else a page that is filled may keep what it held before
        log.execute("VACUUM")  # the rows have moved, which never happens in a log
        log.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    write_anchor(state_dir / "log.anchor", Anchor(log_id=log_id, position=len(rows), chain=chain.hex()))
    return kinds


SINGING = {
    "state-0.1": 20,
    "state-0.2": 30,
    "state-0.2-asks": 8,
    "state-0.2-tokens": 4,
    "state-0.2-workspaces": 6,
    "state-0.2-agents": 8,
    "state-0.2-mcp": 8,
}
"""More kinds of events than these hold text in each state."""


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(state, id=name_of(state), marks=pytest.mark.heavy if place else ())
        for place, state in enumerate(STATES)
    ],
)
def test_no_canary_is_left_of_any_text_that_a_release_recorded(state: GoldenState, tmp_path: Path) -> None:
    """The short form of the test above: every event and view of a release, without the operations behind them."""
    state.unpack(tmp_path)
    for name in ("views", "memory"):
        shutil.rmtree(tmp_path / "state" / name, ignore_errors=True)
    assert len(sing(tmp_path / "state")) > SINGING[name_of(state)]
    settings = {"scheduler": "off", "executor": "off", "memory_enabled": "true", "memory_include_transcripts": "true"}
    inside = Inside(tmp_path, FixedDate(state.expected.last_recorded_at), **settings)
    inside.start()
    try:
        plane = inside.app.plane

        for _ in soon():
            assert inside.ask("GET", "/memory/search?query=canary").status_code in {200, 503}
            if all(traces(inside.state_dir / name, CANARY) for name in ("views", "memory")):
                break

        async def erase() -> tuple[TextTrace, ...]:
            done, meta = 0, Meta(actor="a", correlation="c")
            with closing(plane.log.reader()) as reader:  # a redrive may copy a text before it is erased
                while rows := [row for row in reader.rows(0, 100_000) if CANARY.encode() in (row.text or b"")]:
                    found = redaction.ErasableText(tuple(rows), (), frozenset())
                    done, _ = await redaction.redact(plane.log, reader, found, "asked", meta)
            return await plane.scrub(done, 60.0)

        named = {trace.place for trace in inside.call(erase)}
        with_agents = name_of(state) in {"state-0.2", "state-0.2-agents"}
        assert named == ({"agents"} if with_agents else set()), "homes of open runs are named"
        assert traces(inside.state_dir, CANARY) == []
    finally:
        inside.stop()
    assert traces(inside.state_dir, CANARY) == []


@contextmanager
def server_that(situation: str, terminal: Terminal) -> Iterator[None]:
    """Meanwhile run no server, an idle one, a busy one, or an idle one beside readers with open snapshots."""
    if situation == "none":
        yield
        return
    over, begun = threading.Event(), threading.Event()

    def work(api: Api) -> None:
        begun.set()
        while not over.is_set():
            api.run("busy", sessionId="busy")

    def read() -> None:
        views = terminal.state_dir / "views"
        path = views / (views / "current").read_text().strip()
        with closing(open_reader(terminal.state_dir / "log.db")) as log, closing(open_reader(path)) as rows:
            for connection, table in ((log, "log"), (rows, "run")):
                connection.execute("BEGIN")
                connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            begun.set()
            over.wait(SNAPSHOT_SECONDS)

    with terminal.served() as server:
        beside: dict[str, Callable[[], None]] = {"busy": partial(work, server.api), "snapshot": read}
        with ThreadPoolExecutor(1) as pool:
            task = pool.submit(beside.get(situation, begun.set))
            begun.wait()
            try:
                yield
            finally:
                over.set()
                task.result()


@pytest.mark.heavy
@pytest.mark.parametrize("situation", ["none", "idle", "busy", "snapshot"])
def test_no_byte_is_left_whatever_a_server_does(terminal: Terminal, here: Here, situation: str) -> None:
    """A reader keeps its snapshot for a while; the command has at least ten times as long."""
    for number in range(sized(1, 1, 12)):
        words = f"{CANARY}-{number} sings"
        done = here("run", "--session", f"s{number}", "--input", words, "--transport", "local")
        assert done.code == 0, done.err
        assert traces(terminal.state_dir, words)
        with server_that(situation, terminal):
            wait = str(max(SNAPSHOT_SECONDS * 10, 60.0))
            done = here("redact", "--session", f"s{number}", "--reason", "asked", "--wait", wait)
            assert done.code == 0, done.err
            assert traces(terminal.state_dir, words) == []
        assert traces(terminal.state_dir, words) == []
    assert here("verify").code == 0


@pytest.mark.heavy
def test_what_a_run_was_given_and_what_repeats_its_error_goes_with_it(terminal: Terminal, here: Here) -> None:
    cmd = program(terminal.directory / "fail.sh", FAILING)
    with terminal.served(local_provider_cmd=cmd) as server:
        api = server.api
        api.post("/work/enqueue", {"sessionId": "queue", "payload": f"{CANARY} given", "mode": "followup"})
        with pytest.raises(Refused) as refused:
            api.post("/work/queue/drain", {"provider": "local-exec"})
        run_id = refused.value.error["details"]["runId"]
        done = here("redact", "--run", run_id, "--reason", "asked")
        assert (done.code, done.err) == (0, "")
        assert api.get(f"/runs/{run_id}")["error"]["message"] == "(erased)"
    assert traces(terminal.state_dir, CANARY) == []


@pytest.mark.parametrize("state", [state for state in STATES if name_of(state) == "state-0.1"], ids=name_of)
def test_words_that_an_older_release_made_public_are_named_and_counted(
    state: GoldenState, terminal: Terminal, here: Here
) -> None:
    state.unpack(terminal.directory)
    counted = here("redact", "--audit").data
    assert counted["words"] == sum(counted["fields"].values()) > 0
    assert {"run.failed.message", "payload.redacted.reason"} <= counted["fields"].keys()
    codec = Codec(EVENTS)
    with closing(open_archive(terminal.state_dir, None).reader()) as reader:
        failed = next(row for row in reader.rows(0, 100_000) if row.type == "run.failed")
        found = redaction.text_of_run(reader, codec, failed.stream)
        assert any(trace.place == f"position {failed.position}" for trace in found.public)
        assert all("cannot be removed" in trace.remedy for trace in found.public)
        assert found.positions


def test_every_moved_field_is_text_under_its_new_name() -> None:
    kinds: dict[str, Any] = {event.TYPE: event for event in EVENTS}
    texts = {kind: layout.text_side.__struct_encode_fields__ for kind, layout in Codec(EVENTS)._layouts.items()}
    assert all(new is None or new in texts[kind] for (kind, _), names in MOVED_WORDS.items() for new in names.values())
    assert all(version < kinds[kind].SCHEMA for kind, version in MOVED_WORDS)

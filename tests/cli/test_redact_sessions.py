"""Redaction of sessions of every kind of work: each ends with 0, because ids, names and fixed words are no text."""

import json
import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from athena_core.domain import EVENTS
from athena_core.log.codec import Codec
from athena_core.log.engine import open_archive
from athena_core.services.erasure.redaction import copies_of, text_of_session
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.support.api import Api, soon
from tests.support.asks import answer
from tests.support.directed import DirectedModel
from tests.support.golden import STATES, GoldenState, name_of
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.model import Profile, Step, call, turn_of
from tests.support.repository import branch, make
from tests.support.stub import Asked, Behaviour, standing
from tests.support.traces import traces

CANARY = "canary-90ce"
PERSONA = "careful-release-critic"
MESSAGE_ENDS = {"completed", "failed"}
REVIEW = {"schemaVersion": 1, "mergeGate": "pass", "findings": []}


class Work(NamedTuple):
    """A server, and work in a session of its own. Its words stand in no other session."""

    api: Api
    model: DirectedModel
    workspace: Path
    session: str

    @property
    def words(self) -> str:
        return f"{CANARY} {self.session}"

    def profile(self, own: dict[str, Any], **fields: Any) -> str:
        return str(self.api.post("/harness-profiles", Profile(**fields).body | own)["id"])

    def run(self, *turns: Step, allow: int = 0, own: dict[str, Any] | None = None, **fields: Any) -> str:
        """Run a script to its end, and allow this many calls. Return the run's id."""
        said = self.model.script(f"{self.words} said", *turns, f"{self.words} answered")
        body = {
            "sessionId": self.session,
            "harnessProfileId": self.profile(own or {}, approval="ask" if allow else None),
            **fields,
        }
        run_id = str(self.api.start(said, **body)["runId"])
        for _ in range(allow):
            self.api.await_event("run.asked", runId=run_id)
            answer(self.api, run_id, remember="session", note=f"{self.words} noted")
        self.api.await_ending(run_id)
        return run_id


def talked(work: Work) -> None:
    work.run(metadata={"team": f"{work.words} team"})


def used_tools(work: Work) -> None:
    work.run(
        call("files", action="write", path="made.txt", content=work.words),
        call("shell", command=["/bin/sh", "-c", f": {work.words}"]),
        call("evidence", label=work.words, type="text", content=work.words),
        call("teleport", to=work.words),
    )


def asked(work: Work) -> None:
    work.run(call("shell", command=["/bin/sh", "-c", f": {work.words} allowed"]), allow=1)


def reviewed(work: Work) -> None:
    """The first answer of the model cannot be read, so it is asked once more."""
    branch(work.workspace / "library", work.session, a_py=f"# {work.words}\n")
    body = {"name": PERSONA, "repoPath": "library", "headRef": work.session, "sessionId": work.session}
    assert work.api.post("/personas/run", body)["result"]["parseRetryAttempted"]


def retried_with_a_child(work: Work) -> None:
    first = work.run()
    work.api.post(f"/runs/{first}/retry")
    go = work.workspace / f"{work.session}-go"
    waits = f": {work.words}; until test -e {shlex.quote(str(go))}; do sleep 0.02; done"
    slow = work.api.start(
        work.model.script(f"{work.words} slow", call("shell", command=["/bin/sh", "-c", waits]), "done")
    )
    child = {"parentRunId": slow["runId"], "sessionId": f"{work.session}-child"}
    work.api.run(f"{work.words} of a child", **child)
    go.touch()
    work.api.await_ending(slow["runId"])


def flowed(work: Work) -> None:
    """The definition names no words; the input of the run does."""
    directive = work.api.post("/directives", {"input": "{{said}}"})["id"]
    step = {"id": "collect-the-receipts", "directiveId": directive, "harnessProfileId": work.profile({})}
    edges = [{"from": "collect-the-receipts", "to": "approve-the-receipts"}]
    gate = {"id": "approve-the-receipts", "approval": {"message": "Go on?"}}
    flow = work.api.post("/workflows", {"definition": {"steps": [step, gate], "dependencies": edges}})["id"]
    run = work.api.post(f"/workflows/{flow}/run", {"input": {"said": f"{work.words} flowed"}})
    asked = run["stepStates"]["approve-the-receipts"]["approval"]["subjectHash"]
    work.api.post(f"/workflows/run/{run['id']}/steps/approve-the-receipts/approve", {"subjectHash": asked})


def queued(work: Work) -> None:
    item = {"sessionId": work.session, "payload": f"{work.words} queued", "mode": "collect"}
    work.api.post("/work/enqueue", item)
    work.api.post(f"/work/{work.session}/drain")


def scheduled(work: Work) -> None:
    body = {"id": f"weekly-report-{work.session}", "sessionId": work.session, "input": f"{work.words} scheduled"}
    made = work.api.post("/schedules", body | {"cron": "0 0 1 1 *", "harnessProfileId": work.profile({})})
    work.api.await_ending(work.api.post(f"/schedules/{made['id']}/run")["runId"])
    work.api.http.delete(f"/schedules/{made['id']}")


def sent(work: Work) -> None:
    body = {"fromPersona": PERSONA, "toPersona": PERSONA, "payload": f"{work.words} sent"}
    message = work.api.post("/a2a/messages", body)
    assert any(work.api.get(f"/a2a/messages/{message['messageId']}")["status"] in MESSAGE_ENDS for _ in soon())


def changed_its_own_workspace(work: Work) -> None:
    work.run(call("files", action="write", path="made.txt", content=work.words), own={"workspace": "session"})


def called_a_server(work: Work) -> None:
    allowed = {"fake": {"tools": ["*"], "approval": "allow"}}
    work.run(call("fake__echo", text=f"{work.words} echoed"), own={"mcp": allowed})


KINDS: tuple[Callable[[Work], None], ...] = (
    *(talked, used_tools, asked, reviewed, retried_with_a_child, flowed, queued, scheduled, sent),
    *(changed_its_own_workspace, called_a_server),
)


def reviewing(model: DirectedModel) -> Callable[[Asked], Behaviour]:
    """Return the turns of a model that follows scripts, and reviews changes at the second attempt."""

    def choose(asked: Asked) -> Behaviour:
        said = str(asked.body["messages"][-1]["content"])
        if "could not be read" in said:
            return turn_of(json.dumps(REVIEW | {"reportMarkdown": said[-40:]}), 1)
        return turn_of(f"I like {said[-60:]}", 1) if "between main and" in said else model.choose(asked)

    return choose


def erased(here: Here, session: str) -> bool:
    """Redact a session, and the events that its redaction names. Return True if it named none."""
    redact = ("redact", "--session", session, "--reason", "asked to forget")
    done = here(*redact)
    for one in json.loads(done.out).get("left", ()):
        assert one["remedy"].startswith("athena redact --position "), one
        here(*one["remedy"].split()[1:], "--reason", "asked to forget")
    assert here(*redact).code == 0
    return done.code == 0


@pytest.mark.heavy
def test_a_session_of_any_work_is_redacted_with_code_0(terminal: Terminal, here: Here) -> None:
    model, workspace = DirectedModel(), terminal.directory / "workspace"
    make(workspace / "library")
    (workspace / "personas").mkdir()
    persona = {"schemaVersion": 1, "id": PERSONA, "description": "Looks twice."}
    (workspace / "personas" / f"{PERSONA}.json").write_text(json.dumps(persona))
    file = mcp_servers_file(terminal.directory, {"fake": fake_server()})
    with (
        standing(reviewing(model)) as stub,
        terminal.served(
            **{"openai_base_url": stub.url, "workspace_root": str(workspace), "mcp_servers": str(file)},
            **{"default_provider": "openai", "default_model": "gpt-4o-mini"},
        ) as server,
    ):
        for number in range(2):
            for kind in KINDS:
                kind(Work(server.api, model, workspace, f"{kind.__name__}-{number}"))
        sessions = sorted({one["sessionId"] for one in server.api.events() if "sessionId" in one})
        assert len(sessions) > 2 * len(KINDS)
        by_hand = {session for session in sessions if not erased(here, session)}
        assert {session.partition("-")[0] for session in by_hand} == {"wf"}, "the input of a workflow run"
        assert traces(terminal.state_dir, CANARY) == []
    assert here("verify").code == 0


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_no_public_payload_repeats_a_text_of_a_session_for_good(state: GoldenState, tmp_path: Path) -> None:
    """Nothing could remove it, so the redaction would never end with 0."""
    state.unpack(tmp_path)
    codec = Codec(EVENTS)
    archive = open_archive(next(tmp_path.rglob("log.db")).parent, None)
    with closing(archive), closing(archive.reader()) as reader:
        sessions = {row.session_id for row in reader.rows(0, reader.head()) if row.session_id}
        texts = {session: text_of_session(reader, codec, session) for session in sorted(sessions)}
        repeated = {
            session: found
            for session, text in texts.items()
            if (found := copies_of(reader, text.rows, 0, reader.head(), named=text.public).public)
        }
    assert (bool(texts), repeated) == (True, {})

"""States that earlier releases left behind open, verify, replay and continue, from files and from PostgreSQL.

A later release adds a folder ``tests/samples/state-VERSION``; every test here runs over all of them.
"""

import gc
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from athena_api.app import build
from athena_api.wiring import refuse_older
from athena_cli.app import main as cli
from athena_core.clock import Clock, FixedDate, SystemClock
from athena_core.domain import EVENTS
from athena_core.errors import ConfigError
from athena_core.log.engine import open_archive, register_executor
from athena_core.log.port import FORMAT
from athena_core.services.execution.outside.prompts import ALLOWED
from athena_core.settings import load
from athena_core.system.sandbox import probe
from tests.scale import sized
from tests.support import postgres
from tests.support.api import Json, caught_up, soon
from tests.support.gate import Gates
from tests.support.golden import STATES, GoldenState, name_of
from tests.support.inside import Inside
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.model import call, turn_of
from tests.support.outside_agents import agents_file
from tests.support.stub import Asked, Behaviour, standing
from tests.support.vouched import VOUCHED

REVIEW = {"schemaVersion": 1, "mergeGate": "pass", "reportMarkdown": "# Fine\n", "findings": []}
ENDED = {"completed", "failed", "cancelled", "timed-out", "crashed"}
HELD = ("leased", "child", "drain", "message", "flight", "step")
"""The gates at which the models of open runs wait."""

BOTH = ("files", pytest.param("database", marks=pytest.mark.heavy))
STORES = sized(("files",), BOTH, BOTH)

at_each_state = pytest.mark.parametrize("state", STATES, ids=name_of)
at_0_1 = pytest.mark.parametrize("state", [state for state in STATES if name_of(state) == "state-0.1"], ids=name_of)
with_asks = pytest.mark.parametrize(
    "state", [state for state in STATES if name_of(state).endswith("asks")], ids=name_of
)
with_tokens = pytest.mark.parametrize(
    "state", [state for state in STATES if name_of(state).endswith("tokens")], ids=name_of
)
with_workspaces = pytest.mark.parametrize(
    "state", [state for state in STATES if name_of(state).endswith("workspaces")], ids=name_of
)
with_agents = pytest.mark.parametrize(
    "state", [state for state in STATES if name_of(state).endswith("agents")], ids=name_of
)
with_mcp = pytest.mark.parametrize("state", [state for state in STATES if name_of(state).endswith("mcp")], ids=name_of)


class Command:
    """The command line in this process, on a state. The answer is its JSON."""

    def __init__(self, plane: "Opened", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._plane, self._monkeypatch, self._capsys = plane, monkeypatch, capsys

    def __call__(self, *words: str) -> Any:
        with self._monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("ATHENA_")]:
                patch.delenv(name)
            for name, value in self._plane.settings.items():
                patch.setenv(f"ATHENA_{name.upper()}", value)
            patch.chdir(self._plane.directory)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # a command leaves connections to its process's end
                code = cli(words)
                gc.collect()
        out, err = self._capsys.readouterr()
        assert code == 0, err
        return json.loads(out)


class Opened:
    """A copy of a golden state in a directory, from files or in a database; ``start`` opens it under a clock."""

    def __init__(self, state: GoldenState, directory: Path, url: str | None, model: str) -> None:
        self.expected = state.expected
        self.directory = directory
        self.state_dir = directory / "state"
        self.gates = Gates(directory / "gates")
        self.held = {name: self.gates[name] for name in HELD}  # runs reach them as soon as a server starts
        state.unpack(directory)
        local = {name: value for name, value in self.gates.settings.items() if name.startswith("local")}
        self.settings = {"state_dir": str(self.state_dir), "workspace_root": str(directory / "workspace"), **local}
        self.settings |= {"openai_base_url": model + "/v1", "openai_api_key": "none"}
        if url is not None:
            state.restore(url)
            self.settings["database_url"] = url
            for path in (*self.state_dir.glob("log*"), self.state_dir / "views"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.ada = self.olga = Caller(self, "ada")

    @contextmanager
    def serving(self, clock: Clock, **settings: str) -> Iterator["Opened"]:
        roles = {"auth_identity_role_map": self.expected.roles, "authz_mode": "enforce"} | VOUCHED
        self.inside = Inside(self.directory, clock, **self.settings, **roles, **settings)
        self.inside.start()
        self.ada, self.olga = Caller(self, "ada"), Caller(self, "olga")
        try:
            yield self
        finally:
            self.inside.stop()

    @property
    def format(self) -> int:
        archive = open_archive(self.state_dir, self.settings.get("database_url"))
        try:
            return int(archive.meta["format"])
        finally:
            archive.close()

    def at_its_last_row(self) -> Clock:
        """Return a clock that is stopped at the end of the state."""
        return FixedDate(self.expected.last_recorded_at)


class Caller:
    def __init__(self, opened: Opened, name: str) -> None:
        self._opened, self._name = opened, name

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self._opened.inside.ask(method, path, body, x_athena_identity=self._name, **headers)

    def caught_up(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the answer once the views, which a new server may have to rebuild, have caught up."""
        return caught_up(partial(self.send, method, path, body, **headers))

    def get(self, path: str) -> Any:
        return self._data(self.caught_up("GET", path))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._data(self.send("POST", path, body or {}, **headers))

    def _data(self, answer: Any) -> Any:
        body = answer.json()
        assert body["ok"], body
        return body["data"]

    def events(self, query: str = "") -> list[Json]:
        found: list[Json] = []
        cursor = "0"
        while True:
            page = self.get(f"/events?limit=500&cursor={cursor}{query}")
            found += page["events"]
            if "nextCursor" not in page or not page["events"]:
                return found
            cursor = page["nextCursor"]

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Return the answer of a GET once a condition holds."""
        found = None
        for _ in soon():
            found = self.get(path)
            if holds(found):
                return found
        raise AssertionError(found)


def choose(asked: Asked) -> Behaviour:
    """Return the answer of provider ``openai``: it approves every review and completes everything else.

    Asked for "always", it makes the call that a permission rule of the state with asks allows. An outside agent that
    takes a run up makes the call again that a person has allowed.
    """
    last = asked.body["messages"][-1]
    if last["role"] == "user" and ALLOWED in str(last["content"]):
        return turn_of(call("shell", command="echo allowed >> allowed.txt"), 1)
    if last["role"] == "user" and "always" in str(last["content"]):
        return turn_of(call("shell", command=["/bin/sh", "-c", "echo always >> effects.txt"]), 1)
    said = " ".join(str(one.get("content")) for one in asked.body["messages"])
    number = sum(1 for one in asked.body["messages"] if one["role"] == "assistant" and one.get("tool_calls"))
    return turn_of(json.dumps(REVIEW) if "between main and" in said else "all done", number + 1)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path, state: GoldenState, store: str) -> Iterator[Opened]:
    with ExitStack() as stack:
        url = None
        if store == "database":
            cluster: postgres.Cluster = request.getfixturevalue("cluster")
            url = stack.enter_context(cluster.database())
        model = stack.enter_context(standing(choose))
        found = Opened(state, tmp_path, url, model.url)
        stack.callback(found.gates.close)
        yield found


@pytest.fixture
def command(opened: Opened, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(opened, monkeypatch, capsys)


def check_feed(opened: Opened) -> None:
    """Fail unless the feed begins with the events that the release served, under ids that still resolve."""
    expected = opened.expected
    events = opened.ada.events()[: expected.events]
    assert (events[0]["id"], events[-1]["id"]) == (expected.first, expected.last)
    ids = "".join(f"{event['id']}\n" for event in events)
    assert hashlib.sha256(ids.encode()).hexdigest() == expected.ids_sha256
    payloads = json.dumps([event["payload"] for event in events])
    assert hashlib.sha256(payloads.encode()).hexdigest() == expected.payloads_sha256
    for before, after in expected.pairs:
        assert opened.ada.get(f"/events?limit=1&cursor={before}")["events"][0]["id"] == after


@at_each_state
def test_every_event_of_a_golden_state_is_still_known(state: GoldenState) -> None:
    known = {event.TYPE for event in EVENTS}
    assert set(state.expected.types) <= known, "a stored event name is never renamed or dropped"


@pytest.mark.heavy
@at_each_state
@pytest.mark.parametrize("store", STORES)
def test_a_state_verifies_and_replays_and_its_feed_is_the_same(opened: Opened, command: Command) -> None:
    expected = opened.expected
    report = command("verify")
    assert (report["ok"], report["head"], report["violations"]) == (True, expected.events, [])
    assert command("replay")["position"] == expected.events
    assert command("replay", "--verify")["outcome"] == "equal"
    with opened.serving(opened.at_its_last_row(), scheduler="off", executor="off"):
        health = opened.ada.until("/admin/health", lambda found: found["lag"] == 0)
        assert [name for name, one in health["projections"].items() if one.get("error")] == []
        check_feed(opened)
        rest = opened.ada.get(f"/runs?limit=500&cursor={expected.runs_cursor}")["items"]
        assert [run["runId"] for run in rest] == expected.runs[3:]
    assert command("verify")["ok"]


@at_each_state
@pytest.mark.parametrize("store", ["files"])
def test_old_bundles_and_the_old_anchor_prove_themselves(state: GoldenState, opened: Opened, command: Command) -> None:
    found = state.bundles(opened.directory)
    assert found
    for path in found:
        assert command("verify", "--bundle", str(path))["ok"], path.name
    with opened.serving(opened.at_its_last_row(), scheduler="off", executor="off"):
        opened.olga.post("/directives", {"input": "one more"})
    anchor = opened.state_dir / "log.anchor"
    assert anchor.read_bytes() != state.anchor(), "the log went on"
    anchor.write_bytes(state.anchor())
    assert command("verify")["ok"]


@pytest.mark.heavy
@at_0_1
@pytest.mark.parametrize("store", STORES)
def test_a_log_of_an_older_format_is_read_as_it_is_and_raised_by_the_first_start(
    opened: Opened, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    written, files = opened.format, "database_url" not in opened.settings
    assert written < FORMAT
    bundle = opened.directory / "all.bundle"
    for words in (
        ("verify",),
        ("replay",),
        ("runs", "list", "--transport", "local"),
        ("doctor",),
        ("export", "--since", "0", "--out", str(bundle)),
        *([("backup", str(opened.directory / "copy.db"))] if files else []),
    ):
        command(*words)
        assert opened.format == written, words
    raised = f"The log's format is {FORMAT} from now on; older releases cannot open it."
    assert raised not in caplog.messages
    for _ in range(2):
        with opened.serving(opened.at_its_last_row(), scheduler="off", executor="off"):
            assert opened.format == FORMAT
    assert caplog.messages.count(raised) == 1
    assert command("verify")["ok"]
    assert command("verify", "--bundle", str(bundle))["ok"]
    if files:  # an older release may have made such a copy; it can be restored and continued
        assert command("restore", str(opened.directory / "copy.db"))["position"] == opened.expected.events
        assert opened.format == written
        (opened.state_dir / "log.anchor").unlink()  # else the start would require an option that accepts the cut
        command("directives", "create", "--input", "one more", "--transport", "local")
        assert opened.format == FORMAT


ABOUT_0_1 = b'{"kind":"server","host":"elsewhere","pid":17,"providers":[],"concurrency":0,"since":0}'
"""What a server of release 0.1 says of itself."""


@at_0_1
@pytest.mark.parametrize("store", BOTH)
def test_no_start_raises_the_format_under_a_process_of_an_older_release(opened: Opened) -> None:
    url = opened.settings.get("database_url")
    names = {f"ATHENA_{name.upper()}": value for name, value in opened.settings.items()}
    settings = load(names, opened.directory)
    plane = build(settings, serving=False).plane
    older = register_executor(opened.state_dir, url, "exe_older", ABOUT_0_1)
    with pytest.raises(ConfigError, match=r"an older release has this log open \(process 17 on elsewhere\): stop it"):
        refuse_older(plane, looks=2)
    assert opened.format < FORMAT
    older.leave()
    with opened.serving(opened.at_its_last_row(), scheduler="off", executor="off"):
        assert opened.format == FORMAT
    older = register_executor(opened.state_dir, url, "exe_older", ABOUT_0_1)
    build(settings, serving=False).plane.close()  # the change is stored
    older.leave()


def run_of(opened: Opened, name: str) -> Json:
    return dict(opened.ada.get(f"/runs/{opened.expected.open[name]}"))


def workflow_of(opened: Opened, name: str) -> Json:
    return dict(opened.ada.get(f"/workflows/run/{opened.expected.open[name]}")["run"])


def ended(opened: Opened, name: str) -> str:
    path = f"/runs/{opened.expected.open[name]}"
    return str(opened.ada.until(path, lambda run: run["status"] in ENDED)["status"])


@at_0_1
@pytest.mark.parametrize("store", BOTH)
def test_open_work_continues_where_it_was(state: GoldenState, opened: Opened, command: Command) -> None:
    left, expected = opened.expected.open, opened.expected
    with opened.serving(opened.at_its_last_row(), scheduler="off", memory_enabled="true"):
        ada, olga = opened.ada, opened.olga
        for gate in opened.held.values():
            gate.arrival()  # the executor that had them is gone, so they were taken over
        assert run_of(opened, "leased")["status"] == "running"
        assert run_of(opened, "inLine")["status"] == "queued"
        assert run_of(opened, "crowded")["status"] == "queued"
        assert run_of(opened, "paused")["paused"]["reason"] == "budget"
        check_feed(opened)

        # keyed requests are answered as they were
        for one in expected.keyed:
            caller = Caller(opened, one["who"])
            answer = caller.send(one["method"], one["path"], one["body"], idempotency_key=one["key"])
            assert answer.headers["idempotency-replayed"] == "true", one["path"]
            assert (answer.status_code, answer.json()["data"]) == (one["status"], one["answer"])
        one = expected.keyed[0]
        other = Caller(opened, one["who"]).send(
            one["method"], one["path"], {"input": "other"}, idempotency_key=one["key"]
        )
        assert other.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"

        # runs
        assert olga.post("/runs", {"input": "hello again", "sessionId": "desk"})["output"].endswith("hello again")
        said = olga.get("/sessions/desk/transcript?limit=500")["items"]
        erased = [entry for entry in said if entry.get("runId") == expected.redacted_run]
        assert not [entry for entry in erased if "hello" in str(entry.get("content"))]
        assert run_of(opened, "child")["parentRunId"] == left["leased"]
        for gate in opened.held.values():
            gate.release()
        for name in ("leased", "inLine", "child", "flight", "crowded"):
            assert ended(opened, name) == "completed", name
        drain = ada.until(f"/work/drains/{left['drain']}", lambda found: found["status"] != "running")
        assert (drain["status"], drain["drainedItems"]) == ("ok", 2)
        ada.until(f"/a2a/messages/{left['message']}", lambda found: found["status"] == "completed")
        ada.until(f"/a2a/messages/{left['behind']}", lambda found: found["status"] == "completed")
        ada.until(f"/workflows/run/{left['step']}", lambda found: found["run"]["status"] == "ok")
        ada.until("/schedules/in-flight/logs", lambda found: found and found[0]["status"] == "ok")
        resumed = olga.post(f"/runs/{left['paused']}/resume", {"budgetUsd": 0.01})
        assert (resumed["runId"], resumed["output"]) == (left["paused"], "all done")
        review = ada.until(f"/personas/runs/{left['review']}", lambda found: found["status"] != "running")
        assert (review["status"], review["result"]["mergeGate"]) == ("ok", "pass")

        # a schedule whose slots came due while it was paused
        assert ada.get(f"/schedules/{left['schedule']}")["paused"] is True
        assert olga.post(f"/schedules/{left['schedule']}/resume")["schedule"]["paused"] is False
        (missed,) = [event["payload"] for event in ada.events("&types=schedule.slots.missed")][-1:]
        assert (missed["id"], missed["reason"]) == (left["schedule"], "paused")

        # approvals
        assert workflow_of(opened, "expiring")["status"] == "waiting"
        asked = workflow_of(opened, "waiting")["stepStates"]["ask"]["approval"]["subjectHash"]
        path = f"/workflows/run/{left['waiting']}"
        olga.post(f"{path}/steps/ask/approve", {"subjectHash": asked})
        done = ada.until(path, lambda found: found["run"]["status"] not in {"waiting", "running"})["run"]
        assert (done["status"], done["stepStates"]["b"]["status"]) == ("ok", "ok")

        # its cancel came between the expansion of its maps and their first items, which in 0.1 nothing ended
        path = f"/workflows/run/{left['hung']}"
        hung = ada.until(path, lambda found: found["run"]["status"] != "running")["run"]
        assert {hung["status"], *(step["status"] for step in hung["stepStates"].values())} == {"cancelled"}

        redrive = ada.until(f"/a2a/dlq/redrive/{left['redrive']}", lambda found: found["status"] != "running")
        assert (redrive["status"], redrive["requeued"]) == ("completed", redrive["total"])
    report = command("verify")
    assert (report["ok"], report["openRuns"]) == (True, 0)
    assert command("replay", "--verify")["outcome"] == "equal"


def ask_of(opened: Opened, run_id: str) -> Json:
    return dict(opened.ada.until(f"/asks?status=open&runId={run_id}", lambda found: found["items"])["items"][0])


@with_asks
@pytest.mark.parametrize("store", BOTH)
def test_asks_and_a_halt_continue_where_they_were(state: GoldenState, opened: Opened, command: Command) -> None:
    left, expected = opened.expected.open, opened.expected
    effects = opened.directory / "workspace" / "effects.txt"
    before = effects.read_text().splitlines()
    with opened.serving(opened.at_its_last_row(), scheduler="off"):
        ada, olga = opened.ada, opened.olga
        assert (ada.get("/halt")["by"], ada.get("/halt")["reason"]) == ("olga", "the agent is wrong")
        assert ada.send("POST", "/runs", {"input": "hello"}).json()["error"]["code"] == "HALTED"
        (one,) = expected.keyed
        again = ada.caught_up(one["method"], one["path"], one["body"], idempotency_key=one["key"])
        assert (again.headers["idempotency-replayed"], again.json()["data"]["runId"]) == ("true", left["keyed"])
        waiting = {name: run_of(opened, name)["waiting"] for name in ("parked", "inLine", "later", "held")}
        assert waiting["parked"] == {"reason": "ask", "asks": [left["parkedAsk"]], "parked": True}
        assert waiting["held"] == {"reason": "ask", "asks": [left["heldAsk"]], "parked": False}
        assert [waiting[name]["reason"] for name in ("inLine", "later")] == ["halted", "halted"]
        assert run_of(opened, "retried")["retryOf"] == expected.redacted_run
        assert len(ada.get("/permission-rules?status=in-force")["items"]) == 1

        ada.send("DELETE", "/halt").raise_for_status()
        for name in ("inLine", "later"):
            assert ended(opened, name) == "completed", name
        ada.until(f"/runs/{left['held']}", lambda run: run["waiting"]["parked"])  # its executor is gone
        for name, option in (("held", "allow"), ("parked", "deny"), ("keyed", "allow"), ("other", "deny")):
            ask = ask_of(opened, left[name])
            body = {"subjectHash": ask["subjectHash"], "optionId": option}
            ada.until("/admin/health", lambda found: found["lag"] == 0)
            olga.post(f"/asks/{ask['id']}/answer", body)
            assert ended(opened, name) == "completed", name
        always = {"input": "always", "harnessProfileId": left["holding"], "sessionId": "once-more"}
        assert olga.post("/runs", always)["output"] == "all done", "a permission rule answers"
    done = ["in line", "later", "held", "keyed", "always"]
    assert effects.read_text().splitlines() == before + done
    report = command("verify")
    assert (report["ok"], report["openRuns"]) == (True, 0)
    assert command("replay", "--verify")["outcome"] == "equal"


@with_tokens
@pytest.mark.parametrize("store", BOTH)
def test_tokens_and_sessions_continue_as_they_were(state: GoldenState, opened: Opened, command: Command) -> None:
    left, texts = opened.expected.open, opened.expected.tokens
    settings = {"scheduler": "off", "auth_group_role_map": "platform:Admin,support:Operator"}

    def asked(name: str) -> tuple[str, str]:
        answer = opened.inside.ask("GET", "/caller", authorization=f"Bearer {texts[name]}").json()
        return (answer["data"]["identity"], answer["data"]["role"]) if answer["ok"] else ("", answer["error"]["code"])

    with opened.serving(opened.at_its_last_row(), auth_api_token=texts["settings"], **settings):
        ada = opened.ada
        assert asked("valid") == asked("erased") == asked("session") == ("ci", "Operator")
        assert asked("settings") == asked("apiSession") == ("api-token", "Operator")
        assert asked("expired") == ("", "AUTH_TOKEN_EXPIRED")
        for name in ("revoked", "released", "superseded", "endedSession", "loggedOut"):
            assert asked(name) == ("", "AUTH_TOKEN_INVALID"), name
        (one,) = opened.expected.keyed
        again = ada.caught_up(one["method"], one["path"], one["body"], idempotency_key=one["key"])
        assert (again.headers["idempotency-replayed"], again.json()["data"]) == ("true", one["answer"])
        status = {name: ada.get(f"/tokens/{token_id}")["status"] for name, token_id in left.items()}
        assert status == dict.fromkeys(left, "revoked") | dict.fromkeys(("expired", "released"), "expired") | (
            dict.fromkeys(("valid", "erased", "session", "apiSession"), "active")
        )
        valid, erased = (ada.get(f"/tokens/{left[name]}") for name in ("valid", "erased"))
        assert (valid["note"], bool(valid["lastUsedAt"])) == ("Nightly build", True)
        assert (erased.get("note"), erased["redacted"]) == (None, True)
        ada.send("DELETE", f"/tokens/{left['valid']}").raise_for_status()
        assert asked("session") == asked("valid") == ("", "AUTH_TOKEN_INVALID")
    with opened.serving(opened.at_its_last_row(), auth_api_token=texts["settings"] + "-2", **settings):
        assert asked("apiSession") == ("", "AUTH_TOKEN_INVALID"), "its parent is another token now"
        assert asked("erased")[0] == "ci"
    assert command("verify")["ok"]
    assert command("replay", "--verify")["outcome"] == "equal"


@with_workspaces
@pytest.mark.parametrize("store", BOTH)
def test_workspaces_continue_as_they_were(state: GoldenState, opened: Opened, command: Command) -> None:
    left, shared = opened.expected.open, opened.directory / "workspace"
    own, boxes = opened.state_dir / "workspaces", probe().available
    with opened.serving(opened.at_its_last_row(), scheduler="off"):
        ada, olga = opened.ada, opened.olga
        assert ended(opened, "held") == ("completed" if boxes else "failed"), "its profile requires a sandbox"
        places = {one["workspaceId"]: one for one in ada.get("/workspaces?limit=500")["items"]}
        assert places[left["keptWorkspace"]]["keep"] is True
        active = {one for one, place in places.items() if place["status"] == "active"}
        assert {path.name for path in own.iterdir()} == active
        (one,) = opened.expected.keyed
        again = Caller(opened, one["who"]).send(one["method"], one["path"], one["body"], idempotency_key=one["key"])
        assert (again.headers["idempotency-replayed"], again.status_code) == ("true", one["status"])

        assert (shared / "app.py").read_text().splitlines()[1] == "print('two')"
        found = olga.post(f"/runs/{left['edited']}/apply")["files"]
        assert {one["path"]: one["result"] for one in found} == {"app.py": "written", "docs/plan.md": "deleted"}
        assert (shared / "app.py").read_text().splitlines()[1] == "print('zwei')"
        assert os.access(shared / "app.py", os.X_OK)
        assert ada.get(f"/runs/{left['applied']}/diff")["applied"][0]["by"] == "olga"
        assert ada.get(f"/runs/{left['erased']}/diff")["redacted"] is True

        workspace = ada.get(f"/runs/{left['parked']}/diff")["workspaceId"]
        ask = ask_of(opened, left["parked"])
        olga.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "allow"})
        assert ended(opened, "parked") == ("completed" if boxes else "failed")
        if boxes:
            assert (own / workspace / "files" / "parked.txt").read_text() == "parked\n"
            assert "+parked\n" in ada.get(f"/runs/{left['parked']}/diff")["diff"]
            # The source of this one lies elsewhere now, and its own repository is broken.
            said = {"input": "always", "harnessProfileId": left["boxed"], "sessionId": "edited"}
            assert olga.post("/runs", said)["output"] == "all done"
            assert (own / left["workspace"] / "files" / "effects.txt").read_text() == "always\n"
        ada.send("DELETE", f"/workspaces/{workspace}").raise_for_status()
        assert not (own / workspace).exists()
    assert command("verify")["ok"]
    assert command("replay", "--verify")["outcome"] == "equal"


@with_agents
@pytest.mark.parametrize("store", BOTH)
def test_runs_of_agents_continue_as_they_were(state: GoldenState, opened: Opened, command: Command) -> None:
    left = opened.expected.open
    agents = agents_file(opened.directory, {"fake": (), "pretends": (), "dies": (), "quiet": ()})
    with opened.serving(opened.at_its_last_row(), scheduler="off", agents=str(agents)):
        ada, olga = opened.ada, opened.olga

        def of_run(name: str, kind: str) -> list[Json]:
            return [one["payload"] for one in ada.events(f"&runId={left[name]}&types={kind}")]

        def text(name: str) -> str:
            session = run_of(opened, name)["sessionId"]
            return json.dumps(ada.get(f"/sessions/{session}/transcript?limit=500")["items"])

        assert ended(opened, "tool") == ended(opened, "stream") == "completed", "they were taken over"
        ada.until(f"/runs/{left['held']}", lambda run: run.get("waiting", {}).get("parked"))  # its executor is gone
        for name in ("held", "parked"):
            ask = ask_of(opened, left[name])
            assert ask["question"] == "Allow execute: echo allowed >> allowed.txt"
            olga.post(f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "allow"})
            assert ended(opened, name) == "completed"
            (called,) = of_run(name, "tool.called")
            assert (called["askId"], called["asked"]) == (ask["id"], True)
            assert "+allowed\n" in ada.get(f"/runs/{left[name]}/diff")["diff"]
        assert "outcome is unknown" in text("tool")
        assert [one["how"] for one in of_run("tool", "agent.attached")] == ["new", "resumed"]
        assert run_of(opened, "poor")["paused"]["reason"] == "budget"
        olga.post(f"/runs/{left['poor']}/resume", {"budgetUsd": 0.01})
        assert ended(opened, "poor") == "completed"
        errors = {name: run_of(opened, name)["error"]["code"] for name in ("failed", "gone")}
        assert errors == {"failed": "PROVIDER_ERROR", "gone": "AGENT_GONE"}
        assert [one["cause"] for one in of_run("ruled", "run.answered")] == ["rule"]
        assert "not this one" in text("refused")
        assert "secret" not in text("erased")
        (one,) = opened.expected.keyed
        again = Caller(opened, one["who"]).send(one["method"], one["path"], one["body"], idempotency_key=one["key"])
        assert (again.headers["idempotency-replayed"], again.json()["data"]) == ("true", one["answer"])
    assert command("verify")["ok"]
    assert command("replay", "--verify")["outcome"] == "equal"


@pytest.mark.heavy
@with_mcp
@pytest.mark.parametrize("store", BOTH)
def test_runs_with_servers_continue_as_they_were(state: GoldenState, opened: Opened, command: Command) -> None:
    left = opened.expected.open
    servers = {"fake": fake_server("changed", "added"), "calm": fake_server(trustHints=True), "mute": fake_server()}
    file = mcp_servers_file(opened.directory, servers)
    with opened.serving(opened.at_its_last_row(), scheduler="off", mcp_servers=str(file)):
        ada, olga = opened.ada, opened.olga

        def texts(name: str) -> list[str]:
            session = run_of(opened, name)["sessionId"]
            entries = ada.get(f"/sessions/{session}/transcript?limit=500")["items"]
            return [str(one["content"]) for one in entries if one["kind"] == "tool-result"]

        assert ended(opened, "once") == ended(opened, "again") == "completed", "they were taken over"
        assert "outcome is unknown" in texts("once")[0]
        assert texts("again") == ["hi"]
        ada.until(f"/runs/{left['held']}", lambda run: run.get("waiting", {}).get("parked"))  # its executor is gone
        for name, result in (
            ("held", "the answer of a person"),
            ("parked", "the answer of a person"),
            ("parkedAgain", "red"),
        ):
            ask = ask_of(opened, left[name])
            assert (ask["kind"], ask["origin"], ask["question"]) == ("question", "mcp", "Which color?")
            body = {"subjectHash": ask["subjectHash"], "values": {"color": "red"}}
            olga.post(f"/asks/{ask['id']}/answer", body)
            assert ended(opened, name) == "completed"
            assert result in texts(name)[0]
        assert "secret" not in str(texts("erased"))
        says = [cause["says"] for cause in ada.get(f"/runs/{left['keptOut']}/explain")["causes"]]
        assert any("athena mcp-servers accept fake" in one for one in says)
        fake, bad = ada.get("/mcp-servers/fake"), ada.get("/mcp-servers/bad")
        assert (fake["server"]["state"], fake["server"]["acceptedBy"], fake["note"]) == (
            "current",
            "olga",
            "looks fine",
        )
        assert {tool["state"] for tool in bad["tools"]} == {"accepted"}
        assert "Return the text." not in str(bad), "its words were erased"
        (one,) = opened.expected.keyed
        again = Caller(opened, one["who"]).send(one["method"], one["path"], one["body"], idempotency_key=one["key"])
        assert (again.headers["idempotency-replayed"], again.json()["data"]) == ("true", one["answer"])
    assert command("verify")["ok"]
    assert command("replay", "--verify")["outcome"] == "equal"


@pytest.mark.heavy
@at_0_1
@pytest.mark.parametrize("store", STORES)
def test_a_golden_state_opens_at_todays_date(opened: Opened, command: Command) -> None:
    left = opened.expected.open
    with opened.serving(SystemClock(), memory_enabled="true"):
        ada, olga = opened.ada, opened.olga
        assert ended(opened, "leased") == ended(opened, "review") == "timed-out"
        assert ended(opened, "inLine") == ended(opened, "crowded") == "completed"
        assert run_of(opened, "paused")["status"] == "paused"
        assert ada.get(f"/schedules/{left['schedule']}")["paused"] is True
        assert workflow_of(opened, "waiting")["status"] == "waiting"
        path = f"/workflows/run/{left['expiring']}"
        over = ada.until(path, lambda found: found["run"]["status"] not in {"waiting", "running"})["run"]
        assert over["status"] == "failed", "its approval has expired since"
        one = opened.expected.keyed[0]
        answer = Caller(opened, one["who"]).send(one["method"], one["path"], one["body"], idempotency_key=one["key"])
        assert "idempotency-replayed" not in answer.headers, "the key has expired"
        assert answer.json()["data"]["id"] != one["answer"]["id"]
        assert olga.post("/runs", {"input": "hello"})["output"] == "Echo: user: hello"
        ada.until(f"/work/drains/{left['drain']}", lambda found: found["status"] != "running")
        ada.until(f"/a2a/dlq/redrive/{left['redrive']}", lambda found: found["status"] == "completed")
    assert command("verify")["ok"]
    assert command("replay", "--verify")["outcome"] == "equal"

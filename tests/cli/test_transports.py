"""Both transports: the same bytes, the same errors, and when a request is sent again."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.conftest import Here
from tests.cli.terminal import NOWHERE, Terminal
from tests.support.api import Api

TRANSPORTS = ("api", "local")


def error(code: str, **more: str) -> bytes:
    body = {"code": code, "message": "as told", "retryable": True, "traceId": "t", **more}
    return json.dumps({"ok": False, "error": body}).encode()


def busy(code: str) -> tuple[int, bytes]:
    return 503, error(code, retryWith="same-key")


class Scripted(ThreadingHTTPServer):
    """A server that sends its answers in turn, and repeats the last one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes] | None] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"] or 0))
        self._answer(json.loads(content))

    def do_DELETE(self) -> None:
        self.do_POST()

    def do_GET(self) -> None:
        self._answer(None)

    def _answer(self, body: object) -> None:
        told = self.server
        told.requests.append((f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()}, body))
        answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
        if answer is None:
            self.close_connection = True
            return
        status, content = answer
        self.send_response(status)
        if status == 503:
            self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def scripted(terminal: Terminal) -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        terminal.settings |= {"api_base_url": server.url, "cli_transport": "api"}
        yield server
        server.shutdown()
        thread.join()


GOOD = (200, b'{"ok":true,"data":{"b":1,  "a":2}}')


def test_data_is_printed_as_it_came(here: Here, scripted: Scripted) -> None:
    scripted.answers = [GOOD]
    assert here("run", "--input", "x").out == '{"b":1,  "a":2}\n'
    scripted.answers = [(200, b'{"ok":true,"data":{"events":[{"b":1,  "a":2}]}}')]
    assert '{"b":1,  "a":2}' in here("events", "list", "--types", "a,b", "--limit", "3").out
    assert [request for request, _, _ in scripted.requests] == [
        "POST /api/v1/runs",
        "GET /api/v1/events?types=a%2Cb&limit=3",
    ]


def test_a_body_holds_what_was_given(here: Here, scripted: Scripted) -> None:
    scripted.answers = [GOOD]
    here("run", "--session", "s", "--input", "--all -v", "--provider", "p", "--model", "m", "--async")
    here("run", "--directive", "dir_1", "--profile", "hp_1")
    here("run", "--input", "x", "--strategy", "interrupt", "--parent", "run_1")
    here("resume", "run/1", "--budget-usd", "0.5", "--async")
    here("resume", "run_1")
    here("cancel", "--session", "a/b", "--reason", "-")
    here("cancel", "--run", "run_1")
    assert [(request, body) for request, _, body in scripted.requests] == [
        ("POST /api/v1/runs", {"sessionId": "s", "input": "--all -v", "provider": "p", "model": "m"}),
        ("POST /api/v1/runs", {"directiveId": "dir_1", "harnessProfileId": "hp_1"}),
        ("POST /api/v1/runs", {"input": "x", "sessionStrategy": "interrupt", "parentRunId": "run_1"}),
        ("POST /api/v1/runs/run%2F1/resume", {"budgetUsd": 0.5}),
        ("POST /api/v1/runs/run_1/resume", {}),
        ("POST /api/v1/runs/a%2Fb/cancel", {"reason": "-"}),
        ("POST /api/v1/run-control/by-run/run_1/cancel", {}),
    ]
    detached = [place for place, (_, headers, _) in enumerate(scripted.requests) if "prefer" in headers]
    assert detached == [0, 3]
    assert len({headers["idempotency-key"] for _, headers, _ in scripted.requests}) == 7


# The original's words and shapes


def answered(data: object) -> tuple[int, bytes]:
    return 200, json.dumps({"ok": True, "data": data}).encode()


def test_all_schedules_are_listed_and_counted(here: Here, scripted: Scripted) -> None:
    tasks = [{"id": name} for name in "abc"]
    scripted.answers = [answered({"items": tasks[:2], "nextCursor": "more"}), answered({"items": tasks[2:]})]
    assert here("schedule", "list").data == {"count": 3, "tasks": tasks}
    assert [request for request, _, _ in scripted.requests] == [
        "GET /api/v1/schedules?limit=500",
        "GET /api/v1/schedules?limit=500&cursor=more",
    ]


def test_schedules_are_added_run_ticked_and_listed_as_by_the_original(here: Here, scripted: Scripted) -> None:
    results = [{"id": str(number), "status": status} for number, status in enumerate(["ok", "failed", "running", "ok"])]
    scripted.answers = [answered({"id": "n"})]
    added = ("--id", "n", "--session", "s", "--input", "x", "--every-minutes", "15", "--start-now", "false")
    assert here("schedule", "add", *added).data == {"id": "n"}
    scripted.answers = [answered(results[0])]
    ran = {**results[0], "summary": {"ok": 1, "failed": 0, "alreadyRunning": 0}}
    assert here("schedule", "run", "--id", "n", "--provider", "p", "--model", "m").data == ran
    scripted.answers = [answered({"at": "then", "run": [*results, {"status": "already-running"}], "skipped": 2})]
    result = here("schedule", "tick", "--at", "2026-01-01T00:00:00Z")
    assert (result.code, "schedule 1: its run failed" in result.err) == (1, True)
    ticked = json.loads(result.out)
    assert (ticked["skipped"], ticked["summary"]) == (2, {"ok": 2, "failed": 1, "alreadyRunning": 1})
    scripted.answers = [answered(results)]
    assert here("schedule", "logs", "--id", "n").data == {"id": "n", "count": 4, "logs": results}
    scripted.answers = [answered({"id": "n", "removed": True})]
    assert here("schedule", "remove", "--id", "n").data == {"id": "n", "removed": True}
    assert [(request, body) for request, _, body in scripted.requests] == [
        (
            "POST /api/v1/schedules",
            {"sessionId": "s", "input": "x", "everyMinutes": 15, "startNow": False, "id": "n"},
        ),
        ("POST /api/v1/schedules/n/run", {"provider": "p", "model": "m"}),
        ("POST /api/v1/schedules/tick", {"at": "2026-01-01T00:00:00Z"}),
        ("GET /api/v1/schedules/n/logs?limit=20", None),
        ("DELETE /api/v1/schedules/n", {}),
    ]


def test_the_progress_of_a_workflow_is_printed_in_lines_or_as_json(here: Here, scripted: Scripted) -> None:
    node = {"status": "running", "dependencyReadiness": {"blockingStepIds": []}}
    observed = {
        "workflow": {"id": "wf_1"},
        "run": {"id": "wfr_1", "status": "running"},
        "progress": {"completedSteps": 1, "totalSteps": 2, "percentComplete": 50.0},
        "eta": {"source": "insufficient-history"},
        "nodes": [{**node, "stepId": "a", "status": "ok"}, {**node, "stepId": "b"}],
    }
    scripted.answers = [answered(observed)]
    lines = here("work", "status", "--workflow", "wf_1").out.splitlines()
    assert lines[0] == "workflow wf_1, run wfr_1: running"
    assert lines[-2:] == ["[OK] a: ok", "[..] b: running"]
    assert here("work", "status", "--workflow", "wf_1", "-o", "json").data == observed
    assert here("work", "status", "--workflow", "wf_1", "--session", "s").code == 2


def test_a_table_has_its_columns_and_an_empty_one_is_said(here: Here, scripted: Scripted) -> None:
    scripted.answers = [answered([{"sourcePath": "MEMORY.md", "snippet": "deploy", "score": 0.5}])]
    shown = here("memory", "search", "--query", "deploy", "-o", "table")
    assert shown.out.split() == ["SOURCE", "SCORE", "TEXT", "MEMORY.md", "0.50", "deploy"]
    assert shown.err == ""
    scripted.answers = [answered({"items": []})]
    assert (here("runs", "list", "-o", "table").out, here("runs", "list", "-o", "table").err) == ("", "None.\n")


def test_the_identity_is_sent_under_the_name_of_the_setting(here: Here, scripted: Scripted) -> None:
    scripted.answers = [GOOD]
    here("run", "--input", "x", "--identity", "alice", auth_identity_header="x-who")
    here("run", "--input", "x", cli_identity="bob")
    assert [headers.get("x-who") or headers["x-athena-identity"] for _, headers, _ in scripted.requests] == [
        "alice",
        "bob",
    ]


@pytest.mark.parametrize("code", ["OVERLOADED", "OUTCOME_UNKNOWN"])
def test_what_may_be_sent_again_is_sent_again_with_its_key(here: Here, scripted: Scripted, code: str) -> None:
    scripted.answers = [busy(code), busy(code), GOOD]
    assert here("run", "--input", "x").code == 0
    assert len(scripted.requests) == 3
    assert len({headers["idempotency-key"] for _, headers, _ in scripted.requests}) == 1


def test_a_request_is_not_repeated_without_end(here: Here, scripted: Scripted) -> None:
    scripted.answers = [busy("OVERLOADED")]
    result = here("run", "--input", "x")
    assert (result.code, len(scripted.requests) > 1) == (1, True)
    assert result.err == "error: as told\n  OVERLOADED · POST /api/v1/runs · trace id t\n"


@pytest.mark.parametrize(("status", "code"), [(503, "STORE_MOVED"), (502, "PROVIDER_ERROR"), (507, "STORE_FULL")])
@pytest.mark.parametrize("more", [{}, {"retryWith": "new-key"}], ids=str)
def test_other_errors_are_final(here: Here, scripted: Scripted, status: int, code: str, more: dict[str, str]) -> None:
    scripted.answers = [(status, error(code, **more)), GOOD]
    assert (here("run", "--input", "x").code, len(scripted.requests)) == (1, 1)


@pytest.mark.parametrize("transport", ["api", "auto"])
def test_a_lost_answer_is_asked_for_with_the_same_key_and_never_in_this_process(
    terminal: Terminal, here: Here, scripted: Scripted, transport: str
) -> None:
    scripted.answers = [None, GOOD]
    assert here("run", "--input", "x", "--transport", transport).code == 0
    assert len({headers["idempotency-key"] for _, headers, _ in scripted.requests}) == 1
    scripted.answers = [None]
    result = here("run", "--input", "x", "--transport", transport)
    assert result.code == 3
    assert "\n  API transport failed for POST /api/v1/runs: " in result.err
    assert not terminal.state_dir.exists()


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}", b""])
def test_answers_of_another_program_are_refused(here: Here, scripted: Scripted, content: bytes) -> None:
    scripted.answers = [(200, content)]
    result = here("events", "list")
    assert (result.code, result.out) == (3, "")
    assert "not from an Athena server" in result.err


def test_an_answer_may_take_its_time_for_a_run_only(terminal: Terminal) -> None:
    slow = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "0.5"}
    with terminal.served(**slow):
        arguments = ("run", "--provider", "local-exec", "--input", "x", "--transport", "api")
        assert terminal.run(*arguments, cli_api_timeout_ms="200").code == 0


def test_a_hung_server_does_not_hold_a_run(terminal: Terminal) -> None:
    with terminal.served() as server:
        server.freeze()
        result = terminal.run("run", "--input", "x", "--transport", "api", cli_api_timeout_ms="1000")
        server.signal(signal.SIGCONT)
    assert (result.code, "API transport failed for POST /api/v1/runs" in result.err) == (3, True)


@pytest.mark.parametrize("url", ["--api-base-url", "http://192.0.2.1:9"])
def test_auto_does_not_replace_a_server_that_was_named(terminal: Terminal, here: Here, url: str) -> None:
    if url.startswith("--"):
        result = here("runs", "list", url, NOWHERE, cli_transport="auto")
    else:  # an address for documentation: nothing answers
        result = here("runs", "list", api_base_url=url, cli_transport="auto", cli_api_timeout_ms="200")
    assert (result.code, terminal.state_dir.exists()) == (3, False)


def test_auto_continues_in_this_process_when_no_server_listens(terminal: Terminal) -> None:
    first = terminal.run("run", "--input", "x").data
    events = terminal.run("events", "list", "--run", first["runId"]).data["events"]
    assert events[0]["type"] == "run.completed"
    with terminal.served():
        assert terminal.run("events", "list", "--run", first["runId"]).data["events"] == events


def test_a_cancel_reaches_a_run_of_another_process(terminal: Terminal) -> None:
    asleep = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "1000"}
    with terminal.served(**asleep):
        begun = terminal.run("run", "--provider", "local-exec", "--input", "x", "--session", "s", "--async").data
        assert begun["status"] == "running"
        done = terminal.run("cancel", "--run", begun["runId"], "--transport", "local").data
        assert done["status"] == "cancelled"
        tail = terminal.start("events", "tail", "--run", begun["runId"])
        assert tail.read_until(lambda event: event["type"] == "run.cancelled")


def test_a_command_that_works_alone_meets_the_same_limit_as_the_server(terminal: Terminal, here: Here) -> None:
    asleep = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "1000"}
    with terminal.server(**asleep):
        api = Api(terminal.settings["api_base_url"])
        api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
        holder = api.start("x", provider="local-exec")["runId"]
        for transport in TRANSPORTS:
            refused = here("run", "--input", "x", "--transport", transport)
            assert (refused.code, "POLICY_CONCURRENCY_LIMIT_EXCEEDED" in refused.err) == (4, True), refused.err
        assert [one["activeRuns"] for one in api.items("/policy/rejections")] == [1, 1]
        api.post(f"/run-control/by-run/{holder}/cancel")
        assert api.await_ending(holder) == "run.cancelled"
        assert here("run", "--input", "x", "--transport", "local").data["output"]
        api.close()


def test_a_command_leaves_due_schedules_to_a_server(terminal: Terminal) -> None:
    """A command has time for due work while its own run sleeps, and leaves it; a server does it at once."""
    local = ("--transport", "local")
    put = ("schedule", "add", "--id", "now", "--session", "s", "--input", "hello", "--every-minutes", "60")
    terminal.run(*put, "--start-now", *local).data  # noqa: B018 - it succeeds
    asleep = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "0.5"}
    run = terminal.run("run", "--provider", "local-exec", "--input", "x", *local, **asleep).data
    types = {event["type"] for event in terminal.run("events", "list", "--all", *local).data["events"]}
    assert "schedule.upserted" in types
    assert not [one for one in types if one.startswith("schedule.run") or one.startswith("schedule.slots")]
    with terminal.server():
        api = Api(terminal.settings["api_base_url"])
        done = api.await_event("schedule.run.completed")
        started = api.events(types="run.created")
        api.close()
    assert [event["runId"] for event in started] == [run["runId"], done["payload"]["targetRunId"]]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_with_authentication_on_an_identity_is_needed(terminal: Terminal, here: Here, transport: str) -> None:
    settings = {"auth_enabled": "true", "auth_identity_role_map": "alice:Operator"}
    terminal.settings |= settings
    with terminal.served():
        nobody = here("run", "--input", "x", "--transport", transport)
        assert (nobody.code, "AUTH_IDENTITY_MISSING" in nobody.err, "--identity" in nobody.err) == (4, True, True)
        alice = here("run", "--input", "x", "--transport", transport, "--identity", "alice")
        assert alice.code == 0
        carl = here("cancel", "--session", "s", "--transport", transport, "--identity", "carl")
        assert (carl.code, "AUTHZ_DENIED" in carl.err) == (4, True)

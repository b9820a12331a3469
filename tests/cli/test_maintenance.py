"""Copies of the log, slices of it, replays to a place, and what a set-up lacks."""

import io
import json
import shutil
import stat
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from athena_cli.checks import check_agents, check_credentials, check_mcp_servers, check_sandbox, unboxed_profiles
from athena_cli.offline_log import open_offline_log
from athena_core.event import Position
from athena_core.settings import load
from athena_core.system.sandbox import SandboxProbe, probe
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.conftest import Serve
from tests.core.credentials.corpus import entry, write_credentials
from tests.support.api import Api, refused_by, soon
from tests.support.model import Profile
from tests.support.records import put_filler


def url_of(terminal: Terminal) -> str:
    return terminal.settings["api_base_url"]


class Writing:
    """Clients that write directives until stopped, and keep the acknowledged ones in order."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.acknowledged: list[tuple[str, Position]] = []
        self._over = threading.Event()
        self._apis = [Api(url) for _ in range(clients)]
        self._threads = [threading.Thread(target=self._write, args=(api,)) for api in self._apis]
        for thread in self._threads:
            thread.start()

    def _write(self, api: Api) -> None:
        while not self._over.is_set():
            answer = api.send("/directives", {"input": "x"})
            self.acknowledged.append((answer.json()["data"]["id"], int(answer.headers["athena-position"])))

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for api in self._apis:
            api.close()


def test_a_restored_log_is_in_use_here_and_its_views_can_be_compared_at_once(
    terminal: Terminal, here: Here, runs_before: Path
) -> None:
    shutil.copytree(runs_before, terminal.state_dir)
    copy, moved = terminal.directory / "copy.athena", terminal.directory / "moved.athena"
    assert here("backup", str(copy)).code == 0
    for place in (terminal.state_dir / "log.db", copy):
        with closing(apsw.Connection(str(place))) as log:
            log.execute("INSERT INTO meta VALUES ('moved', 'postgresql://elsewhere/athena')")
    assert here("backup", str(moved)).code == 0
    for source in (copy, moved):
        with closing(apsw.Connection(str(terminal.state_dir / "log.db"))) as log:
            log.execute("PRAGMA journal_mode = DELETE")
        assert here("restore", str(source)).code == 0
        with closing(apsw.Connection(str(terminal.state_dir / "log.db"))) as log:
            assert log.execute("SELECT name FROM meta WHERE name = 'moved'").fetchall() == []
        shutil.rmtree(terminal.state_dir / "views", ignore_errors=True)
        compared = here("replay", "--verify")
        assert (compared.code, compared.data["outcome"]) == (0, "equal"), compared.err


def test_a_restore_keeps_the_end_of_a_log_whose_wal_was_not_emptied(terminal: Terminal, here: Here) -> None:
    """A log that was set aside after a kill has its newest rows in the WAL."""
    put_filler(terminal.state_dir, 10)
    aside = terminal.directory / "log-10.db"
    with closing(apsw.Connection(str(terminal.state_dir / "log.db"))) as log:
        log.execute("INSERT INTO token_use VALUES ('tok_1', 1)")
        for end in ("", "-wal"):
            shutil.copy(f"{log.filename}{end}", f"{aside}{end}")
    assert Path(f"{aside}-wal").stat().st_size
    assert here("restore", str(aside)).code == 0
    with closing(apsw.Connection(str(terminal.state_dir / "log.db"))) as log:
        assert log.execute("SELECT token_id FROM token_use").fetchall() == [("tok_1",)]


def test_a_replay_that_cannot_write_says_where_and_what_it_needs(
    terminal: Terminal, here: Here, runs_before: Path
) -> None:
    shutil.copytree(runs_before, terminal.state_dir)
    lock = terminal.state_dir / "views" / "rebuild.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    refused = here("replay", "--verify")
    assert refused.code == 1
    assert str(lock) in refused.err
    assert "a directory that it may write" in refused.err


def test_a_backup_under_load_restores_to_a_log_that_holds_all_that_was_acknowledged_before(
    terminal: Terminal, serve: Serve
) -> None:
    copy = terminal.directory / "copy.athena"
    server = serve()
    terminal.settings["state_dir"] = str(server.state_dir)
    first = server.api.send("/directives", {"input": "with a key"}, key="k").json()["data"]
    writing = Writing(server.url)
    for _ in soon():
        if len(writing.acknowledged) > 50:
            break
    before = list(writing.acknowledged)
    made = terminal.run("backup", str(copy)).data
    writing.stop()
    assert made["position"] >= max(position for _, position in before)
    assert terminal.run("backup", str(copy)).code == 2, "a backup never replaces a file"

    other = {"state_dir": str(terminal.directory / "other")}
    restored = terminal.run("restore", str(copy), **other).data
    assert (restored["status"], restored["position"]) == ("restored", made["position"])
    assert terminal.run("verify", **other).data["chain"] == made["chain"]
    with terminal.served(**other):
        api = Api(url_of(terminal))
        there = {item["id"] for item in api.items("/directives", limit=500)}
        assert {directive_id for directive_id, _ in before} <= there
        again = api.send("/directives", {"input": "with a key"}, key="k")
        assert (again.json()["data"], again.headers["idempotency-replayed"]) == (first, "true")
        api.close()


@pytest.mark.heavy
def test_after_a_restore_cursors_up_to_the_fork_are_valid_and_those_above_it_are_foreign(terminal: Terminal) -> None:
    copy = terminal.directory / "copy.athena"
    with terminal.served():
        api = Api(url_of(terminal))
        api.run("before")
        below = api.events()[-1]["id"]
        terminal.run("backup", str(copy))
        live = terminal.run("restore", str(copy))
        assert (live.code, "stop it first" in live.err) == (2, True)
        api.run("lost")
        above = api.events()[-1]["id"]
        api.close()
    restored = terminal.run("restore", str(copy)).data
    assert restored["next"] == "start once with ATHENA_ACCEPT_FORK=true"
    assert Path(restored["kept"]).exists()
    assert terminal.run("api", "serve", "--port", "0").code == 2
    with terminal.server(0, accept_fork="true"):
        api = Api(url_of(terminal))
        for number in range(3):
            api.run(f"instead {number}")
        assert api.types(cursor=below)[0] == "log.forked"
        assert refused_by(api.get, "/events", cursor=above)[1] == "CURSOR_FOREIGN"
        assert len(api.items("/runs")) == 4  # from the views that were built anew
        api.close()
    assert terminal.run("verify").data["ok"]
    assert terminal.run("replay", "--verify").data["outcome"] == "equal"


def test_a_backup_is_its_owners_and_one_that_cannot_be_written_is_1(history: Terminal, here: Here) -> None:
    copy = history.directory / "copy.athena"
    assert here("backup", str(copy)).code == 0
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    refused = here("backup", "nowhere/copy.athena")
    assert (refused.code, refused.err) == (1, "error: cannot write nowhere/copy.athena: No such file or directory\n")


def test_a_file_that_is_not_a_backup_is_not_restored(terminal: Terminal, here: Here) -> None:
    here("run", "--input", "x", "--transport", "local")
    copy = terminal.directory / "copy.athena"
    assert here("backup", str(copy)).code == 0
    before = (terminal.state_dir / "log.db").read_bytes()
    damaged = terminal.directory / "damaged.athena"
    content = bytearray(copy.read_bytes())
    place = content.index(b'"requestedBy"')
    content[place : place + 13] = b'"requestedBx"'
    damaged.write_bytes(content)
    refused = here("restore", str(damaged))
    assert (refused.code, "does not verify: position" in refused.err) == (1, True)
    letter = terminal.directory / "letter"
    letter.write_text("Dear all")
    assert here("restore", str(letter)).code == 2
    assert (terminal.state_dir / "log.db").read_bytes() == before


def test_a_bundle_proves_itself_elsewhere(history: Terminal, here: Here) -> None:
    bundle = history.directory / "one.bundle"
    assert here("export", "--session", "one", "--out", str(bundle)).code == 0
    shutil.rmtree(history.state_dir)
    proof = here("verify", "--bundle", str(bundle)).data
    assert (proof["ok"], proof["withoutText"], proof["redacted"]) == (True, 0, False)
    assert proof["events"] > 10
    assert proof["skipped"] >= 9, "the other session's run lies between"


def test_a_bundle_is_compared_with_kept_anchors(history: Terminal, here: Here) -> None:
    kept, forged = history.directory / "anchors", history.directory / "forged"
    head = here("anchor", "--to", str(kept)).data["position"]
    forged.write_text(json.dumps(json.loads(kept.read_text()) | {"chain": "0" * 64}) + "\n")
    run = here("runs", "list", "--limit", "1", "--transport", "local").data["items"][0]["runId"]
    assert here("export", "--run", run, "--to", "head", "--out", "run.bundle").code == 0
    proof = here("verify", "--bundle", "run.bundle", "--against", str(kept)).data
    assert (proof["complete"], proof["compared"], proof["notices"]) == (True, [head], [])
    refused = here("verify", "--bundle", "run.bundle", "--against", str(forged))
    assert (refused.code, "differs from the kept anchor" in refused.err) == (1, True)
    assert here("export", "--run", run, "--to", str(head - 1), "--out", "short.bundle").code == 0
    refused = here("verify", "--bundle", "short.bundle", "--against", str(kept))
    assert (refused.code, "export again, with --to" in refused.err) == (1, True)


def test_a_bundle_goes_through_a_pipe(history: Terminal, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = here("export", "--session", "one").out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bundle.encode())))
    assert here("verify", "--bundle", "-").data["ok"]


def test_a_closed_pipe_ends_an_export_quietly(history: Terminal) -> None:
    running = history.start("export", "--session", "one")
    running.stdout.close()
    assert (running.wait(), running.stderr.read()) == (1, "")


@pytest.mark.parametrize("scope", [("--session", "two"), ("--since", "5"), ("--since", "2020-01-01")])
def test_a_bundle_without_text_holds_none_and_proves_itself(
    history: Terminal, here: Here, scope: tuple[str, str]
) -> None:
    bundle = history.directory / "redacted.bundle"
    assert here("export", *scope, "--redact", "--out", str(bundle)).code == 0
    assert b"said in" not in bundle.read_bytes()
    proof = here("verify", "--bundle", str(bundle)).data
    assert (proof["ok"], proof["redacted"]) == (True, True)
    assert proof["withoutText"] > 0


def test_an_empty_bundle_comes_with_a_warning(history: Terminal, here: Here) -> None:
    done = here("export", "--run", "run_nobody")
    assert (done.code, done.err) == (0, "Warning: no event of the log matches; the bundle is empty\n")
    assert here("export", "--session", "one").err == ""


def test_a_bundle_needs_one_scope(here: Here) -> None:
    assert here("export").code == 2
    assert here("export", "--run", "run_1", "--session", "s").code == 2


def test_a_replay_goes_to_a_place_that_is_named_in_any_way(history: Terminal, here: Here) -> None:
    events = here("events", "list", "--all", "--transport", "local").data["events"]
    place = events[11]
    to_position = here("replay", "--to", "12").data
    assert to_position["position"] == 12
    to_event = here("replay", "--to", place["id"]).data
    assert (to_event["position"], to_event["digests"]) == (12, to_position["digests"])
    before = here("replay", "--to", events[-1]["createdAt"]).data
    assert 0 < before["position"] < len(events)
    foreign = here("replay", "--to", "9" * 6)
    assert (foreign.code, "CURSOR_AHEAD" in foreign.err) == (1, True)
    assert here("replay", "--to", "some day").code == 2


def test_one_projection_can_be_compared_or_rehearsed_alone_but_not_rebuilt(history: Terminal, here: Here) -> None:
    (verdict,) = here("replay", "--verify", "--projection", "runs").data["verdicts"]
    assert (verdict["projection"], verdict["equal"]) == ("runs", True)
    assert list(here("replay", "--dry-run", "--projection", "runs").data["digests"]) == ["runs"]
    assert here("replay", "--projection", "runs").code == 2
    assert "expected one of " in here("replay", "--verify", "--projection", "wishes").err


def test_verify_looks_at_the_description_and_refuses_what_holds_no_witness(history: Terminal, here: Here) -> None:
    empty = history.directory / "no.ids"
    empty.write_text("\n")
    assert "contains no event id" in here("verify", "--ids", str(empty)).err
    assert "is in the state directory" in here("anchor", "--to", str(history.state_dir / "log.anchor")).err
    connection = apsw.Connection(str(history.state_dir / "log.db"))
    connection.execute("INSERT INTO meta VALUES ('owner', 'mallory')")
    connection.close()
    strange = here("verify")
    assert (strange.code, "metadata has 'owner'" in strange.err) == (1, True)


def statuses(terminal: Terminal, **settings: str) -> dict[str, str]:
    result = terminal.run("doctor", **settings)
    findings = json.loads(result.out)["findings"]
    assert result.code == (1 if any(found["status"] == "wrong" for found in findings) else 0)
    assert all(found.get("remedy") or found["status"] == "ok" for found in findings if found["check"] != "log"), (
        findings
    )
    return {found["check"]: found["status"] for found in findings}


def test_the_doctor_finds_nothing_where_nothing_is_wrong(history: Terminal) -> None:
    unboxed = set() if probe().available else {"sandbox"}
    assert {name for name, status in statuses(history).items() if status != "ok"} == {"anchors elsewhere"} | unboxed
    with history.served():
        found = statuses(history, anchor_to=str(history.directory / "kept.anchors"))
        assert {name for name, status in found.items() if status != "ok"} == unboxed


@pytest.mark.heavy
def test_the_doctor_finds_faults(history: Terminal) -> None:
    assert statuses(history, auth_enabled="perhaps")["settings"] == "wrong"
    assert statuses(history, workspace_root=str(history.directory / "nowhere"))["workspace"] == "wrong"
    history.state_dir.chmod(0o755)
    assert statuses(history)["permissions"] == "notice"
    copy = history.directory / "copy.athena"
    history.run("backup", str(copy))
    history.run("run", "--input", "more", "--transport", "local")
    history.run("restore", str(copy))
    assert statuses(history)["anchor"] == "wrong"
    (history.state_dir / "log.db").write_text("Dear all, this was a log once, and it is no more. " * 100)
    assert statuses(history)["log"] == "wrong"
    assert "no log" in history.seen("doctor") or "cannot read" in history.seen("doctor")


def test_the_doctor_reads_each_credential_and_shows_none(tmp_path: Path) -> None:
    sources = {
        "file": '{ file = "@DIR@/key" }',
        "shared": '{ file = "@DIR@/other" }',
        "env": '{ env = "ATHENS_MISSING" }',
        "command": '{ command = ["echo", "a-s3cret-of-echo"] }',
        "failing": '{ command = ["sh", "-c", "echo s3cret >&2; false"] }',
    }
    text = "".join(entry(secret=source).replace(".a]", f".{name}]") for name, source in sources.items())
    path = write_credentials(tmp_path, text)
    (tmp_path / "other").chmod(0o644)
    found = tuple(check_credentials(path))
    assert {result.check.removeprefix("credential "): result.status for result in found} == {
        "credentials": "ok", "file": "ok", "shared": "notice", "env": "notice", "command": "ok", "failing": "wrong",
    }  # fmt: skip
    assert all(result.remedy or result.status == "ok" for result in found)
    assert not any("s3cret" in result.says for result in found)
    path.chmod(0o640)
    (refused,) = check_credentials(path)
    assert refused.status == "wrong"
    assert tuple(check_credentials(None)) == ()


def test_the_doctor_looks_for_the_programs_of_agents(tmp_path: Path) -> None:
    agents = {
        "here": {"template": "codex", "argv": ["sh"]},
        "gone": {"template": "codex", "argv": ["no-such-agent"], "readOnly": ["/no/such/place"]},
    }
    path = tmp_path / "agents.json"
    path.write_text(json.dumps({"agents": agents}))
    here, gone = check_agents(path, ["openai"])
    assert (here.check, here.status, here.says) == ("agent here", "ok", "sh is installed")
    assert (gone.check, gone.status) == ("agent gone", "notice")
    assert gone.says == "the program no-such-agent is not installed; /no/such/place does not exist"
    path.write_text("{")
    (refused,) = check_agents(path, [])
    assert refused.status == "wrong"
    assert tuple(check_agents(None, [])) == ()


def test_the_doctor_looks_for_the_programs_of_mcp_servers(tmp_path: Path) -> None:
    path = tmp_path / "servers.toml"
    path.write_text(
        '[servers.here]\ncommand = ["sh"]\n[servers.web]\nurl = "https://example.com/mcp"\n'
        '[servers.gone]\ncommand = ["no-such-server"]\nreadOnly = ["/no/such/place"]\ncredentials = { A = "absent" }\n'
    )
    here, web, gone = check_mcp_servers(path, None)
    assert (here.check, here.status, here.says) == ("MCP server here", "ok", "sh is installed")
    assert (web.status, web.says) == ("ok", "https://example.com/mcp")
    assert (gone.status, gone.says) == (
        "notice",
        "the program no-such-server is not installed; /no/such/place does not exist; no credential 'absent'",
    )
    path.write_text("[servers")
    (refused,) = check_mcp_servers(path, None)
    assert refused.status == "wrong"
    assert tuple(check_mcp_servers(None, None)) == ()


def test_the_doctor_names_the_key_that_an_agent_lacks(tmp_path: Path) -> None:
    path = tmp_path / "agents.json"
    path.write_text(json.dumps({"agents": {"mine": {"template": "gemini", "argv": ["sh"]}}}))
    _, lacks = check_agents(path, ["openai"])
    assert (lacks.status, lacks.says, lacks.remedy) == (
        "notice",
        "provider gemini has no key",
        "set ATHENA_GEMINI_API_KEY",
    )


def test_doctor_says_why_no_sandbox_works() -> None:
    broken = SandboxProbe(False, "0.11.0", "no user namespaces", "Set user.max_user_namespaces.")
    for required, status in ((False, "notice"), (True, "wrong")):
        found = check_sandbox(broken, required=required)
        assert (found.status, found.remedy) == (status, broken.remedy)
        assert found.says == "no sandbox works here: no user namespaces"
    assert check_sandbox(SandboxProbe(True, "0.11.0"), required=True).says == "bubblewrap 0.11.0 works"


def test_profiles_that_the_server_refuses_are_named(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    body = Profile(commands=(("true",),)).body
    unboxed = server.api.post("/harness-profiles", body)["id"]
    boxed = server.api.post("/harness-profiles", body | {"sandbox": {"mode": "required"}})["id"]
    server.stop()
    settings = {"ATHENA_STATE_DIR": str(server.state_dir), "ATHENA_AUTH_ENABLED": "true"} | (
        {"ATHENA_DATABASE_URL": server.database_url} if server.database_url else {}
    )
    log = open_offline_log(load(settings, tmp_path), any_schema=True)
    with closing(log.reader()) as reader:
        (found,) = unboxed_profiles(reader, load(settings, tmp_path))
        assert (found.check, found.status) == (f"profile {unboxed}", "wrong") and boxed not in found.check
        assert "ATHENA_AUTH_PROXY_SECRET" in (found.remedy or "")
        vouched = settings | {"ATHENA_AUTH_PROXY_SECRET": "s" * 32}
        assert not list(unboxed_profiles(reader, load(vouched, tmp_path)))

"""Exit codes, and the one line on standard error that explains each."""

import asyncio
import json
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS
from athena_cli.in_process import in_process
from athena_cli.transport import LOCAL_URL
from athena_core import __version__
from athena_core.settings import SETTINGS, load
from tests.cli.conftest import Here
from tests.cli.terminal import NOWHERE, Result, Terminal
from tests.scale import sized, some_quick
from tests.support.api import soon
from tests.support.certificates import OPENSSL, make_pair
from tests.support.wrong_settings import WRONG

AT_THE_START = {
    "ATHENA_STATE_DIR": "/dev/null/state",
    "ATHENA_DEFAULT_PROVIDER": "nobody",
    "ATHENA_PROVIDER_FALLBACK_ORDER": "mock,nobody",
    "ATHENA_AUTH_ROLE_MAP_FILE": "/dev/null/roles",
    "ATHENA_CREDENTIALS_FILE": "/dev/null/credentials",
    "ATHENA_AGENTS": "/dev/null/agents",
    "ATHENA_MCP_SERVERS": "/dev/null/servers",
}
"""Values that can be read, and are wrong on this machine."""

ANY_TEXT = {
    *("ATHENA_MEMORY_SQLITE_PATH", "ATHENA_WORKSPACE_ROOT", "ATHENA_DEFAULT_MODEL", "ATHENA_LOCAL_PROVIDER_CMD"),
    *("ATHENA_LOCAL_PROVIDER_ARGS", "ATHENA_CLI_IDENTITY", "ATHENA_WORKSPACES_DIR"),
    *("ATHENA_API_CA_FILE", "ATHENA_TLS_KEY_FILE"),  # see test_https.py; the error names the certificate
}


def complaint(result: Result, code: int) -> str:
    """Return the one line that a failed command prints."""
    assert result.code == code, result.err
    assert result.out == ""
    line, *note = result.err.splitlines()
    assert line.startswith("error: ")
    assert all(text.startswith("  ") for text in note[:1])
    assert len(note) <= 1
    return line


def test_the_version_is_the_projects(terminal: Terminal) -> None:
    result = terminal.run("--version")
    assert (result.code, result.out, result.err) == (0, f"projectathena {__version__}\n", "")


@pytest.mark.parametrize("words", ["", *COMMANDS, *some_quick(GENERATED_COMMANDS, 5)])
def test_help_says_what_a_command_is_for(here: Here, words: str) -> None:
    result = here(*words.split(), "--help")
    assert result.code == 0
    assert f"Usage: athena {words}".strip() in result.out


def test_help_reads_no_settings(here: Here) -> None:
    assert here("run", "--help", cli_transport="pigeon").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "--verify", "--to", "3"], "--verify"),
        (["replay", "--projection", "runs"], "--projection requires --verify or --dry-run"),
        (["replay"], "contains no log"),
        (["verify"], "contains no log"),
        (["api", "serve", "--port", "99999"], "99999"),
        (["run", "--input", "x", "--api-base-url", "http://[::1"], "--api-base-url"),
        (["run", "--input", "x", "--api-base-url", "http://127.0.0.1:x"], "--api-base-url"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_2(terminal: Terminal, here: Here, arguments: list[str], words: str) -> None:
    """Errors that depend on the state directory or on Python; ``wrong_commands.txt`` has the others."""
    assert words in complaint(here(*arguments), 2)
    assert not terminal.state_dir.exists()


def test_wrong_usage_is_the_exit_code_of_the_process(terminal: Terminal) -> None:
    assert complaint(terminal.run("cancel"), 2) == (
        "error: cancel needs either a run or a session: give RUN or --session ID"
    )


@pytest.mark.parametrize("variable", sorted(WRONG.keys() | AT_THE_START.keys()))
def test_a_wrong_setting_is_2(here: Here, variable: str) -> None:
    wrong = {variable.removeprefix("ATHENA_").lower(): (AT_THE_START.get(variable) or WRONG[variable][0])}
    assert complaint(here("api", "serve", "--port", "0", **wrong), 2).startswith(f"error: {variable}")


def test_every_setting_is_tried() -> None:
    assert WRONG.keys() | AT_THE_START.keys() | ANY_TEXT == {setting.variable for setting in SETTINGS}


def test_a_secret_is_not_repeated(here: Here) -> None:
    result = here("verify", openai_api_key="sesame", cli_transport="pigeon")
    assert "sesame" not in complaint(result, 2)


def test_a_dotenv_file_is_read_and_the_environment_wins(terminal: Terminal, here: Here) -> None:
    (terminal.directory / ".env").write_text("ATHENA_CLI_TRANSPORT=pigeon\n")
    del terminal.settings["cli_transport"]
    assert "pigeon" in complaint(here("verify"), 2)
    terminal.settings["cli_transport"] = "local"
    assert "contains no log" in complaint(here("verify"), 2)


RUN = ("run", "--session", "s", "--input", "hello")


@pytest.mark.parametrize("command", [("verify",), RUN, ("doctor",), ("api", "serve", "--port", "0"), ("worker",)])
def test_a_dotenv_that_others_may_write_is_2_and_nothing_of_it_is_done(
    terminal: Terminal, here: Here, command: tuple[str, ...]
) -> None:
    (terminal.directory / ".env").write_text("ATHENA_CLI_TRANSPORT=pigeon\n")
    (terminal.directory / ".env").chmod(0o666)
    result = here(*command)
    if command == ("doctor",):  # it reports everything that it finds
        assert (result.code, "chmod go-w" in result.out) == (1, True)
    else:
        assert complaint(result, 2).startswith(f"error: {terminal.directory / '.env'}: not read, because other users")
    assert "pigeon" not in result.out + result.err


def test_a_setting_of_the_original_is_named_with_what_replaces_it(terminal: Terminal) -> None:
    with terminal.server(redis_url="redis://x") as server:
        assert server.complaint("Warning: ATHENA_REDIS_URL") == (
            "Warning: ATHENA_REDIS_URL: not used; the log needs no lock service"
        )


def test_a_port_in_use_is_2(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in complaint(terminal.run("api", "serve", "--port", str(port)), 2)
    assert not terminal.state_dir.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_authentication_only_this_machine_is_served(here: Here, host: str) -> None:
    line = complaint(here("api", "serve", "--port", "0", "--host", host), 2)
    assert "not a loopback address" in line


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (
            ["--host", "0.0.0.0"],
            {},
            "To listen on it, set ATHENA_TLS_CERT_FILE and ATHENA_TLS_KEY_FILE, or ATHENA_AUTH",
        ),
        ([], {"tls_cert_file": "c", "tls_key_file": "k"}, "ATHENA_TLS_CERT_FILE: "),
        ([], {"tls_cert_file": "c"}, "set it together with ATHENA_TLS_KEY_FILE"),
        ([], {"auth_trusted_proxies": "0.0.0.0/0"}, "0.0.0.0/0 is every address"),
        ([], {"auth_trusted_proxies": "10.0.0.0/8,::/0"}, "::/0 is every address"),
        (["--uds", "taken"], {}, "another server is listening there"),
        (["--uds", "file"], {}, "cannot listen on"),
        (["--uds", "x" * 200], {}, "cannot listen on"),
        ([], {"auth_identity_role_map": "a:Admin", "auth_role_map_file": "roles"}, "set either this or"),
    ],
)
def test_what_would_let_anybody_in_is_not_served(
    terminal: Terminal, here: Here, arguments: list[str], settings: dict[str, str], words: str
) -> None:
    (terminal.directory / "file").touch()
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(terminal.directory / "taken"))
        taken.listen()
        port = [] if "--uds" in arguments else ["--port", "0"]
        result = here("api", "serve", *arguments, *port, auth_enabled="true", **settings)
    assert words in complaint(result, 2)


def test_a_unix_socket_belongs_to_who_serves(terminal: Terminal) -> None:
    path = terminal.directory / "athena.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))  # what a server that was killed leaves behind
    tls = {} if OPENSSL is None else make_pair(terminal.directory / "pair").settings  # a Unix socket needs none
    access = {"auth_enabled": "true", "auth_identity_role_map": "*:Admin"}
    running = terminal.start("api", "serve", "--uds", str(path), **access, **tls)
    assert json.loads(running.line()) == {"status": "serving", "uds": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://anything") as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/api/v1/runs").status_code == 401
        assert client.get("/api/v1/runs", headers={"x-athena-identity": "ann"}).status_code == 200
    result = running.end(signal.SIGTERM)
    assert (result.code, path.exists()) == (0, False)
    assert result.err.startswith("Warning: every identity that is not in the role map is an Admin\n")


def test_a_file_that_is_not_a_database_is_2(terminal: Terminal, here: Here) -> None:
    terminal.state_dir.mkdir()
    (terminal.state_dir / "log.db").write_bytes(b"no database at all" * 100)
    assert "cannot read" in complaint(here("verify"), 2)


@pytest.mark.parametrize("transport", ["api", "local"])
def test_an_unknown_provider_is_5_and_names_request_code_and_trace(
    terminal: Terminal, here: Here, transport: str
) -> None:
    with terminal.served():
        result = here("run", "--input", "x", "--provider", "nobody", "--transport", transport)
    line = complaint(result, 5)
    assert line.startswith("error: provider 'nobody' is not registered")
    assert "\n  PROVIDER_NOT_FOUND · POST /api/v1/runs · trace id " in result.err


def test_a_refusal_names_the_remedy_unless_its_reason_did(terminal: Terminal, here: Here) -> None:
    with terminal.served():
        line = complaint(here("schedule", "add", "--id", "x", "--session", "s", "--input", "i"), 2)
        assert line.endswith(
            "--every-minutes: the schedule has no trigger; give one of --every-minutes, --cron, --run-at"
        )
        line = complaint(here("runs", "get", "a b"), 2)
        assert line.endswith("RUN: must be 1 to 128 letters, digits, dots, underscores or dashes")


@contextmanager
def elsewhere(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yield the URL of another program that speaks HTTP."""
    other = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{other.server_port}"
    finally:
        other.shutdown()
        thread.join()
        other.server_close()


@pytest.mark.parametrize("content", [b"[]", b'{"data": null}'])
def test_the_doctor_takes_any_answer_of_another_program(here: Here, content: bytes) -> None:
    class Other(BaseHTTPRequestHandler):
        """A program with one answer to everything."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

    with elsewhere(Other) as url:
        assert "Traceback" not in here("doctor", api_base_url=url).err


def test_a_stream_of_another_program_is_3(terminal: Terminal) -> None:
    with elsewhere(SimpleHTTPRequestHandler) as url:
        result = terminal.run("events", "tail", api_base_url=url, cli_transport="auto")
    assert complaint(result, 3).startswith(f"error: {url} is not an Athena server: ")
    assert result.err.endswith("the response is not from an Athena server (status 404)\n")


def test_no_file_takes_the_place_of_a_stream_that_is_closed(terminal: Terminal) -> None:
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "athena_cli"]
    run = [*command, "run", "--input", "x", "--transport", "local"]
    assert subprocess.run(run, cwd=terminal.directory, env=terminal.environment({}), check=False).returncode == 0
    assert (terminal.state_dir / "log.db").stat().st_size > 0
    assert [
        lock.stat().st_size for lock in terminal.state_dir.glob("log.*") if lock.suffix in {".lock", ".turnstile"}
    ] == [0, 0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="nothing here is always full")
@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["runs", "list", "--transport", "local", "--all"], ["export", "--since", "0"]],
    ids=" ".join,
)
def test_an_output_that_is_full_is_1(terminal: Terminal, arguments: list[str]) -> None:
    terminal.run("run", "--input", "x", "--transport", "local")
    command = [sys.executable, "-m", "athena_cli", *arguments]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command,
            cwd=terminal.directory,
            env=terminal.environment({}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "error: [Errno 28] No space left on device\n")


def test_a_server_that_is_down_is_3(here: Here) -> None:
    result = here("run", "--input", "x", "--transport", "api")
    assert complaint(result, 3).startswith(f"error: no server at {NOWHERE}: start one with athena api serve")
    assert "\n  API transport failed for POST /api/v1/runs: " in result.err
    assert "ConnectError" not in result.err, "the text of the error, where it has one"
    assert "API transport failed" in here("events", "tail", "--transport", "api").err


def test_async_never_falls_back(terminal: Terminal, here: Here) -> None:
    complaint(here("run", "--input", "x", "--async", "--transport", "auto"), 3)
    assert not terminal.state_dir.exists()


def test_auto_does_not_fall_back_from_a_server_that_does_not_answer(terminal: Terminal, here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        result = here("events", "list", api_base_url=url, cli_transport="auto", cli_api_timeout_ms="200")
        tail = here("events", "tail", api_base_url=url, cli_transport="auto", cli_api_timeout_ms="200")
    assert complaint(result, 3).startswith(f"error: the server at {url} does not answer")
    assert "API transport failed for GET /api/v1/events" in result.err
    assert complaint(tail, 3).startswith(f"error: the server at {url} does not answer")
    assert not terminal.state_dir.exists()


def test_ctrl_c_is_130(terminal: Terminal) -> None:
    with terminal.server() as server:
        tail = terminal.start("events", "tail")
        tail.line()
        assert tail.end(signal.SIGINT).code == 130
        assert server.end(signal.SIGINT).code == 130


def test_ctrl_c_of_a_run_in_this_process_is_130_and_ends_the_run(terminal: Terminal, tmp_path: Path) -> None:
    asleep = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "1000"}
    running = terminal.start("run", "--input", "x", "--provider", "local-exec", "--transport", "local", **asleep)
    for _ in soon():
        if (terminal.state_dir / "log.db").exists():  # a tail creates none
            break
    tail = terminal.start("events", "tail", "--transport", "local", "--types", "run.started")
    tail.line()
    result = running.end(signal.SIGINT)
    assert (result.code, result.out, result.err) == (130, "", "")
    *_, asked, ending = all_events(terminal)
    assert (asked["type"], ending["type"]) == ("run.cancel.requested", "run.cancelled")
    assert ending["payload"] == {"cause": "requested"}


def test_ctrl_c_before_a_command_has_heard_of_the_run_that_it_asked_for_ends_that_run_too(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load({"ATHENA_STATE_DIR": str(terminal.state_dir)})

    async def command() -> None:
        async with in_process(settings) as inside, httpx2.AsyncClient(base_url=LOCAL_URL, transport=inside) as client:
            submit = inside.plane.log.submit
            committed = asyncio.Event()

            async def unanswered(*arguments: Any, **named: Any) -> None:
                await submit(*arguments, **named)
                committed.set()
                await asyncio.Event().wait()

            monkeypatch.setattr(inside.plane.log, "submit", unanswered)
            asking = asyncio.create_task(client.post("/api/v1/runs", json={"input": "x"}))
            await committed.wait()
            monkeypatch.undo()
            asking.cancel()
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(command())
    *_, asked, ending = all_events(terminal)
    assert (asked["type"], ending["type"]) == ("run.cancel.requested", "run.cancelled")
    assert ending["payload"] == {"cause": "requested"}


def all_events(terminal: Terminal) -> list[dict[str, object]]:
    return list(terminal.run("events", "list", "--all", "--transport", "local").data["events"])


def test_sigterm_ends_a_server_well(terminal: Terminal) -> None:
    with terminal.server() as server:
        assert server.end(signal.SIGTERM).code == 0
    assert terminal.run("verify").data["ok"]


def test_a_sigterm_that_comes_before_the_server_listens_to_signals_is_not_lost(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from tests.support.serving import main\n"
        "main(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
    )
    environment = {"ATHENA_STATE_DIR": str(tmp_path / "state"), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_ends_the_tail_quietly(terminal: Terminal) -> None:
    with terminal.served():
        tail = terminal.start("events", "tail")
        tail.line()
        tail.stdout.close()
        terminal.run("run", "--input", "x")
        code = tail.wait()
    assert code == 1
    assert [line for line in tail.stderr.read().splitlines() if not line.startswith("Cursor: ")] == []


def test_contracts_are_written(terminal: Terminal, here: Here) -> None:
    out = terminal.directory / "made" / "contracts.json"
    answer = here("api", "contracts", "--out", str(out)).data
    artifact = json.loads(out.read_text())
    assert answer == {"status": "written", "path": str(out), "routeCount": artifact["routeCount"]}
    assert (artifact["schemaVersion"], artifact["openapi"]["openapi"]) == (2, "3.1.0")
    default = here("api", "contracts").data
    assert default["path"] == str(terminal.state_dir / "api" / "contracts.v1.json")


def test_contracts_that_cannot_be_written_are_1(here: Here) -> None:
    assert "cannot write" in complaint(here("api", "contracts", "--out", "/dev/null/x"), 1)


def loaded_by(words: str, environment: dict[str, str]) -> set[str]:
    """Return the modules that a command loads."""
    command = [sys.executable, "-X", "importtime", "-m", "athena_cli", *words.split()]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stderr
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}


OF_A_SERVER = ("athena_api.", "projections.", "athena_core.services.", "athena_core.log.", "apsw.", "starlette.")
ASKING = ("ps -a", "logs", "runs list --columns run,waiting", "runs get RUN", "events list", "series", "fleet")
ASKING_TOO = ("schedules list", "directives create --input x", "top --once", "open fleet")


def test_commands_that_ask_a_server_load_none(terminal: Terminal) -> None:
    with terminal.served():
        run_id = terminal.run("run", "--input", "x", "-o", "json").data["runId"]
        for words in (*ASKING, *sized((), ASKING_TOO, ASKING_TOO)):
            loaded = loaded_by(words.replace("RUN", run_id), terminal.environment({}))
            assert "athena_cli.transport" in loaded, words
            assert not [name for name in loaded if f"{name}.".startswith(OF_A_SERVER)], words


@pytest.mark.parametrize("words", ["--version", "--help", "run --help"])
def test_help_loads_next_to_nothing(terminal: Terminal, words: str) -> None:
    loaded = {name.partition(".")[0] for name in loaded_by(words, terminal.environment({}))}
    assert "cyclopts" in loaded
    assert not loaded & {"apscheduler", "apsw", "asyncio", "eventsourcing", "httpx2", "msgspec", "starlette", "uvicorn"}

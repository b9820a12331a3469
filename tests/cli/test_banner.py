"""The first output of a server and a worker: a banner on a terminal, a line of JSON in a pipe."""

import json
import re
import signal
from pathlib import Path

import httpx2

from athena_cli.output.banner import Listening, model_of, next_commands, state_of, warnings_of
from athena_core.settings import Settings, load
from tests.cli.terminal import Terminal

TIME = r"\d\d:\d\d:\d\d  "


def settings_of(directory: Path, **settings: str) -> Settings:
    return load({f"ATHENA_{name.upper()}": value for name, value in settings.items()}, directory)


def test_on_a_terminal_a_server_prints_addresses_and_the_next_command(terminal: Terminal) -> None:
    screen = terminal.screen("api", "serve", "--port", "0")
    shown = screen.read_until("Ctrl-C stops the server.")
    (url,) = re.findall(r"Console   (http://127\.0\.0\.1:\d+)/$", shown, re.MULTILINE)
    assert f"API docs  {url}/docs\n" in shown
    assert f"State     {terminal.state_dir}\n" in shown
    assert "Model     mock (" in shown
    assert f"Next      export ATHENA_API_BASE_URL={url}\n" in shown
    assert re.findall(r"Warning   (.*)", shown) == ["Authentication is off: programs of this machine act as its Admin."]
    assert "{" not in shown
    lines = shown.replace(str(terminal.state_dir), "").splitlines()
    assert max(map(len, lines)) <= 80
    httpx2.get(f"{url}/api/v1/runs").raise_for_status()
    assert httpx2.post(f"{url}/api/v1/runs", json={}).status_code == 400
    run = httpx2.post(f"{url}/api/v1/runs", json={"input": "hi"}).json()["data"]
    shown = screen.read_until(run["runId"])
    assert re.search(rf"^{TIME}400 POST /api/v1/runs  \d+ ms\n{TIME}200 POST /api/v1/runs  ", shown, re.MULTILINE)
    assert "GET" not in shown
    screen.end(signal.SIGTERM)
    assert "Traceback" not in screen.text


def test_the_output_can_be_chosen(terminal: Terminal) -> None:
    shown = terminal.screen("api", "serve", "--port", "0", "--log", "json").read_until("\n")
    assert json.loads(shown)["status"] == "serving"
    running = terminal.start("worker", "--log", "text")
    assert running.line().startswith("Working: ")
    running.end(signal.SIGTERM)


def test_a_worker_on_a_terminal_prints_a_sentence(terminal: Terminal) -> None:
    shown = terminal.screen("worker", "--concurrency", "3").read_until("\n")
    assert shown == "Working: up to 3 runs of anthropic, local-exec, mock, openai. Ctrl-C stops.\n"


def test_the_banner_shows_no_password(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        database_url="postgresql://athena:sk-canary@db:5433/log?password=sk-canary",
        default_provider="openai",
        openai_base_url="http://me:sk-canary@127.0.0.1:11434/v1",
    )
    assert state_of(settings) == "postgresql://db:5433/log"
    for secret in ("sk?canary", "sk#canary", "sk@canary"):  # libpq accepts these without %-escapes
        odd = settings_of(tmp_path, database_url=f"postgresql://athena:{secret}@db:5433/log?password={secret}")
        assert state_of(odd) == "postgresql://db:5433/log"
    assert model_of(settings) == "openai · the only one listed · 127.0.0.1:11434"
    assert model_of(settings_of(tmp_path, default_provider="anthropic", default_model="claude")) == (
        "anthropic · claude · api.anthropic.com"
    )
    assert model_of(settings_of(tmp_path, default_provider="local-exec")) == "local-exec"


def test_what_matters_is_a_warning(tmp_path: Path) -> None:
    outside = Listening("0.0.0.0", "0.0.0.0", 8787)  # noqa: S104 - nothing listens
    exposed, off = warnings_of(settings_of(tmp_path), outside, configured=True)
    assert off.startswith("Authentication is off")
    assert "ATHENA_AUTH_PROXY_SECRET" in exposed
    vouched = settings_of(tmp_path, auth_proxy_secret="s" * 20, auth_enabled="true")
    assert not list(warnings_of(vouched, outside, configured=True))
    assert list(next_commands(vouched, outside.url))[-1].startswith("athena whoami")
    settings = settings_of(tmp_path, default_provider="openai", executor="off", scheduler="off")
    assert [text.split()[0] for text in warnings_of(settings, Listening(uds=tmp_path), configured=False)] == [
        "Provider",
        "ATHENA_EXECUTOR",
        "ATHENA_SCHEDULER",
    ]
    assert Listening("::1", "::1", 7).url == "http://[::1]:7"
    assert list(next_commands(settings, "http://127.0.0.1:8787")) == ['athena run "Hello"']

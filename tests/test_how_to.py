"""The how-to pages: every block of code on them runs, in its order, and does what the page says."""

import json
import os
import shutil
import ssl
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.conftest import Serve
from tests.support import postgres, repository, tree
from tests.support.agent_model import AgentModel, Calls
from tests.support.api import Json, soon
from tests.support.certificates import MISSING, OPENSSL, make_pair
from tests.support.directed import directed
from tests.support.keyed_api import keyed
from tests.support.model import acting, call
from tests.support.nginx import free_port
from tests.support.outside_agents import stand_in, write_agents
from tests.support.pages import PROFILE, RUN, Page, Shell, Terminal, blocks, is_ready, served, words_of
from tests.support.programs import BOXED
from tests.support.server import Server
from tests.support.stub import standing

PAGES = {
    "README.md": "here",
    "docs/how-to/agent-claude.md": "tests/agents/test_pages.py",
    "docs/how-to/agent-codex.md": "tests/agents/test_pages.py",
    "docs/how-to/agent-gemini.md": "tests/agents/test_pages.py",
    "docs/how-to/agent-opencode.md": "tests/agents/test_pages.py",
    "docs/how-to/approve.md": "here",
    "docs/how-to/back-up-and-prove.md": "here",
    "docs/how-to/ci-token.md": "here",
    "docs/how-to/caddy.md": "tests/test_deployment.py",
    "docs/how-to/credentials.md": "here",
    "docs/how-to/demo.md": "here",
    "docs/how-to/deployment.md": "tests/test_deployment.py",
    "docs/how-to/follow-the-feed.md": "here",
    "docs/how-to/haproxy.md": "tests/test_deployment.py",
    "docs/how-to/install.md": "here",
    "docs/how-to/local-model.md": "here",
    "docs/how-to/mcp-clients.md": "tests/mcp/test_pages.py",
    "docs/how-to/mcp-tools.md": "tests/mcp/test_pages.py",
    "docs/how-to/nginx.md": "tests/test_deployment.py",
    "docs/how-to/oauth2-proxy.md": "tests/test_deployment.py",
    "docs/how-to/nightly-run.md": "here",
    "docs/how-to/openai-anthropic.md": "here",
    "docs/how-to/own-workspaces.md": "here",
    "docs/how-to/stop-everything.md": "here",
    "docs/how-to/two-machines.md": "here",
    "docs/how-to/upgrading.md": "here",
    "docs/how-to/what-happened.md": "here",
    "docs/how-to/without-a-proxy.md": "tests/test_deployment.py",
    "docs/start.md": "here",
}
"""Pages for people who do something, and where their blocks run."""

URL = "http://127.0.0.1:8787"
INSTALL_SECONDS = 600


def test_the_blocks_of_every_page_run_somewhere() -> None:
    pages = [name for name in tree.files() if name.startswith(("README.md", "docs/how-to/", "docs/start.md"))]
    found = {name for name in pages if name.endswith(".md") and blocks(name)}
    assert found == set(PAGES)
    for name, place in PAGES.items():
        if place == "here":
            assert f'Page("{name}"' in Path(__file__).read_text(), name
        else:
            assert f'"{name}"' in (tree.ROOT / place).read_text(), name


def shell_of(server: Server, directory: Path, **settings: str) -> Shell:
    """A shell whose commands work on the state directory of a server, and call it."""
    return Shell(directory, api_base_url=server.url, state_dir=str(server.state_dir), **settings)


SCRIPT = (
    call("files", action="read", path="notes.md"),
    call("files", action="write", path="summary.md", content="Pears rose, apples fell."),
    "I wrote summary.md.",
)


def connected(shell: Shell, command: str) -> Json:
    """Connect a model with the command of a page before a server runs. Return what it reports."""
    found: Json = json.loads(shell.run(f"ATHENA_CLI_TRANSPORT=local {command}"))
    return found


def make_only_shown(page: Page, tmp_path: Path) -> str:
    """Return what the next block, a call of make, would run. tests/cli/test_demo.py runs that command."""
    tmp_path.mkdir(exist_ok=True)
    return Shell(tmp_path).run(f"cd '{tree.ROOT}'; {page.take('sh').replace('make', 'make -n')}")


def test_the_demo_is_one_command(tmp_path: Path) -> None:
    with Page("docs/how-to/demo.md") as page:
        assert "athena demo" in make_only_shown(page, tmp_path)


@pytest.mark.heavy
@BOXED
def test_the_readme(tmp_path: Path) -> None:
    """The fake agent stands in for Codex. It asks for no permission, as Codex in a sandbox."""
    model = AgentModel((Calls("edit", {"path": "pears.py", "text": "PEARS = 3\n"}), "I fixed it."))
    (tmp_path / "home").mkdir()
    with standing(model.choose) as stub, Page("README.md") as page:
        assert "athena demo" in make_only_shown(page, tmp_path / "home")
        assert "pytest" in make_only_shown(page, tmp_path / "test")
        shell = Terminal(tmp_path, tmp_path / "home", openai_base_url=stub.url, openai_api_key="the-key")
        write_agents(tmp_path / "agents.toml", stand_in(page.take("toml"), "never-asks", "wire=openai-responses"))
        setting, _, serve = page.take("sh").partition(" ")
        shell.environment |= dict([setting.split("=")])
        with served(shell, serve):
            del shell.environment["ATHENA_AGENTS"]
            run = json.loads(shell.run(page.take("sh")))
            assert run["output"] == "I fixed it."
            assert not (tmp_path / "pears.py").exists()
            shown = shell.run(page.take("sh").replace(RUN, run["runId"]))
            assert "+PEARS = 3" in shown
            assert (tmp_path / "pears.py").read_text() == "PEARS = 3\n"
        program = str(tmp_path / ".venv" / "bin" / "athena")
        assert words_of(shell, "claude", page.take("sh")) == [["mcp", "add", "athena", "--", program, "mcp"]]


@pytest.mark.heavy
def test_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with acting(SCRIPT) as model, Page("docs/start.md") as page:
        assert "athena demo" in make_only_shown(page, home)
        shell = Terminal(tmp_path, home, runtime_run_timeout_ms="60000")
        shell.environment["OLLAMA_HOST"] = model.url.removeprefix("http://")
        shell.run(page.take("sh"))
        shell.directory = home
        init = page.take("sh").replace("init", "init --provider ollama").replace("./", "ATHENA_CLI_TRANSPORT=local ./")
        ready = json.loads(shell.run(init))
        assert (ready["provider"], ready["model"]) == ("openai", "stub-model")
        assert ready["next"][0].startswith("./athena run --profile assistant ")
        enter, _, serve = page.take("sh").partition("\n")
        shell.directory = home / enter.removeprefix("cd ~/")
        with served(shell, serve):
            shell.directory = home
            run = json.loads(shell.run(page.take("sh")))
            assert run["output"] == SCRIPT[-1]
            assert (home / "athena-first" / "summary.md").read_text() == "Pears rose, apples fell."
            proof = shell.run(page.take("sh").replace(RUN, run["runId"]))
            assert "run.completed" in proof
            assert '"ok":true' in proof


@pytest.mark.heavy
def test_local_model(tmp_path: Path) -> None:
    with acting(["Two files."]) as model:
        changes = {"http://127.0.0.1:11434": model.url}
        with Page("docs/how-to/local-model.md", **changes) as page:
            shell = Shell(tmp_path)
            shell.environment["OLLAMA_HOST"] = model.url.removeprefix("http://")
            found = connected(shell, page.take("sh").replace("init", "init --provider ollama"))
            assert found["model"] == "stub-model"
            named = connected(shell, page.take("sh"))
            lines = (tmp_path / ".env").read_text().splitlines()
            assert set(page.take("ini").splitlines()) <= set(lines)
            with served(shell, page.take("sh")):
                run = json.loads(shell.run(page.take("sh").replace(PROFILE, named["harnessProfileId"])))
            assert run["output"] == "Two files."
            assert model.requests[-1]["model"] == "qwen3:8b"


FORM = {"type": "object", "properties": {"title": {"type": "string"}, "public": {"type": "boolean"}}}


@pytest.mark.heavy
def test_approve(tmp_path: Path) -> None:
    script = (
        call("shell", command=["wc", "-w", "notes.md"]),
        call("shell", command=["cp", "notes.md", "published.md"]),
        call("ask_user", question="Which title, and is it public?", form=FORM),
        "It is published.",
    )
    with acting(script) as model, Page("docs/how-to/approve.md") as page:
        shell = Shell(tmp_path, openai_api_key="k", openai_base_url=f"{model.url}/v1")
        (tmp_path / "notes.md").write_text("one two\n")
        with served(shell, "athena api serve"):
            (tmp_path / "publisher.json").write_text(page.take("json"))
            shell.run(page.take("sh"))
            start = page.take("sh")

            def ask(run: Json) -> Json:
                """Return the open ask of a run."""
                url = shell.environment["ATHENA_API_BASE_URL"]
                for _ in soon():
                    found = httpx2.get(f"{url}/api/v1/asks", params={"runId": run["runId"]}).json()["data"]["items"]
                    if found:
                        return dict(found[0])
                raise AssertionError(run)

            def begin() -> tuple[Json, Json]:
                run: Json = json.loads(shell.run(start))
                return run, ask(run)

            run, first = begin()
            assert '"published.md"' in json.loads(shell.run(page.take("sh")))["items"][0]["arguments"]
            shell.run(page.take("sh").replace("ask_01M87A", first["id"]))
            _, second = begin()
            shell.environment["HASH"] = second["subjectHash"]
            page.changes[URL] = shell.environment["ATHENA_API_BASE_URL"]
            assert '"status":"rejected"' in shell.run(page.take("sh").replace("ask_01M87B", second["id"]))
            shell.run(page.take("sh").replace("ask_01M87C", begin()[1]["id"]))
            *remember, revoke = page.take("sh").replace("ask_01M87D", begin()[1]["id"]).splitlines()
            rules = json.loads(shell.run(remember[1] if shell.run(remember[0]) else ""))["items"]
            assert '"status":"revoked"' in shell.run(revoke.replace("rule_01M87A", rules[0]["id"]))
            shell.run(page.take("sh").replace("ask_01M87E", ask(run)["id"]))
            ended = json.loads(shell.run(f"athena runs get {run['runId']} --wait 30"))
            assert (ended["status"], ended["output"]) == ("completed", script[-1])
            assert (tmp_path / "published.md").read_text() == (tmp_path / "draft.md").read_text() == "one two\n"


@pytest.mark.heavy
def test_openai_anthropic(tmp_path: Path) -> None:
    script = (
        call("shell", command=["wc", "-l", "--", "notes.md"]),
        call("evidence", label="lines", type="text", content="2"),
        "It has two lines.",
    )
    with acting(script) as model, Page("docs/how-to/openai-anthropic.md") as page:
        shell = Shell(tmp_path)
        shell.environment["OPENAI_BASE_URL"] = f"{model.url}/v1"
        (tmp_path / "notes.md").write_text("one\ntwo\n")
        export, init = page.take("sh").splitlines()
        shell.run(f"{export}; ATHENA_CLI_TRANSPORT=local {init}")
        assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
        with served(shell, page.take("sh")):
            (tmp_path / "analyst.json").write_text(page.take("json"))
            shell.run(page.take("sh"))
            run = json.loads(shell.run(page.take("sh")))
            assert run["output"] == script[-1]
            assert json.loads(shell.run(f"athena evidence list {run['runId']}"))["items"][0]["label"] == "lines"
            assert '"maxConcurrentRuns":10' in shell.run(page.take("sh"))


@pytest.mark.heavy
def test_nightly_run(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    profile = {"provider": "mock", "model": "mock-model", "tools": ["evidence"]}
    policies = {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0}
    body = {"displayName": "Plain", "version": "v1", "config": profile, "policies": policies}
    profile_id = server.api.post("/harness-profiles", body)["id"]
    shell = shell_of(server, tmp_path)
    with Page("docs/how-to/nightly-run.md", **{PROFILE: profile_id}) as page:
        shell.run(page.take("sh"))
        assert shell.run(page.take("sh")).count("T02:00:00+0") == 3
        assert "Echo" in shell.run(tried := page.take("sh")) or tried
        shell.run(page.take("sh"))
        read = shell.run(page.take("sh"))
        assert "Summarise the notes of today." in read
        assert server.api.get("/schedules/nightly")["pauseOnFailure"] is True


@pytest.mark.heavy
def test_own_workspaces(tmp_path: Path) -> None:
    notes = "one\ntwo\nthree\nfour\nfive\n"
    repository.make(tmp_path / "workspace")
    repository.commit(tmp_path / "workspace", "Take notes", notes_md=notes)
    with directed() as model, Page("docs/how-to/own-workspaces.md") as page:
        shell = Shell(tmp_path, openai_api_key="k", openai_base_url=model.url, workspace_root="workspace")
        for said, text in (
            ("Add a title to notes.md", f"# Notes\n{notes}"),
            ("Add a licence to notes.md", f"{notes}MIT\n"),
        ):
            model.script(said, call("files", action="write", path="notes.md", content=text), "Done.")
        with served(shell, "athena api serve"):
            (tmp_path / "coder.json").write_text(page.take("json"))
            shell.run(page.take("sh"))
            started = page.take("sh").splitlines()
            one, two = (json.loads(shell.run(line))["runId"] for line in started)
            assert (tmp_path / "workspace" / "notes.md").read_text() == notes
            assert "+# Notes\n" in shell.run(page.take("sh").replace(RUN, one))
            applied = page.take("sh").replace(RUN, one).replace("run_01M87B", two)
            results = [json.loads(line)["files"][0]["result"] for line in shell.run(applied).splitlines()]
            assert results == ["written", "written", "merged"]
            assert (tmp_path / "workspace" / "notes.md").read_text() == f"# Notes\n{notes}MIT\n"
            assert shell.run(page.take("sh")).count("workspace.applied") == 2
            listed, keep, clean = page.take("sh").splitlines()
            (titles,) = json.loads(shell.run(listed))["items"]
            assert '"keep":true' in shell.run(keep.replace("wsp_01M87A", titles["workspaceId"]))
            assert '"cleaned"' in shell.run(clean.replace("wsp_01M87B", titles["workspaceId"]))


@pytest.mark.heavy
def test_stop_everything(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    shell = shell_of(server, tmp_path)
    with Page("docs/how-to/stop-everything.md") as page:
        shell.run(page.take("sh"))
        refused = server.api.send("/runs", {"input": "x"})
        assert (refused.status_code, refused.json()["error"]["details"]["by"]) == (503, "local")
        assert '"cancelled":0' in shell.run(page.take("sh"))
        assert "wrong prices in the catalogue" in shell.run(page.take("sh"))
        assert '"halted":false' in shell.run(page.take("sh"))
        assert server.api.run("x")["output"]
        assert "wrong prices in the catalogue" in shell.run(page.take("sh"))


@pytest.mark.heavy
def test_what_happened(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "slow.sh").write_text("sleep 30\n")
    slow = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(tmp_path / "slow.sh")}
    api = (server := serve(**slow)).api
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 8})
    api.run("in time", sessionId="billing")
    before = api.get("/events", limit=500)["events"][-1]["id"]
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 8, "defaultRunTimeoutMs": 200})
    late = api.send("/runs", {"input": "too late", "sessionId": "billing", "provider": "local-exec"})
    run_id = late.json()["error"]["details"]["runId"]
    moment = api.get("/events", limit=500)["events"][-1]["id"]
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 8})
    api.run("in time again", sessionId="billing")
    places = {"2026-11-28T02:00": before, "2026-11-28T02:10": moment, RUN: run_id}
    shell = shell_of(server, tmp_path)
    with Page("docs/how-to/what-happened.md", **places) as page:
        shown = shell.run(page.take("sh"))
        assert '"timedOut":1' in shown
        assert run_id in shown
        assert "in time again" not in shown
        assert run_id in (changed := shell.run(page.take("sh")))
        assert "policy.updated" in changed
        policy, _, ended = shell.run(page.take("sh")).strip().partition("\n")
        assert "policy.updated" in policy and run_id not in policy
        assert run_id in ended and "policy.updated" not in ended
        assert "longer than 200 ms" in shell.run(page.take("sh"))
        found = json.loads(shell.run(page.take("sh")))
        assert (found["event"]["type"], found["after"]) == ("policy.updated", 200)
        judged = json.loads(shell.run(page.take("sh")))
        assert judged["event"]["type"] == "run.timed-out"
        written, proven = map(json.loads, shell.run(page.take("sh")).splitlines())
        assert written["path"] == "incident.bundle"
        assert proven["ok"]
        assert {part["name"] for part in proven["derived"]} == {"diff", "open", "policy", "explanations"}


@pytest.mark.heavy
def test_credentials(tmp_path: Path) -> None:
    with keyed("Bearer the-first-s3cret", "Bearer the-next-s3cret") as api, acting(()) as model:
        places = {"/etc/athena": f"{tmp_path}/etc", "tickets.internal:8080": f"127.0.0.1:{api.port}"}
        places |= {'"tickets.internal", "port": 8080': f'"127.0.0.1", "port": {api.port}'}
        model.script = (call("http", url=f"{api.url}/open"), "None is urgent.")
        with Page("docs/how-to/credentials.md", **places) as page:
            shell = Shell(tmp_path, openai_api_key="k", openai_base_url=f"{model.url}/v1")
            shell.run(page.take("sh"))
            key, path = tmp_path / "etc/tickets", tmp_path / "etc/credentials.toml"
            assert key.stat().st_mode & 0o777 == 0o600
            key.write_text("the-first-s3cret\n")
            path.write_text(page.take("toml"))
            shell.environment["ATHENA_CREDENTIALS_FILE"] = str(path)
            found = shell.run(page.take("sh"))
            assert "credential tickets" in found
            assert "s3cret" not in found
            with served(shell, page.take("sh")):
                (tmp_path / "clerk.json").write_text(page.take("json"))
                shell.run(page.take("sh"))
                ask = page.take("sh")
                assert "None is urgent." in shell.run(ask)
                write, move = page.take("sh").splitlines()
                shell.run(write)
                (tmp_path / "etc/tickets.new").write_text("the-next-s3cret\n")
                shell.run(move)
                shell.run(ask)
                assert api.carried == ["Bearer the-first-s3cret", "Bearer the-next-s3cret"]
                key.write_text("short")
                shell.run(ask)
                assert api.carried[2:] == ["Bearer the-next-s3cret"]
                assert "holds fewer than 8 characters" in shell.run(page.take("sh"))
                assert '"tickets"' in shell.run("athena capabilities")


@pytest.mark.heavy
def test_back_up_and_prove(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    run_id = server.api.run("hello")["runId"]
    places = {"/mnt/backups/": f"{tmp_path}/", "/mnt/elsewhere/": f"{tmp_path}/", "run_01M87A": run_id}
    shell = shell_of(server, tmp_path)
    with Page("docs/how-to/back-up-and-prove.md", **places) as page:
        shell.run(page.take("sh"))
        (copy,) = tmp_path.glob("athena-*.db")
        shell.run(page.take("sh"))
        verify = page.take("sh")
        assert '"equal"' in shell.run(verify)
        shell.run(page.take("sh"))
        assert "hello" in (tmp_path / "run.bundle").read_text()
        assert '"name":"explanations"' in shell.run(page.take("sh"))
        server.api.run("lost")
        server.stop()
        shell.run(page.take("sh").replace("athena-2026-11-27.db", copy.name))
    anchors = tmp_path / "athena.anchors"
    anchors.write_text(anchors.read_text().replace('"chain":"', '"chain":"0'))
    shell.run(verify, code=2)  # no chain value has 65 digits
    look = "athena runs list --transport local -o json"
    shell.run(look, code=2)  # an event that the backup lacks is lost
    assert shell.run(f"ATHENA_ACCEPT_FORK=true {look}").count('"runId"') == 1


def test_follow_the_feed(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    with Page("docs/how-to/follow-the-feed.md", **{URL: server.url, "/opt/athena/bin/": ""}) as page:
        (tmp_path / "follow.py").write_text(page.take("python"))
        command = page.take("sh")
    shell = shell_of(server, tmp_path)
    for count in (3, 2):  # it is killed in between
        ids = [server.api.run(f"call {number}")["runId"] for number in range(count)]
        following = shell.begin(command)
        assert following.stdout is not None
        assert [following.stdout.readline().split() for _ in ids] == [[run_id, "mock-model"] for run_id in ids]
        following.kill()
        following.communicate()
    spent = "import sqlite3; print(sqlite3.connect('spent.db').execute('SELECT * FROM spent').fetchall())"
    assert shell.run(f'python -c "{spent}"') == "[('mock-model', 5, 0)]\n"


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_install(tmp_path: Path) -> None:
    shell = Shell(tmp_path, state_dir=str(tmp_path / "state"))
    del shell.environment["PYTHONPATH"]
    with Page("docs/how-to/install.md", **{"/opt/athena": f"{tmp_path}/athena", "dist": f"{tmp_path}/dist"}) as page:
        build = page.take("sh").replace(" .\n", f" {tree.ROOT}\n").replace("python3 ", "/usr/bin/env python3 ")
        assert shell.run(build, seconds=INSTALL_SECONDS).splitlines()[-1].startswith("projectathena ")
        athena = f"{tmp_path}/athena/bin/athena"
        assert "Echo: user: hello" in shell.run(f"{athena} run --input hello --transport local -o json")
        assert shell.run(f"{tmp_path}/athena/bin/python -c 'import athena_client; print(athena_client.__file__)'")
        assert "psycopg" not in shell.run(f"{tmp_path}/athena/bin/pip list")
        shell.run(page.take("sh"), seconds=INSTALL_SECONDS)
        assert "psycopg-binary" in shell.run(f"{tmp_path}/athena/bin/pip list")
        assert '"ok":true' in shell.run(f"{athena} verify -o json")


@pytest.mark.heavy
@pytest.mark.skipif(OPENSSL is None, reason=MISSING)
def test_ci_token(tmp_path: Path) -> None:
    pair, port = make_pair(tmp_path / "etc"), free_port()
    server, job = Shell(tmp_path / "etc"), tmp_path / "job"
    job.mkdir()
    changes = {
        **{"https://athena.example:8787": f"https://localhost:{port}", "0.0.0.0": f"127.0.0.1 --port {port}"},  # noqa: S104
        **{"/etc/athena": str(tmp_path / "etc"), "=ca.pem": f"={pair.cert}", '"ca.pem"': f'"{pair.cert}"'},
    }
    with Page("docs/how-to/ci-token.md", **changes) as page:
        (server.directory / ".env").write_text(page.take("ini"))
        process = server.begin(page.take("sh").strip())
        try:
            until_answered(f"https://localhost:{port}/readyz", ssl.create_default_context(cafile=pair.cert))
            assert server.run(page.take("sh")) == ""
            ann = Shell(job)
            shutil.copy(server.directory / "ann.token", job)
            variables = page.take("sh")
            assert '"identity":"ann","role":"Admin"' in ann.run(variables)
            token = json.loads(ann.run(variables + page.take("sh")).splitlines()[-1])
            exports = [line for line in variables.splitlines()[:-1] if "TOKEN" not in line]
            ci = "\n".join([*exports, f"export ATHENA_TOKEN={token['token']}", ""])
            assert "Review the last commit." in ann.run(ci + (run := page.take("sh")))
            (job / "job.py").write_text(page.take("python"))
            assert "Review the last commit." in ann.run(ci + "python job.py")
            ann.run(ci + run.replace("--session nightly", "--session other"), code=4)
            shown = ann.run(variables + page.take("sh").replace("tok_01M8XK", token["tokenId"]))
            assert '"status":"revoked"' in shown
            ann.run(ci + run, code=4)
        finally:
            process.terminate()
            process.communicate()


def until_answered(url: str, trust: ssl.SSLContext) -> None:
    with httpx2.Client(verify=trust, trust_env=False) as http:
        for _ in soon():
            with suppress(httpx2.TransportError):
                if http.get(url).status_code == 200:
                    return


def test_upgrading(database: str) -> None:
    with Page("docs/how-to/upgrading.md") as page, psycopg.connect(database) as connection:
        look, end = page.take("sql").strip().splitlines()
        connection.execute("SET application_name = 'athena'")
        (row,) = connection.execute(look.encode()).fetchall()
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute(end.replace("PID", str(row[0])).encode())


@pytest.mark.heavy
def test_two_machines(cluster: postgres.Cluster, tmp_path: Path) -> None:
    name = f"two_{os.getpid()}"
    ports = {"8787": str(free_port()), "8788": str(free_port())}
    there = cluster.of(name).replace("//athena@", f"//{name}@")
    changes = {
        **{"ROLE athena": f"ROLE {name}", "DATABASE athena OWNER athena": f"DATABASE {name} OWNER {name}"},
        **{"postgresql://athena:choose-one@db.example.org/athena": f"'{there}'"},
        **{"a.example.org": "127.0.0.1", "b.example.org": "127.0.0.1", **ports},
    }
    machines = []
    for machine in ("a", "b"):
        (tmp_path / machine).mkdir()
        machines.append(Shell(tmp_path / machine))
    with Page("docs/how-to/two-machines.md", **changes) as page, ExitStack() as stack:
        for statement in page.take("sql").strip().splitlines():
            cluster.execute(statement)
        stack.callback(cluster.execute, f"DROP ROLE {name}")
        stack.callback(cluster.execute, f"DROP DATABASE {name} WITH (FORCE)")
        _, _, url = page.take("sh").partition("=")
        processes = []
        for shell in machines:
            shell.environment["ATHENA_DATABASE_URL"] = url.strip().strip("'")
            for line in page.take("sh").splitlines():
                processes.append(shell.begin(line))
                stack.callback(processes[-1].communicate)
                stack.callback(processes[-1].kill)
        for port in ports.values():
            for _ in soon():
                if is_ready(f"http://127.0.0.1:{port}/readyz"):
                    break
        check = page.take("sh")
        for _ in soon():  # until the worker has registered
            if machines[0].run(check.splitlines()[0]).count('"alive"') == 3:
                break
        assert "Who are you?" in machines[0].run(check)
        processes[0].kill()
        on_b = check.replace(ports["8787"], ports["8788"])
        assert machines[1].run(on_b).count("Who are you?") >= 2

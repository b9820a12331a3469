"""The deployment: its units and its proxies are run as they stand; what cannot be run here is read closely."""

import grp
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from packaging.requirements import Requirement

from athena_api.streams.sse import HEARTBEAT_SECONDS
from athena_cli.command_tree import COMMANDS
from athena_core.settings import load
from athena_core.system.sandbox import bubblewrap
from tests.support import caddy, haproxy, nginx
from tests.support.api import PATIENCE_SECONDS, Json, events_of, frames, soon
from tests.support.certificates import MISSING, OPENSSL, make_pair
from tests.support.gate import Gates
from tests.support.image import instructions
from tests.support.nginx import free_port
from tests.support.pages import Page, Shell
from tests.support.programs import needs
from tests.support.records import judge
from tests.support.signed_in import COOKIE, signed_in

ROOT = Path(__file__).resolve().parent.parent
DEPLOYMENT = ROOT / "examples" / "deployment"
APPARMOR = shutil.which("apparmor_parser", path="/usr/sbin:/sbin")
UNITS = ("athena@.service", "athena-worker@.service")
PROGRAM = "/opt/athena/bin/athena"
HOST = "athena.example.org"
OAUTH2_PROXY = "nginx with oauth2-proxy"
PASSWORDS = {"ada": "lovelace", "vera": "rubin"}
BCRYPT = """ada $2b$04$abcdefghijklmnopqrstuuhiTVLHQPvYzPykOsCOnc5I00eOfh33K
\t\tvera $2b$04$vwxyzabcdefghijklmnopuDDIKv2JSStzTS0rxKBX8JtvZAhX9qHe"""
INSTRUCTIONS = {
    *("FROM", "RUN", "USER", "WORKDIR", "COPY", "ENV", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


# The units


def unit(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (DEPLOYMENT / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@needs("systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(name: str, tmp_path: Path) -> None:
    file = tmp_path / name.replace("@", "@8787")
    file.write_text((DEPLOYMENT / name).read_text().replace(PROGRAM, f'"{sys.executable}"'))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", file], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_units_differ_in_what_they_run_and_in_nothing_else_that_matters() -> None:
    server, worker = (unit(name) for name in UNITS)
    own = {"Description", "Environment", "StateDirectory", "ExecStart", "ExecReload", "TimeoutStopSec"}
    assert {key: value for key, value in server.items() if key not in own} == {
        key: value for key, value in worker.items() if key not in own
    }


@needs("apparmor_parser")
def test_the_profile_for_bubblewrap_has_no_errors_and_lets_it_create_namespaces() -> None:
    file = DEPLOYMENT / "apparmor-bwrap"
    command = [str(APPARMOR), "--skip-kernel-load", "--skip-cache", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    assert {"  userns,", f"profile bwrap {bubblewrap() or '/usr/bin/bwrap'} flags=(unconfined) {{"} <= {
        *file.read_text().splitlines()
    }


# The commands of the page


def as_root(directory: Path) -> Shell:
    """A shell that may do what root may: programs that would change the machine only note that they were called."""
    for name in ("athena", "nginx", "haproxy", "default", "systemd/system"):
        (directory / "etc" / name).mkdir(parents=True, exist_ok=True)
    shell = Shell(directory)
    for name in ("useradd", "systemctl", "docker"):
        (directory / "programs" / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {directory}/called\n')
        (directory / "programs" / name).chmod(0o755)
    shell.environment["SECRET"] = "what-only-the-proxy-knows"
    return shell


def changes(directory: Path) -> dict[str, str]:
    """The directories, users and password of this machine in place of a page's."""
    (directory / "deployment").symlink_to(DEPLOYMENT)  # the tree may lie in a path with a blank
    group = grp.getgrgid(os.getgid()).gr_name
    user = pwd.getpwuid(os.getuid()).pw_name
    return {
        "-o athena -g athena": f"-o {user} -g {group}",
        "-g athena": f"-g {group}",
        "-g www-data": f"-g {group}",
        "/etc/": f"{directory}/etc/",
        "/srv/": f"{directory}/srv/",
        "examples/deployment/": f"{directory}/deployment/",
        "openssl passwd -6": "echo lovelace | openssl passwd -6 -stdin",
    }


@needs("openssl")
def test_the_commands_of_the_page_install_everything_and_leave_no_secret_readable(tmp_path: Path) -> None:
    wanted = {"athena.env": 0o640, "roles": 0o640, "proxy-secret": 0o640}
    shell = as_root(tmp_path)
    with Page("docs/how-to/deployment.md", **changes(tmp_path)) as page:
        script = page.take("sh")
        assert not [line for line in script.splitlines() if ">" in line], "a redirection lets others read what it makes"
        shell.run(f"umask 000\n{script}")
        shell.run(page.take("sh"))
    athena = tmp_path / "etc" / "athena"
    assert stat.S_IMODE(athena.stat().st_mode) == 0o750
    assert {name: stat.S_IMODE((athena / name).stat().st_mode) for name in wanted} == wanted
    assert re.fullmatch("[0-9a-f]{64}", (athena / "proxy-secret").read_text().strip())
    assert {path.name for path in (tmp_path / "etc" / "systemd" / "system").iterdir()} == set(UNITS)
    called = (tmp_path / "called").read_text()
    assert "systemctl enable --now athena@8787 athena@8788 athena-worker@1 athena-worker@2" in called
    worker = called.splitlines()[-1]
    assert worker.endswith("athena worker --concurrency 8"), worker


HOW_TO = {
    "nginx": "docs/how-to/nginx.md",
    OAUTH2_PROXY: "docs/how-to/oauth2-proxy.md",
    "haproxy": "docs/how-to/haproxy.md",
    "caddy": "docs/how-to/caddy.md",
}


@needs("openssl")
@pytest.mark.parametrize("proxy", HOW_TO)
def test_the_commands_of_a_proxy_leave_no_secret_readable(proxy: str, tmp_path: Path) -> None:
    shell = as_root(tmp_path)
    (tmp_path / "etc" / "athena" / "proxy-secret").write_text("shared")
    page = Page(HOW_TO[proxy], **changes(tmp_path))
    shell.run(f"umask 000\n{page.take('sh')}")
    made = [path for path in (tmp_path / "etc").rglob("*") if path.is_file() and path.name != "proxy-secret"]
    assert made
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (0o640 if path.name in {"athena.users", "roles"} else 0o600)
        assert "shared" in path.read_text() or path.name in {"athena.users", "roles"}


# Without a proxy


@pytest.mark.heavy
@pytest.mark.skipif(OPENSSL is None, reason=MISSING)
def test_a_server_without_a_proxy_is_served_and_its_certificate_is_renewed(tmp_path: Path) -> None:
    port, shell = free_port(), as_root(tmp_path)
    etc, athena = tmp_path / "etc" / "athena", f"{sys.executable} -m athena_cli"
    (tmp_path / "etc" / "letsencrypt" / "renewal-hooks" / "deploy").mkdir(parents=True)
    made = {name: make_pair(tmp_path / name) for name in ("first", "second")}
    for name, pair in made.items():
        pair.cert.rename(tmp_path / name / "fullchain.pem")
        pair.key.rename(tmp_path / name / "privkey.pem")
    (tmp_path / "programs" / "runuser").write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    (tmp_path / "programs" / "runuser").chmod(0o755)
    renamed = {"https://athena.example.org:8787": f"https://localhost:{port}", PROGRAM: athena}
    state = {"/var/lib/athena/server-8787": str(tmp_path / "state")}
    page = Page("docs/how-to/without-a-proxy.md", **renamed, **state, **changes(tmp_path))
    with page:
        shell.run("cp first/*.pem .\n" + page.take("sh"))
        shell.run(page.take("sh"))
        settings = (DEPLOYMENT / "athena.env").read_text().splitlines()
        kept = [line for line in settings if not re.match("ATHENA_(DATABASE|EXECUTOR|AUTH_PROXY|ALLOWED)|PGPASS", line)]
        text = page.changed("\n".join([*kept, ""])) + page.take("ini")
        (etc / "athena.env").write_text(text)
        (etc / "roles").write_text("ada:Admin\n")
        shell.run(page.take("sh"))
        drop_in = (tmp_path / "etc/systemd/system/athena@8787.service.d/tls.conf").read_text()
        command = drop_in.splitlines()[-1].removeprefix("ExecStart=").replace("%i", str(port)).replace(PROGRAM, athena)
        process = shell.begin(
            f"env {' '.join(line for line in text.splitlines() if line.startswith('ATHENA_'))}"
            f" ATHENA_STATE_DIR={tmp_path}/state {command}"
        )
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["tls"] is True
            shell.run(page.take("sh"))
            assert stat.S_IMODE((tmp_path / "ada.token").stat().st_mode) == 0o600
            trusted = f"export ATHENA_API_CA_FILE={tmp_path}/first/fullchain.pem\n"
            check = page.take("sh")
            assert '"identity":"ada","role":"Admin"' in shell.run(trusted + check)
            (tmp_path / "programs" / "systemctl").write_text(f"#!/bin/sh\nexec kill -HUP {process.pid}\n")
            hook = tmp_path / "etc" / "letsencrypt" / "renewal-hooks" / "deploy" / "athena"
            shell.run(f"RENEWED_LINEAGE={tmp_path}/second {hook}")
            renewed = trusted.replace("first", "second") + check
            for _ in soon():
                if '"role":"Admin"' in shell.run(f"({renewed}) || true"):
                    break
        finally:
            process.terminate()
            process.communicate()


# Everything together


class Machine:
    """The units, environment and site of a machine, under a directory and on free ports."""

    def __init__(self, directory: Path, database: str, proxy: str, **settings: str) -> None:
        self.directory = directory
        self.proxy = proxy
        self.people = {name: f"{name}@example.org" if proxy == OAUTH2_PROXY else name for name in PASSWORDS}
        self.ports = (free_port(), free_port())
        self.port = free_port()
        self.secret = "what-only-the-proxy-knows"
        self.processes: list[subprocess.Popen[bytes]] = []
        for name, text in {
            "roles": f"{self.people['ada']}:Admin\n",  # vera has the default role
            "proxy-secret": self.secret,
            "athena.users": "ada:{PLAIN}lovelace\nvera:{PLAIN}rubin\n",
            "athena.secret": f'proxy_set_header x-athena-proxy-secret "{self.secret}";\n',
        }.items():
            (directory / name).write_text(text)
        (directory / "workspace").mkdir()
        groups = {"ATHENA_AUTH_GROUP_ROLE_MAP": "admins:Admin,/athena/red team:Operator"}
        self.settings = {"ATHENA_DATABASE_URL": database} | groups | settings

    def environment(self) -> dict[str, str]:
        """Return the environment in the file, with the paths of this machine."""
        text = (DEPLOYMENT / "athena.env").read_text()
        assert text.count("/etc/athena/") == text.count(str(Path("/etc/athena"))) >= 3
        text = text.replace("/etc/athena/", f"{self.directory}/").replace("/srv/athena", f"{self.directory}/workspace")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
        return kept | dict(line.split("=", 1) for line in lines) | self.settings | {"PYTHONPATH": str(ROOT)}

    def start(self, name: str, instance: str, ready: str) -> "subprocess.Popen[bytes]":
        """Start a unit. Return once it prints that it is ready."""
        found = unit(name)
        own = {}
        for line in found["Environment"]:
            key, _, value = line.replace("%S", str(self.directory)).replace("%i", instance).partition("=")
            own[key] = value
        (words,) = found["ExecStart"]
        command = shlex.split(words.replace("%i", instance))
        assert command[0] == PROGRAM
        log = self.log(name, instance)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "athena_cli", *command[1:]],
                cwd=self.directory / "workspace",
                env=self.environment() | own,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.processes.append(process)
        for _ in soon():
            assert process.poll() is None, log.read_text()
            if ready in log.read_text():
                return process
        raise AssertionError

    def log(self, name: str, instance: str) -> Path:
        return self.directory / f"{name}-{instance}.log"

    def lines(self, port: int) -> list[Json]:
        text = self.log(UNITS[0], str(port)).read_text()
        return [json.loads(line) for line in text.splitlines() if '"identity"' in line]

    def sample(self, name: str, **changes: str) -> str:
        """Return a sample configuration with the ports and files of this machine."""
        text = (DEPLOYMENT / name).read_text()
        ports = {f"127.0.0.1:{8787 + number}": f"127.0.0.1:{port}" for number, port in enumerate(self.ports)}
        for old, new in {**ports, **changes}.items():
            assert old in text, old
            text = text.replace(old, new)
        return text

    def site(self, name: str, **changes: str) -> AbstractContextManager[str]:
        """A site of nginx."""
        listens = {"listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;", "listen [::]:443 ssl;": ""}
        files = {"/etc/ssl/athena/": f"{self.directory}/", "/etc/nginx/": f"{self.directory}/"}
        return nginx.nginx(self.directory, self.port, self.sample(name, **listens, **files, **changes))

    @contextmanager
    def front(self) -> Iterator[None]:
        """The proxy in front, with its sample configuration."""
        environment = {"ATHENA_PROXY_SECRET": self.secret}
        pair = self.directory / "athena.pem"
        pair.write_text((self.directory / "fullchain.pem").read_text() + (self.directory / "privkey.pem").read_text())
        with ExitStack() as stack:
            if self.proxy == "nginx":
                plain = {"listen 80;": f"listen 127.0.0.1:{free_port()};", "listen [::]:80;": ""}
                stack.enter_context(self.site("nginx.conf", **plain))
            elif self.proxy == OAUTH2_PROXY:
                asked = stack.enter_context(signed_in())
                stack.enter_context(self.site("nginx-oauth2-proxy.conf", **{"127.0.0.1:4180": asked}))
            elif self.proxy == "haproxy":
                people = "\n".join(f"    user {name} insecure-password {word}" for name, word in PASSWORDS.items())
                text = self.sample(
                    "haproxy.cfg",
                    **{"bind :80": f"bind 127.0.0.1:{free_port()}", "bind :443": f"bind 127.0.0.1:{self.port}"},
                    **{"/etc/haproxy/athena.pem": str(pair), "    user ada password $5$made.by.mkpasswd": people},
                )
                stack.enter_context(haproxy.haproxy(self.directory, self.port, text, environment))
            else:
                keys = f"tls {self.directory}/fullchain.pem {self.directory}/privkey.pem"
                text = self.sample(
                    "Caddyfile",
                    **{f"{HOST} {{": f"https://{HOST}:{self.port} {{\n\tbind 127.0.0.1\n\t{keys}"},
                    **{"ada $2a$14$made.by.caddy.hash-password": BCRYPT},
                )
                stack.enter_context(caddy.caddy(self.directory, self.port, HOST, text, environment))
            yield

    def certificate(self) -> ssl.SSLContext:
        """Make one, and trust it."""
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1"),
                *("-keyout", self.directory / "privkey.pem", "-out", self.directory / "fullchain.pem"),
            ],
            check=True,
            capture_output=True,
        )
        return ssl.create_default_context(cafile=str(self.directory / "fullchain.pem"))

    def stop(self) -> list[int]:
        """Stop all processes. Return their exit codes."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(PATIENCE_SECONDS) for process in self.processes]

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@contextmanager
def client(machine: Machine, trust: ssl.SSLContext, name: str) -> Iterator[httpx2.Client]:
    """A client that is signed in at the proxy: by a session of oauth2-proxy, or with a password."""
    session = machine.proxy == OAUTH2_PROXY
    with httpx2.Client(
        base_url=f"https://127.0.0.1:{machine.port}/api/v1",
        auth=None if session else (name, PASSWORDS[name]),
        headers={"host": HOST} | ({"cookie": f"{COOKIE}={machine.people[name]}"} if session else {}),
        verify=trust,
        timeout=PATIENCE_SECONDS,
    ) as found:
        yield found


def data(response: httpx2.Response) -> Any:
    assert response.status_code < 300, response.text
    return response.json()["data"]


def insisted(client: httpx2.Client, said: str) -> Any:
    """Return the result of a run; repeat it with the same key while the proxy has no answer."""
    for _ in soon():
        try:
            response = client.post("/runs", json={"input": said}, headers={"idempotency-key": said.replace(" ", "-")})
        except httpx2.RemoteProtocolError:  # HAProxy hangs up where the connection that it reused was lost
            continue
        if response.status_code not in {502, 503}:
            return data(response)
    raise AssertionError


def checked(machine: Machine, directory: Path) -> str:
    """Return what the check of the proxy's page prints."""
    here = f"-s --cacert {directory}/fullchain.pem --resolve {HOST}:{machine.port}:127.0.0.1"
    page = Page(
        HOW_TO[machine.proxy],
        **{"curl ": f"curl {here} ", "--user ada": "--user ada:lovelace"},
        **{f"https://{HOST}/": f"https://{HOST}:{machine.port}/"},
    )
    with page:
        page.take("sh")
        if machine.proxy == OAUTH2_PROXY:
            name, _, text = page.take("ini").strip().partition("=")
            assert load({name: text}, directory).auth_group_role_map == {
                "athena-admins": "Admin",
                "/teams/ops": "Operator",
            }
        return Shell(directory).run(page.take("sh"))


@pytest.mark.heavy
@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param("nginx", marks=pytest.mark.skipif(nginx.NGINX is None, reason=nginx.MISSING)),
        pytest.param(OAUTH2_PROXY, marks=pytest.mark.skipif(nginx.NGINX is None, reason=nginx.MISSING)),
        pytest.param("haproxy", marks=pytest.mark.skipif(haproxy.HAPROXY is None, reason=haproxy.MISSING)),
        pytest.param("caddy", marks=pytest.mark.skipif(caddy.CADDY is None, reason=caddy.MISSING)),
    ],
)
@needs("openssl")
def test_two_servers_and_a_worker_behind_the_site_are_one_plane(
    tmp_path: Path, database: str, gates: Gates, proxy: str
) -> None:
    tmp_path.chmod(0o711)
    settings = {f"ATHENA_{name.upper()}": text for name, text in gates.settings.items()}
    machine = Machine(tmp_path, database, proxy, **settings)
    with ExitStack() as stack:
        stack.callback(machine.kill)
        for port in machine.ports:
            machine.start(UNITS[0], str(port), '"serving"')
        machine.start(UNITS[1], "1", '"working"')
        trust = machine.certificate()
        stack.enter_context(machine.front())
        ada, vera = (stack.enter_context(client(machine, trust, name)) for name in ("ada", "vera"))

        # who is asking
        site = f"https://127.0.0.1:{machine.port}"
        assert httpx2.get(f"{site}/api/v1/runs", headers={"host": HOST}, verify=trust).status_code == 401
        if proxy == OAUTH2_PROXY:
            page = httpx2.get(f"{site}/", headers={"host": HOST}, verify=trust)
            assert page.status_code == 302
            assert page.headers["location"].endswith("/oauth2/start?rd=/")
        assert vera.get(f"{site}/").status_code == 200
        forged = {
            "x-athena-identity": machine.people["ada"],
            "x-athena-proxy-secret": machine.secret,
            "x-athena-scope-runs": "r",
            "x-forwarded-groups": "admins",
        }
        forged["x-auth-request-email"] = machine.people["ada"]
        caller = data(vera.get("/caller", headers=forged))
        assert caller["identity"] == machine.people["vera"]
        assert "scope" not in caller  # also not the forged one
        assert (caller["role"], caller.get("groups")) == ("Viewer", None)
        if proxy == OAUTH2_PROXY:
            session = quote("una@example.org|/athena/red team,role:other,Köln")
            with httpx2.Client(headers={"host": HOST, "cookie": f"{COOKIE}={session}"}, verify=trust) as una:
                caller = data(una.get(f"{site}/api/v1/caller", headers=forged))
                assert caller["identity"] == "una@example.org"
                assert (caller["role"], caller["groups"]) == ("Operator", ["/athena/red team"])
        assert vera.post("/directives", json={"input": "x"}, headers=forged).status_code == 403
        past = httpx2.get(f"http://127.0.0.1:{machine.ports[0]}/api/v1/caller", headers={"x-athena-identity": "ada"})
        assert (past.status_code, past.json()["error"]["code"]) == (401, "AUTH_PROXY_UNTRUSTED")

        # the check of the page
        seen = checked(machine, tmp_path)
        if proxy == OAUTH2_PROXY:
            assert seen.lower().startswith("location: https://")
            assert seen.endswith("401\n")
        else:
            assert json.loads(seen)["data"]["identity"] == "ada"

        # streams are not held back: each event and each word is read while the model waits with the next one
        gate = gates["door"]
        with vera.stream("GET", "/events/stream", params={"types": "run.started,run.completed"}) as response:
            events = events_of(frames(response))
            order = {"sessionId": "s", "input": "tell door one two"}
            run = data(ada.post("/runs", json=order, headers={"prefer": "respond-async"}))
            assert next(events)["runId"] == run["runId"]
            with vera.stream("GET", "/sessions/s/transcript/stream") as written:
                said = (frame.data["data"]["text"] for frame in frames(written) if frame.event == "transcript.delta")
                for word in ("one ", "two "):
                    assert next(said) == word
                    gate.release()
            assert next(events)["type"] == "run.completed"

        # both clients have left, and the server hears of it, not only when a heartbeat fails
        for _ in soon(HEARTBEAT_SECONDS / 2):
            lines = [line["path"] for port in machine.ports for line in machine.lines(port)]
            if sum(path.endswith("/stream") for path in lines) == 2:
                break

        # either server answers, and one is enough
        for _ in range(4):
            data(ada.get("/runs"))
        assert all(machine.lines(port) for port in machine.ports)
        assert {line["identity"] for port in machine.ports for line in machine.lines(port)} <= {
            *machine.people.values(),
            "una@example.org",
            None,
        }
        machine.processes[0].kill()
        runs = [insisted(ada, f"say {number}") for number in range(4)]
        assert [one["runId"] for one in data(ada.get("/runs"))["items"]] == [
            *(one["runId"] for one in reversed(runs)),
            run["runId"],
        ]
        assert machine.stop() == [-signal.SIGKILL, 0, 0]
    judge(tmp_path / "judge", database)


# The image


def test_the_dockerfile_holds_to_the_rules() -> None:
    found = instructions()
    assert {word for word, _ in found} == INSTRUCTIONS
    kinds = dict(found)
    assert re.fullmatch(r"python:\d\.\d+-slim-[a-z]+", kinds["FROM"]), "a base that has a version"
    assert [word for word, _ in found].index("USER") < [word for word, _ in found].index("ENTRYPOINT")
    assert kinds["USER"] not in {"root", "0"}
    for word in ("ENTRYPOINT", "CMD", "VOLUME"):
        assert isinstance(json.loads(kinds[word]), list), f"{word} is run without a shell"
    for word, rest in found:
        if word == "RUN":
            assert "&& rm --recursive" in rest, "no layer keeps what is only needed to build"
            assert "apt-get install" not in rest or "--no-install-recommends" in rest
            assert "pip install" not in rest or "--no-cache-dir" in rest
            subprocess.run(["sh", "-n", "-c", rest], check=True)
    words = [*json.loads(kinds["ENTRYPOINT"]), *json.loads(kinds["CMD"])]
    assert words[:3] == ["athena", "api", "serve"]
    assert "worker" in COMMANDS


def test_the_image_gets_the_locked_versions_and_all_that_the_package_is_made_of(tmp_path: Path) -> None:
    (install,) = (rest for word, rest in instructions() if word == "RUN" and "pip install" in rest)
    command = install.split("&&")[0].replace("/tmp/versions.txt", str(tmp_path / "versions.txt"))
    subprocess.run(command, shell=True, cwd=ROOT, check=True)
    lines = (tmp_path / "versions.txt").read_text().splitlines()
    locked = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert len(locked) > 50
    assert all(str(one.specifier).startswith("==") for one in locked)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    kept = set(re.findall(r"^!(\S+)$", (DEPLOYMENT / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    packages = {path.split("/")[1] for path in project["tool"]["hatch"]["build"]["include"]}
    assert kept == packages | {"LICENSE", "README.md", "constraints.txt", "pyproject.toml"}
    assert all((ROOT / name).exists() for name in kept)

"""The units under the real systemd: they start as the page says, and commands in the sandbox start under them.

A directive that stops the sandbox makes these tests fail if it is put into a unit. The remedy names each of them.
"""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from types import TracebackType
from typing import Any, Self

import httpx2
import pytest

from tests.support.api import Api, soon
from tests.support.booted import OUT, PREFIX, Booted, lack, url_there, with_database
from tests.support.model import Profile, acting, call
from tests.support.nginx import free_port
from tests.support.pages import Page
from tests.support.postgres import Cluster

START_SECONDS = 60.0
UNITS = ("athena@.service", "athena-worker@.service")
LOOKS = call("shell", command=["/bin/sh", "-c", "id; cat /etc/athena/roles; ls /var /etc; touch made; ls made"])
PROBE = """import json
import shlex
from athena_core.system.sandbox import probe

found = probe()
print(json.dumps([found.available, f"{found.reason}. {found.remedy}"]))
"""
REPOSITORY = """
cd /srv/athena
git init --quiet
echo ours > notes
git add notes
git -c user.name=a -c user.email=a@example.org commit --quiet --message first
"""
CHANGES = call("shell", command=["/bin/sh", "-c", "cat notes; echo theirs > notes"])
REFUSING = {
    "RestrictNamespaces=yes": "RestrictNamespaces=",
    **{f"RestrictNamespaces=~{kind}": "RestrictNamespaces=" for kind in ("user", "mnt", "pid", "net", "ipc", "uts")},
    "ProtectKernelTunables=yes": "ProtectKernelTunables=",
    "ProtectKernelLogs=yes": "ProtectKernelLogs=",
    "ProtectHostname=yes": "ProtectHostname=",
    "ProcSubset=pid": "ProcSubset=",
    "RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6": "AF_NETLINK to RestrictAddress",
    "SystemCallFilter=~@mount": "@mount",
    "SystemCallFilter=~sethostname": "sethostname in its SystemCallFilter=",
    "SystemCallFilter=~@process": "SystemCallFilter=",
    "SystemCallFilter=~@resources": "SystemCallFilter=",
    "SystemCallFilter=~unshare": "SystemCallFilter=",
    "SystemCallFilter=~@mount\nSystemCallErrorNumber=": "@mount",
    "SystemCallFilter=~@resources\nSystemCallErrorNumber=": "SystemCallFilter=",
    "SystemCallFilter=\nSystemCallFilter=@system-service": "@mount",
    "SystemCallFilter=\nSystemCallFilter=@system-service @mount": "sethostname",
}
"""Directives under which the sandbox does not start, and words of the remedy."""

REFUSING_NEW = {"RestrictSUIDSGID=yes": "RestrictSUIDSGID=", "DynamicUser=yes\nStateDirectory=": "DynamicUser="}
"""Directives that only stop versions of bubblewrap that call openat2."""

REFUSING_TOGETHER = (
    "RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n"
    "ProtectKernelTunables=yes\nProtectKernelLogs=yes"
)
ALLOWING = (
    *(
        "",
        "PrivateUsers=yes",
        "PrivateIPC=yes",
        "PrivateMounts=yes",
        "MemoryDenyWriteExecute=yes",
        "DevicePolicy=closed",
    ),
    "SystemCallFilter=\nSystemCallFilter=@system-service @mount sethostname",
)
"""Directives that operators may add."""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(lack() is not None, reason=str(lack())),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Booted]:
    with with_database(tmp_path_factory.mktemp("machine"), cluster.url) as found:
        found.install()
        yield found


@pytest.fixture(scope="module")
def page(machine: Booted) -> Page:
    """The page; its commands before the units start have been run, umask and all."""
    found = Page("docs/how-to/deployment.md", **{"systemctl enable": "true || systemctl enable"})
    machine.run(f"umask 000\n{found.take('sh')}")
    found.changes.clear()
    return found


def probed(machine: Booted, unit: str, *additions: str) -> dict[str, tuple[bool, str]]:
    """Return for each addition to a unit if the sandbox works under it, and the reason and the remedy otherwise."""
    (machine.out / "probe.py").write_text(PROBE)
    names = [unit.replace("@", f"@probe-{number}") for number in range(len(additions))]
    for name, addition in zip(names, additions, strict=True):
        directory = machine.path(f"/run/systemd/system/{name}.d")
        directory.mkdir()
        (directory / "probe.conf").write_text(
            f"[Service]\nType=oneshot\nRestart=no\nTimeoutStartSec=30\nStandardOutput=truncate:{OUT}/{name}\n"
            f"ExecStart=\nExecStart={PREFIX}/bin/python {OUT}/probe.py\n{addition}\n"
        )
    machine.run(f"systemctl daemon-reload\nsystemctl start {' '.join(names)} || true")
    found = {}
    for name, addition in zip(names, additions, strict=True):
        text = (machine.out / name).read_text() if (machine.out / name).exists() else ""
        assert text, (addition, machine.run(f"systemctl status {name}", code=None))
        found[addition] = tuple(json.loads(text))
        machine.run(f"systemctl reset-failed {name} || true\nrm -r /run/systemd/system/{name}.d")
    return found


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize("unit", UNITS)
def test_the_sandbox_works_under_a_unit_and_under_what_may_be_added(machine: Booted, unit: str) -> None:
    found = probed(machine, unit, *ALLOWING)
    assert {addition: works for addition, (works, _) in found.items()} == dict.fromkeys(ALLOWING, True), found


@pytest.mark.usefixtures("page")
def test_a_directive_that_stops_the_sandbox_is_named(machine: Booted) -> None:
    found = probed(machine, UNITS[0], *REFUSING)
    print("\n".join(f"{addition!r}: {text}" for addition, (_, text) in found.items()))
    assert not [addition for addition, (works, _) in found.items() if works]
    assert {one: text for one, (_, text) in found.items() if REFUSING[one] not in text} == {}


@pytest.mark.usefixtures("page")
def test_a_directive_that_stops_new_versions_of_bubblewrap_is_named(machine: Booted) -> None:
    found = probed(machine, UNITS[0], *REFUSING_NEW)
    assert {one: text for one, (works, text) in found.items() if not works and REFUSING_NEW[one] not in text} == {}


@pytest.mark.usefixtures("page")
def test_the_remedy_names_several_directives_at_once(machine: Booted) -> None:
    ((works, text),) = probed(machine, UNITS[0], REFUSING_TOGETHER).values()
    assert not works
    for word in ("AF_NETLINK", "ProtectKernelTunables=", "ProtectKernelLogs="):
        assert word in text


class Plane:
    """Servers and workers of the machine."""

    def __init__(self, machine: Booted, model: str, *names: str, without: tuple[str, ...], **settings: str) -> None:
        """Edit the file of settings, as the page says, and name the units by free ports."""
        self.machine = machine
        self.ports = [free_port() for name in names if name == "athena@"]
        ports = iter(self.ports)
        self.units = [f"{name}{next(ports)}" if name == "athena@" else name for name in names]
        file = machine.path("/etc/athena/athena.env")
        self._original = file.read_text()
        kept = [line for line in self._original.splitlines() if not line.startswith(without)]
        more = {"OPENAI_BASE_URL": model, "OPENAI_API_KEY": "key-of-the-test"} | settings
        file.write_text("\n".join((*kept, *(f"ATHENA_{name}={value}" for name, value in more.items()), "")))

    def __enter__(self) -> Self:
        self.machine.run(f"systemctl enable --now {' '.join(self.units)}")
        return self

    def stop(self) -> None:
        """Stop all units. Each must have run without a restart, end well and leave no process."""
        self.machine.run(f"systemctl stop {' '.join(self.units)}")
        states = self.machine.run(f"systemctl show --property=Result,NRestarts {' '.join(self.units)}")
        assert {*states.split()} == {"NRestarts=0", "Result=success"}
        assert self.machine.run("pgrep --uid athena", code=1) == ""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.machine.run(f"systemctl disable --now {' '.join(self.units)}", code=None)
        self.machine.path("/etc/athena/athena.env").write_text(self._original)

    def ready(self, port: int) -> Api:
        """Return a client of a server once it is ready."""
        secret = self.machine.path("/etc/athena/proxy-secret").read_text().strip()
        api = Api(f"http://127.0.0.1:{port}", {"x-athena-identity": "ada", "x-athena-proxy-secret": secret})
        for _ in soon(START_SECONDS):
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{api.url}/readyz").status_code == 200:
                    return api
        raise AssertionError(self.machine.console())


def create(api: Api, **fields: Any) -> str:
    """Create a profile whose commands need the sandbox."""
    return str(api.post("/harness-profiles", {**Profile().body, "sandbox": {"mode": "required"}, **fields})["id"])


@pytest.mark.usefixtures("page")
def test_the_page_starts_servers_and_workers_whose_commands_are_boxed(machine: Booted, cluster: Cluster) -> None:
    names = ("athena@", "athena@", "athena-worker@1", "athena-worker@2")
    with acting([LOOKS, "done"]) as model, cluster.database() as url, ExitStack() as stack:
        without = ("ATHENA_DATABASE", "PGPASS")
        started = Plane(machine, model.url, *names, without=without, DATABASE_URL=url_there(url))
        plane = stack.enter_context(started)
        api, other = (stack.enter_context(closing(plane.ready(port))) for port in plane.ports)
        run = api.run("look", harnessProfileId=create(api))["runId"]
        said = model.requests[-1]["messages"][-1]["content"]
        for words in ("uid=1000(athena)", "\nmade\n", "/etc/athena/roles: No such file or directory"):
            assert words in said
        phases = [event["sandbox"]["phase"] for event in api.events(runId=run, types="sandbox.lifecycle")]
        assert phases == ["ready", "cleaned"]
        assert other.get(f"/runs/{run}")["status"] == "completed"
        for place in (*(f"server-{port}" for port in plane.ports), "worker-1", "worker-2", "workspaces"):
            assert machine.run(f"stat -c '%U %a' /var/lib/athena/{place}") == "athena 700\n"
        assert machine.run("stat -c '%U' /srv/athena/made") == "athena\n"
        plane.stop()


@pytest.mark.usefixtures("page")
def test_a_single_server_gives_a_session_a_workspace_of_its_own(machine: Booted) -> None:
    without = ("ATHENA_DATABASE", "PGPASS", "ATHENA_EXECUTOR")
    machine.run(f"runuser -u athena -- sh -euc {shlex.quote(REPOSITORY)}")
    with acting([CHANGES, "done"]) as model, Plane(machine, model.url, "athena@", without=without) as plane:
        with closing(plane.ready(plane.ports[0])) as api:
            assert api.get("/capabilities")["sandbox"] == {"available": True}
            run = api.run("change", harnessProfileId=create(api, workspace="session"))["runId"]
            assert "[exit status 0]\nours\n" in model.requests[-1]["messages"][-1]["content"]
            assert [file["path"] for file in api.get(f"/runs/{run}/diff")["files"]] == ["notes"]
            assert (
                machine.run("cat /var/lib/athena/workspaces/*/files/notes; cat /srv/athena/notes") == "theirs\nours\n"
            )
        plane.stop()


@pytest.mark.usefixtures("page")
def test_a_server_that_is_killed_starts_again_and_leaves_no_command(machine: Booted) -> None:
    without = ("ATHENA_DATABASE", "PGPASS", "ATHENA_EXECUTOR")
    with acting([call("shell", command=["/bin/sh", "-c", "sleep 1234"]), "done"]) as model, ExitStack() as stack:
        plane = stack.enter_context(Plane(machine, model.url, "athena@", without=without))
        (unit,), (port,) = plane.units, plane.ports
        api = stack.enter_context(closing(plane.ready(port)))
        run = api.start("sleep", harnessProfileId=create(api))["runId"]
        until(lambda: machine.run("pgrep --full --exact 'sleep 1234' || true"))
        model.script = ["done"]
        machine.run(f"systemctl kill --kill-whom=main --signal=KILL {unit}")
        until(lambda: not machine.run("pgrep --full --exact 'sleep 1234' || true"))
        until(lambda: machine.run(f"systemctl show --property=NRestarts {unit}") == "NRestarts=1\n")
        again = stack.enter_context(closing(plane.ready(port)))
        until(lambda: again.get(f"/runs/{run}")["status"] in {"completed", "failed"})


def until(condition: Callable[[], Any]) -> None:
    for _ in soon(START_SECONDS):
        if condition():
            return

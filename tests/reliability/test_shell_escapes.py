"""Tests of the whole way of a boxed command: a server, a run, the tool shell and its sandbox, under attack."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from athena_core.system.sandbox import WORKSPACE, probe
from tests.reliability.escapes.attack import CORPUS
from tests.reliability.escapes.bomb import DESCENDANTS
from tests.reliability.escapes.corpus import FAMILIES
from tests.support.api import Api
from tests.support.boxed import SharedPipe, paths, python_of
from tests.support.closed_files import ATTACKS, Attack, check, lay_out
from tests.support.model import Model, Profile, Step, acting, call
from tests.support.users import USERS

ROOT = Path(__file__).parents[2]
ESCAPES = "tests/reliability/escapes"
CANARY = "canary-of-the-shell"
KILL_SECONDS = 1.0
TOLERANCE = 10
COMMANDS = (("python3",), ("sh", "-c"), ("true",))
CLOSED = {".env": "A=", "conf/a.key": "", "sub/.ssh/id": "", "secret.txt": ""}
MOVES = "mv var moved; mv conf moved-conf; mv secret.txt open.txt; rm -rf var conf; cat moved*/*; true"
READS = "cat moved/state/log.db var/state/log.db moved-conf/a.key conf/a.key open.txt secret.txt .env; true"
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces"),
]


class BoxingServer:
    """A server of a user, whose runs need a sandbox, and whose state lies in the workspace."""

    def __init__(self, user: str | None, model: Model) -> None:
        command = (*python_of(user, "athena_cli, athena_api.wiring"), "-m", "athena_cli", "api", "serve", "--port", "0")
        self._stack = ExitStack()
        self.model, self.user = model, user
        place = Path(self._stack.enter_context(TemporaryDirectory()))
        self.workspace, self.other = place / "work", place / "other"
        self.state = self.workspace / "var/state"
        for path in (self.workspace / ESCAPES, self.workspace / "var", self.other, place / "home/.ssh"):
            path.mkdir(parents=True)
        for file in (ROOT / ESCAPES).glob("*.py"):
            shutil.copy(file, self.workspace / ESCAPES)
        (self.other / "notes.txt").write_text(CANARY)
        (place / "home/.ssh/id").write_text(CANARY)
        for name, head in CLOSED.items():
            (self.workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (self.workspace / name).write_text(head + CANARY)
        (self.workspace / "link-to-log").symlink_to(self.state / "log.db")
        (self.workspace / "link-to-state").symlink_to(self.state)
        if user is not None:
            subprocess.run(("chown", "-R", user, place), check=True)
        settings = {
            "ATHENA_STATE_DIR": str(self.state),
            "ATHENA_WORKSPACE_ROOT": str(self.workspace),
            "ATHENA_WORKSPACE_CLOSED": "conf/*.key,secret.txt,secret.pem",
            "ATHENA_OPENAI_BASE_URL": model.url,
            "ATHENA_OPENAI_API_KEY": "key-of-the-shell-test",
            "HOME": str(place / "home"),
        }
        self.process = subprocess.Popen(command, cwd=place, env=paths() | settings, stdout=subprocess.PIPE)
        assert self.process.stdout
        self.port = int(json.loads(self.process.stdout.readline())["port"])
        self.api = self._stack.enter_context(closing(Api(f"http://127.0.0.1:{self.port}")))
        body = Profile(commands=COMMANDS).body | {"sandbox": {"mode": "required"}}
        self.profile = self.api.post("/harness-profiles", body)["id"]
        self.own = self.api.post("/harness-profiles", body | {"workspace": "session"})["id"]
        self.last_run = ""
        self._turns: dict[str | None, list[Step]] = {}

    def run(self, *commands: tuple[str, ...], session: str | None = None) -> list[str]:
        """Let a run execute commands, with ``session`` in the workspace of a session. Return their outputs."""
        self.model.forget()
        turns = self._turns.get(session, [])
        self.model.script = [*turns, *(call("shell", command=list(words)) for words in commands), "done"]
        if session:  # the conversation goes on
            self._turns[session] = list(self.model.script[:-1])
        place = {"harnessProfileId": self.own, "sessionId": session} if session else {"harnessProfileId": self.profile}
        self.last_run = self.api.post("/runs", {"input": f"look for {CANARY}", **place})["runId"]
        messages = self.model.requests[-1]["messages"]
        return [str(message["content"]) for message in messages if message["role"] == "tool"][-len(commands) :]

    def close(self) -> None:
        """End it and delete its files."""
        self.process.terminate()
        self.process.communicate()
        self._stack.close()


@pytest.fixture(scope="module", params=USERS)
def server(request: pytest.FixtureRequest) -> Iterator[BoxingServer]:
    assert probe().available, probe()
    with acting(["done"]) as model:
        try:
            found = BoxingServer(request.param, model)
        except LookupError as error:
            pytest.skip(str(error))
        with closing(found):
            yield found


def test_every_escape_of_a_run_is_denied(server: BoxingServer) -> None:
    places = {"workspace": WORKSPACE, "state": server.state, "other": server.other, "tmp": server.other}
    numbers = {"pid": server.process.pid, "neighbour": server.process.pid, "tcp": server.port, "tcp6": server.port}
    target: dict[str, Any] = {name: str(place) for name, place in places.items()} | numbers
    target |= {"boxed": True, "canary": CANARY, "udp": server.port, "abstract": CANARY, "key": 0, "address": 4_096}
    target |= {"home": str(server.other.parent / "home"), "socket": str(server.state / "socket")}
    (output,) = server.run(("python3", "-m", "tests.reliability.escapes.corpus", json.dumps(target)))
    results = {row["name"]: row for row in map(json.loads, output.splitlines()[1:])}
    assert {row.run.__module__ for row in CORPUS.values()} == {family.__name__ for family in FAMILIES}
    assert results.keys() == CORPUS.keys()
    wrong = [row for row in results.values() if row["outcome"] != "denied"]
    print(f"{len(results) - len(wrong)} of {len(CORPUS)} escapes denied in the tool shell")
    assert not wrong, json.dumps(wrong, indent=1)


def test_closed_files_stay_closed_when_their_directories_are_moved(server: BoxingServer) -> None:
    outputs = server.run(("sh", "-c", MOVES), ("sh", "-c", READS), ("sh", "-c", READS))
    assert CANARY not in "".join(outputs), outputs
    assert (server.state / "log.db").exists(), outputs
    assert (server.workspace / "conf/a.key").read_text() == CANARY
    assert (server.workspace / "secret.txt").read_text() == CANARY
    assert server.api.get("/capabilities")["supportsSandbox"] is True


@pytest.mark.parametrize("how", ATTACKS)
def test_closed_files_stay_closed_when_the_machine_replaces_them(server: BoxingServer, how: str) -> None:
    for name in ("conf", "open", "moved", ".env", "linked", "made"):
        subprocess.run(("rm", "-rf", server.workspace / name), check=True)
    lay_out(server.workspace)
    if server.user is not None:
        subprocess.run(("chown", "-R", "-h", server.user, server.workspace), check=True)
    with Attack(server.workspace, how) as attack:
        (said,) = server.run(("sh", "-c", attack.script))
    check(server.workspace, said)


def own_files(server: BoxingServer) -> Path:
    """Return the directory in which the last run worked."""
    (opened,) = server.api.events(runId=server.last_run, types="workspace.opened")
    return server.state / "workspaces" / str(opened["payload"]["workspaceId"]) / "files"


def test_no_run_reads_the_workspace_of_another_session(server: BoxingServer) -> None:
    (said,) = server.run(("sh", "-c", f"echo {CANARY} > mine.txt; cat mine.txt"), session="victim")
    victim = own_files(server)
    assert CANARY in said and (victim / "mine.txt").read_text() == f"{CANARY}\n"
    looks = (
        *(f"cat {victim}/mine.txt", f"ls -A {victim} {victim.parent} {victim.parents[1]}", f"ls -AR {server.state}"),
        *(
            "cat ../../*/files/mine.txt; ls -A ../.. ../../..",
            "find / -xdev -name mine.txt",
            f"ls -A {server.workspace}",
        ),
        *(f"ln -s {victim} peer; cat peer/mine.txt", f"ln {victim}/mine.txt mine; cat mine", f"rm -rf {victim}"),
        *(f"cat {server.workspace}/secret.txt {server.workspace}/.env", f"grep -rl mine {victim.parent}/git"),
        f"git init -q .; echo {victim.parent}/git/objects > .git/objects/info/alternates; git fsck; git rev-list --all",
        "for place in /proc/[0-9]*; do cat $place/root/proc/mounts; ls $place/cwd/; done",
        "ls -l /proc/self/fd /proc/1/fd; cat /proc/1/environ",
    )
    for session in ("attacker", None):
        outputs = server.run(*(("sh", "-c", f"{look}; true") for look in looks), session=session)
        assert len(outputs) == len(looks)
        for look, output in zip(looks, outputs, strict=True):
            assert CANARY not in output, (look, output)
    assert (victim / "mine.txt").read_text() == f"{CANARY}\n"


HOOKS = ("pre-commit", "post-checkout", "post-index-change", "post-commit", "reference-transaction", "pre-applypatch")
PLANTS = """
git init -q .; mkdir -p .git/hooks sub; mark='touch {marker}'
for hook in {hooks}; do printf '#!/bin/sh\n%s\n' "$mark" > .git/hooks/$hook; chmod 755 .git/hooks/$hook; done
cat > .git/config <<END
[core]
\tfsmonitor = "$mark; true"
\tsshCommand = "$mark"
[filter "x"]
\tclean = "$mark; cat"
\tsmudge = "$mark; cat"
\trequired = true
[diff "x"]
\ttextconv = "$mark; cat"
\tcommand = "$mark; true"
[merge "x"]
\tdriver = "$mark; true"
END
echo '* filter=x diff=x merge=x' | tee .gitattributes .git/info/attributes
cp -r .git sub/.git; printf 'gitdir: .git\n' > sub/link; echo changed > made.txt
"""


def test_git_of_the_server_runs_nothing_that_is_planted_in_an_own_workspace(server: BoxingServer) -> None:
    marker = server.other / "marker"
    plants = PLANTS.format(marker=marker, hooks=" ".join(HOOKS))
    server.run(("sh", "-c", plants), session="planter")
    planted, files = server.last_run, own_files(server)
    (said,) = server.run(("sh", "-c", "echo again >> made.txt; rm -rf sub; cat made.txt"), session="planter")
    assert "changed\nagain\n" in said
    for run_id in (planted, server.last_run):
        assert "made.txt" in server.api.get(f"/runs/{run_id}/diff")["diff"]
    server.api.post(f"/runs/{planted}/apply", {"dryRun": True})
    assert not marker.exists()
    subprocess.run(("git", "-c", "safe.directory=*", "-C", files, "status"), check=True, stdout=subprocess.DEVNULL)
    assert marker.exists(), "what was planted works in a git that reads it"
    marker.unlink()


def test_nothing_is_left_of_a_server_that_is_killed(server: BoxingServer) -> None:
    server.run(("true",), session="killed")
    with closing(SharedPipe(own_files(server) / "witness")) as pipe:
        server.model.forget()
        words = ("python3", "-m", "tests.reliability.escapes.bomb", "wait_with_descendants", pipe.path.name)
        server.model.script = [call("shell", command=["true"]), call("shell", command=list(words)), "done"]
        body = {"input": "stay", "harnessProfileId": server.own, "sessionId": "killed"}
        server.api.post("/runs", body, respond_async=True)
        assert pipe.bytes_until(DESCENDANTS + 1, 30.0) == DESCENDANTS + 1
        server.process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        assert pipe.bytes_until(None, TOLERANCE * KILL_SECONDS) == 0
        print(f"all {DESCENDANTS + 1} processes of the box ended {time.monotonic() - began:.3f} s after the kill")

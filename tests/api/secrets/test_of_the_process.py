"""Secrets of a server and a worker that their commands look for: in ``/proc``, in arguments, in what they inherit."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import pytest

from tests.support.api import Api
from tests.support.model import Model, Profile, acting, call
from tests.support.users import USERS

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "ATHENA_OPENAI_API_KEY": "canary-of-the-process-1",
    "ATHENA_ANTHROPIC_API_KEY": "canary-of-the-process-2",
    "ATHENA_AUTH_PROXY_SECRET": "canary-of-the-process-3",
    "ATHENA_HTTP_PROVIDER_URL": "http://someone:canary-of-the-process-4@127.0.0.1:9/",
    "ANTHROPIC_API_KEY": "canary-of-the-process-5",
    "ATHENA_AUTH_API_TOKEN": "canary-of-the-process-6",
    "KEY_OF_A_VAULT": "canary-of-the-process-7",
}
CREDENTIALS = """
[credentials.vault]
header = "Authorization: Bearer {secret}"
hosts = ["vault.example.org"]
secret = { env = "KEY_OF_A_VAULT" }
"""
DOOR = {"x-athena-identity": "ada", "x-athena-proxy-secret": SETTINGS["ATHENA_AUTH_PROXY_SECRET"]}
SPY = """
import os
needle = b"canary" + b"-of"
print("own", needle in ascii(dict(os.environ)).encode())
for pid in open("pids").read().split():
    place = f"/proc/{pid}"
    with open(f"{place}/cmdline", "rb") as file:
        words = file.read()
    print("program", needle in words or b"athena_cli" not in words)
    for name in ("environ", "auxv"):
        try:
            with open(f"{place}/{name}", "rb") as file:
                print(name, needle in file.read())
        except OSError:
            print(name, "refused")
    try:
        with open(f"{place}/mem", "rb", buffering=0) as memory, open(f"{place}/maps") as maps:
            for line in maps:
                start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
                if " rw" in line and end - start < 1 << 26:
                    memory.seek(start)
                    print("mem", needle in memory.read(end - start))
    except OSError:
        print("mem refused")
    try:
        print("fd", os.listdir(f"{place}/fd"), open(f"{place}/fd/0"))
    except OSError:
        print("fd refused")
"""
"""A command of an agent. It reports only which places hold a canary, because the mask would hide the canary."""


def python_of(name: str | None) -> tuple[str, ...]:
    """Return the words that start Python as a user. Skip the test if there is none that the user may execute."""
    if name is None:
        return (sys.executable,)
    user = pwd.getpwnam(name)
    words = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        again = (*words, "sh", "-c", f"exec {python} -c 'import asyncio'")
        if subprocess.run(again, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return (*words, python)
    pytest.skip(f"{name} may execute no Python {sys.version_info.minor}")


@contextmanager
def directory_of(name: str | None) -> Iterator[Path]:
    """Yield a directory that belongs to a user, on a path that the user may enter."""
    with TemporaryDirectory() as path:
        if name is not None:
            shutil.chown(path, name)
        yield Path(path)


@contextmanager
def program(
    place: Path, user: str | None, words: tuple[str, ...], settings: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run ``athena`` as an operator would. Yield the process and its output."""
    packages = Path(pytest.__file__).parents[1]
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{packages}", "HOME": str(place)}
    command = (*python_of(user), "-m", "athena_cli", *words)
    with subprocess.Popen(command, cwd=place, env=paths | settings, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield process, process.stdout
        finally:
            process.terminate()
            process.communicate()
    assert process.returncode == 0


def spied(api: Api, model: Model) -> str:
    """Let a run execute the spy. Return its output as the model received it."""
    body = Profile(commands=(("python3",),)).body
    profile = api.post("/harness-profiles", body)["id"]
    api.post("/runs", {"input": "look", "sessionId": "s", "harnessProfileId": profile})
    return str(model.requests[-1]["messages"][-1]["content"])


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("executor", ["server", "worker"])
def test_a_command_of_a_run_finds_no_secret_of_the_server(user: str | None, executor: str) -> None:
    with acting((call("shell", command=["python3", "spy.py"]), "done")) as model, directory_of(user) as place:
        (place / "spy.py").write_text(SPY)
        file = place / "credentials.toml"
        file.touch(mode=0o600)
        file.write_text(CREDENTIALS)
        shutil.chown(file, user or os.getuid())
        settings = SETTINGS | {
            "ATHENA_CREDENTIALS_FILE": str(file),
            "ATHENA_OPENAI_BASE_URL": model.url,
            "ATHENA_AUTH_ENABLED": "true",
            "ATHENA_AUTH_IDENTITY_ROLE_MAP": "ada:Admin",
        }
        inline = {"ATHENA_EXECUTOR": "inline" if executor == "server" else "off"}
        with program(place, user, ("api", "serve", "--port", "0"), settings | inline) as (server, said):
            port = json.loads(said.readline())["port"]
            seen = Path(f"/proc/{server.pid}/environ").read_bytes() if os.getuid() == 0 else b""
            with closing(Api(f"http://127.0.0.1:{port}", dict(DOOR))) as api:
                (place / "pids").write_text(str(server.pid))
                if executor == "server":
                    found = spied(api, model)
                else:
                    with program(place, user, ("worker",), settings) as (worker, working):
                        working.readline()
                        (place / "pids").write_text(f"{server.pid} {worker.pid}")
                        found = spied(api, model)
                assert "process_open_fds " in api.http.get(f"http://127.0.0.1:{port}/metrics").text
    assert not seen.strip(b"\0")
    lines = found.splitlines()
    programs = 1 if executor == "server" else 2
    assert lines.count("program False") == lines.count("mem refused") == lines.count("fd refused") == programs, found
    assert "own False" in lines
    assert "True" not in found

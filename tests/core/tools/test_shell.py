"""Tests of the tool shell: real commands, only allowed ones, none of whose processes outlives a call."""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from athena_core.definitions.profile import ShellPolicy
from athena_core.mask import Mask
from athena_core.system.process import environment
from athena_core.tools.shell import COMMANDS_SHOWN, OUTPUT_BYTES, ShellOutput
from athena_core.tools.tool import ToolContext, ToolResult
from tests.core.tools.bench import CANARY, Workbench
from tests.support.witness import Knock, Witness

SH = ShellPolicy(commands=(("/bin/sh", "-c"),))
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")


def quick(timeout_ms: int) -> ShellPolicy:
    return ShellPolicy(commands=SH.commands, timeout_ms=timeout_ms)


async def run(workbench: Workbench, script: str, *arguments: str, policy: ShellPolicy = SH) -> ToolResult:
    command = ["/bin/sh", "-c", script, *arguments]
    return await workbench.call(workbench.bench(shell=policy), "shell", command=command, evidence="run")


async def test_a_command_runs_in_the_workspace_and_returns_its_exit_status_and_output(
    workbench: Workbench,
) -> None:
    result = await run(workbench, "pwd; echo oh no >&2; exit 3")
    assert result.content == f"[exit status 3]\n{workbench.workspace.resolve()}\noh no\n"
    assert (result.is_error, result.changed, result.truncated) == (True, True, False)
    assert result.shown is not None
    assert (result.shown.exit_code, result.shown.workspace, result.shown.content) == (3, True, result.content)
    good = await run(workbench, "true")
    assert (good.content, good.is_error, good.shown and good.shown.exit_code) == ("[exit status 0]\n", False, 0)
    killed = await run(workbench, "kill -TERM $$")
    assert killed.content == "[killed by signal 15]\n"
    assert killed.shown is not None
    assert killed.shown.exit_code == -15


@pytest.mark.parametrize(
    "command",
    [
        ["git"],
        ["git", "statusx"],
        ["git", "status --short"],
        ["git status"],
        ["GIT", "status"],
        ["/usr/bin/git", "status"],
        ["env", "git", "status"],
        ["git", "-C", "..", "status"],
        ["", "git", "status"],
        ["git", "", "status"],
        ["git", "status\0"],
    ],
)
async def test_a_command_is_compared_word_by_word_from_its_beginning(workbench: Workbench, command: list[str]) -> None:
    bench = workbench.bench(shell=ShellPolicy(commands=(("git", "status"), ("true",))))
    told = await workbench.refusal(bench, "shell", command=command)
    assert "git status; true" in told
    assert "toolPolicies.shell.commands" in told


async def test_further_words_are_the_models(workbench: Workbench) -> None:
    bench = workbench.bench(shell=ShellPolicy(commands=(("echo", "-n"),)))
    result = await workbench.call(bench, "shell", command=["echo", "-n", "$HOME", "*", ";", "`id`", "a  b"])
    assert result.content == "[exit status 0]\n$HOME * ; `id` a  b"


async def test_without_a_policy_nothing_is_started(workbench: Workbench) -> None:
    assert "allows no commands" in await workbench.refusal(workbench.bench(), "shell", command=["true"])


async def test_a_refusal_names_some_of_many_commands(workbench: Workbench) -> None:
    many = ShellPolicy(commands=tuple((f"command{number}",) for number in range(200)))
    told = await workbench.refusal(workbench.bench(shell=many), "shell", command=["x" * 100_000])
    assert f"and {200 - COMMANDS_SHOWN} more" in told
    assert len(told) < 1_000


async def test_a_command_sees_nothing_of_our_environment_and_no_input(workbench: Workbench) -> None:
    bench = workbench.bench(shell=ShellPolicy(commands=(("/usr/bin/env",), ("cat",))))
    seen = (await workbench.call(bench, "shell", command=["/usr/bin/env"])).content.splitlines()[1:]
    assert dict(line.split("=", 1) for line in seen) == environment()
    assert (await workbench.call(bench, "shell", command=["cat"])).content == "[exit status 0]\n"


async def test_a_command_inherits_no_file_of_ours(workbench: Workbench) -> None:
    result = await run(workbench, "for fd in /dev/fd/*; do case $fd in */[012]) ;; *) readlink $fd;; esac; done")
    assert str(workbench.workspace) not in result.content.replace(f"{workbench.workspace}/", "")
    assert ".db" not in result.content


async def test_the_profile_sets_the_directory_and_the_call_one_below_it(workbench: Workbench) -> None:
    (workbench.workspace / "sub/deep").mkdir(parents=True)
    policy = ShellPolicy(commands=(("pwd",),), directory="sub")
    bench, root = workbench.bench(shell=policy), workbench.workspace.resolve()
    assert (await workbench.call(bench, "shell", command=["pwd"])).content == f"[exit status 0]\n{root}/sub\n"
    deep = await workbench.call(bench, "shell", command=["pwd"], directory="deep")
    assert deep.content == f"[exit status 0]\n{root}/sub/deep\n"
    missing = await workbench.call(bench, "shell", command=["pwd"], directory="no")
    assert (missing.is_error, missing.changed, missing.content) == (True, False, "sub/no: No such file or directory")


@pytest.mark.parametrize("directory", ["..", "/", "link", "link/x", ".athena", "state", "sub/../.."])
async def test_no_directory_leads_out(workbench: Workbench, directory: str) -> None:
    (workbench.workspace / "link").symlink_to(workbench.outside)
    by_call = workbench.bench(shell=ShellPolicy(commands=(("cat",),)))
    assert await workbench.refusal(by_call, "shell", command=["cat", "secret.md"], directory=directory)
    by_profile = workbench.bench(shell=ShellPolicy(commands=(("cat",),), directory=directory))
    assert await workbench.refusal(by_profile, "shell", command=["cat", "secret.md"])


@pytest.mark.parametrize("command", ["/no/such/command", "no-such-command", "/etc", "nul\0"])
async def test_a_command_that_cannot_start_is_an_error(workbench: Workbench, command: str) -> None:
    bench = workbench.bench(shell=ShellPolicy(commands=((command,),)))
    result = await workbench.call(bench, "shell", command=[command])
    assert result.content.startswith("The command could not be started: ")
    assert (result.is_error, result.changed, result.shown) == (True, False, None)


async def test_long_output_keeps_its_beginning_and_end(workbench: Workbench) -> None:
    result = await run(workbench, "echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo last")
    assert result.truncated
    assert result.content.startswith("[exit status 0]\nfirst\nxxx")
    assert result.content.endswith("xxxlast\n")
    assert f"[{5_000_011 - OUTPUT_BYTES} bytes left out]" in result.content
    assert len(result.content) < OUTPUT_BYTES + 100
    tiny = await run(workbench, "printf abcdefghij", policy=ShellPolicy(commands=SH.commands, output_bytes_max=4))
    assert tiny.content == "[exit status 0]\nab\n[6 bytes left out]\nij"


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 11])
@pytest.mark.parametrize("pieces", [["0123456789"], ["01", "2", "", "3456", "789"], list("0123456789")])
def test_output_is_kept_alike_however_it_arrives(limit: int, pieces: list[str]) -> None:
    output = ShellOutput(limit)
    for piece in pieces:
        output.add(piece.encode())
    whole = "0123456789"
    head, tail = whole[: limit // 2], whole[len(whole) - (limit - limit // 2) :]
    left_out = max(10 - limit, 0)
    assert output.left_out == left_out
    assert output.text(Mask()) == (f"{head}\n[{left_out} bytes left out]\n{tail}" if left_out else whole)


async def test_bytes_that_are_no_text_are_replaced(workbench: Workbench) -> None:
    assert (await run(workbench, r"printf 'a\377\000\303'")).content == "[exit status 0]\na\ufffd\ufffd\ufffd"


async def test_a_command_that_takes_too_long_is_stopped_with_all_that_it_started(
    workbench: Workbench, tmp_path: Path
) -> None:
    witness = Witness(tmp_path / "witness")
    script = 'exec 3>"$0"; trap "" TERM INT HUP; echo begun; sleep 1000 & sleep 1000'
    result = await run(workbench, script, witness.path, policy=quick(500))
    assert await witness.all_gone()
    assert "stopped after 500 ms" in result.content
    assert "toolPolicies.shell.timeoutMs" in result.content
    assert result.content.endswith("begun\n")
    assert (result.is_error, result.changed) == (True, True)
    assert result.shown is not None
    assert result.shown.exit_code == -9


async def test_a_command_that_never_stops_printing_is_stopped_at_the_time_limit(workbench: Workbench) -> None:
    result = await run(workbench, "yes", policy=quick(300))
    assert (result.is_error, result.truncated) == (True, True)
    assert len(result.content) < OUTPUT_BYTES + 200


FORGETFUL = f"""{shlex.quote(sys.executable)} -c '
import ctypes, os
for step in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
variables = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
while address := variables[0]:
    ctypes.memset(address, 0, len(ctypes.string_at(address)))
    variables = ctypes.cast(ctypes.addressof(variables.contents) + 8, type(variables))
os.execve("/bin/sh", ["sh", "-c", "sleep 1000"], {{}}) if os.fork() else os.read(os.pipe()[0], 1)
'"""
"""A program that leaves its session twice, overwrites its environment, and starts another one without any."""

ESCAPES = {
    "with an environment of its own": "env -i setsid sh -c 'sleep 1000 & sleep 1000 &';",
    "with an environment that is overwritten": f"{FORGETFUL};",
    "in the background": "sleep 1000 &",
    "in a session of its own": "setsid sleep 1000 &",
    "forked twice": "(setsid sh -c 'sleep 1000 & sleep 1000 &' &);",
    "deaf": "(trap '' HUP TERM INT; setsid sh -c 'trap \"\" TERM; sleep 1000' &);",
}


@LINUX
@pytest.mark.parametrize("escape", ESCAPES)
async def test_processes_left_by_a_command_are_killed_and_delay_nothing(
    workbench: Workbench, tmp_path: Path, escape: str
) -> None:
    witness = Witness(tmp_path / "witness")
    result = await run(workbench, f'exec 3>"$0"; {ESCAPES[escape]} echo done', witness.path)
    assert result.content == "[exit status 0]\ndone\n"
    assert await witness.all_gone()


@LINUX
@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_cancelling_kills_the_command_and_all_that_it_started(
    workbench: Workbench, tmp_path: Path, escape: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    witness = Witness(tmp_path / "witness")
    running = Knock(tmp_path / "running")

    async def cancel() -> None:
        script = f'exec 3>"$0"; {ESCAPES[escape]} echo > "$1"; sleep 1000'
        call = asyncio.create_task(run(workbench, script, witness.path, running.path))
        await running.heard()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await witness.all_gone()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(cancel())


async def test_one_call_ends_nothing_of_another(workbench: Workbench, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    running = Knock(tmp_path / "running")
    script = 'setsid cat "$0" & echo > "$1"; wait'
    first = asyncio.create_task(run(workbench, script, str(tmp_path / "go"), running.path))
    await running.heard()
    await run(workbench, "true")
    await asyncio.to_thread((tmp_path / "go").write_text, "still here")
    assert (await first).content == "[exit status 0]\nstill here"


async def test_a_directory_that_is_exchanged_for_a_link_before_the_start_is_not_entered(workbench: Workbench) -> None:
    """The directory is opened first and the opened one is entered, so a name exchanged meanwhile does not matter."""
    (workbench.workspace / "sub").mkdir()
    (workbench.workspace / "sub/secret.md").write_text("harmless")
    bench: ToolContext = workbench.bench(shell=ShellPolicy(commands=(("cat",),)))
    for _ in range(20):
        call = asyncio.create_task(workbench.call(bench, "shell", command=["cat", "secret.md"], directory="sub"))
        await asyncio.sleep(0)  # it has opened the place, and waits for the start
        (workbench.workspace / "sub").rename(workbench.workspace / "aside")
        (workbench.workspace / "sub").symlink_to(workbench.outside)
        assert CANARY not in (await call).content
        (workbench.workspace / "sub").unlink()
        (workbench.workspace / "aside").rename(workbench.workspace / "sub")


def test_a_command_is_never_repeated(workbench: Workbench) -> None:
    tool, arguments = workbench.tools.read("shell", '{"command": ["true"]}', ("shell",))
    assert not tool.repeatable(arguments)

"""Tests of child processes: none of them outlives its command, whatever ends it, its supervisor or its parent."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uvloop

from athena_core.mask import HELD_CHARS_MAX
from athena_core.outside_text import LAST_WORDS_CHARS_MAX
from athena_core.system import supervisor
from athena_core.system.process import MAX_COMPLAINT_BYTES, CannotStart, Child, LineTooLong, environment
from tests.support.api import PATIENCE_SECONDS
from tests.support.witness import Knock, Witness

ROOT = Path(__file__).parents[3]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
HIDDEN = "env -i setsid sh -c 'sleep 1000 & sleep 1000 &'"
"""Starts two processes that no environment, session, group or parent connects with the command."""

PROGRAM = """
import asyncio, subprocess, sys
import uvloop
from athena_core.system import supervisor
from athena_core.system.process import LineTooLong
from athena_core.system.process import Child, environment

async def run():
    child = await Child.start(("/bin/sh", "-c", sys.argv[1], *sys.argv[2:]), environment(), fed=False)
    print("started", flush=True)
    await child.exited.wait()
    await child.end()
    print(child.ending(), before.poll(), flush=True)
    await asyncio.Event().wait()

before = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
supervisor.protect()
uvloop.run(run())
"""
"""A program like ours: it runs one command, reports its end and the end of an earlier child, and stays."""


class Program:
    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            (sys.executable, "-c", PROGRAM, *command), cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0
        )

    def __enter__(self) -> subprocess.Popen[str]:
        return self.process

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, 9)
        self.process.communicate()


@LINUX
@pytest.mark.parametrize("turns", range(8))
@LOOPS
def test_a_command_that_is_cancelled_while_it_starts_is_gone(
    turns: int, new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    witness, before = Witness(tmp_path / "witness"), supervisor.children()

    async def cancel() -> None:
        script = 'exec 3>"$0"; sleep 1000 & sleep 1000'
        start = asyncio.create_task(Child.start(("/bin/sh", "-c", script, witness.path), environment()))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not start.cancel():  # it had already started
            await (await start).end()
        with suppress(asyncio.CancelledError):
            await start
        assert await witness.all_gone()
        assert supervisor.children() == before

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(cancel())


@pytest.mark.parametrize(
    ("command", "reason"),
    [("/no/such/command", "No such file or directory"), ("no-such-command", "No such file"), ("/etc", "denied")],
)
@LOOPS
def test_a_command_that_cannot_start_says_why(
    command: str, reason: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(CannotStart, match=reason):
        runner.run(Child.start((command,), {}))


@LINUX
@LOOPS
def test_a_command_that_stops_its_supervisor_is_ended(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    witness, running, go_on = Witness(tmp_path / "witness"), Knock(tmp_path / "running"), tmp_path / "go_on"
    os.mkfifo(go_on)

    async def end() -> None:
        script = f'exec 3>"$0"; {HIDDEN}; read line < "$2"; kill -STOP $PPID; echo > "$1"; sleep 1000'
        command = ("/bin/sh", "-c", script, witness.path, running.path, str(go_on))
        child = await Child.start(command, environment(), fed=False)
        await asyncio.to_thread(go_on.write_text, "now\n")  # only now has the supervisor reported the start
        await running.heard()
        await child.end()
        assert await witness.all_gone()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(end())


@LINUX
async def test_a_command_that_kills_its_supervisor_leaves_nothing_to_the_program_either(tmp_path: Path) -> None:
    witness, running, go_on = Witness(tmp_path / "witness"), Knock(tmp_path / "running"), tmp_path / "go_on"
    os.mkfifo(go_on)
    script = f'exec 3>"$0"; {HIDDEN}; echo > "$1"; read line < "$2"; kill -KILL $PPID; sleep 1000'
    with Program(script, witness.path, running.path, str(go_on)) as program:
        await running.heard()
        assert program.stdout
        assert await asyncio.to_thread(program.stdout.readline) == "started\n"
        await asyncio.to_thread(go_on.write_text, "now\n")
        assert await witness.all_gone()
        ending = await asyncio.to_thread(program.stdout.readline)
        assert ending == "killed by signal 9 None\n"  # None: what the program had before, it keeps


def test_commands_are_run_without_a_package_that_is_compiled_for_one_version_of_python() -> None:
    """Tests of escapes start them as another user, who may execute the Python of the system only."""
    program = "import sys; sys.modules['msgspec'] = None; import athena_core.system.process"
    subprocess.run((sys.executable, "-c", program), cwd=ROOT, check=True)


def test_as_much_error_output_is_kept_as_the_mask_looks_at() -> None:
    assert 4 * LAST_WORDS_CHARS_MAX + HELD_CHARS_MAX <= MAX_COMPLAINT_BYTES


@LINUX
async def test_nothing_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    witness, running = Witness(tmp_path / "witness"), Knock(tmp_path / "running")
    with Program(f'exec 3>"$0"; {HIDDEN}; echo > "$1"; sleep 1000', witness.path, running.path) as program:
        await running.heard()
        program.kill()
        assert await witness.all_gone()


@LINUX
def test_children_are_found_without_the_lists_of_the_kernel() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            assert process.pid in supervisor.children()
            assert sorted(supervisor.children()) == sorted(supervisor._children_by_parent())
        finally:
            process.kill()


# A command's access to its server


UNPRIVILEGED = () if os.getuid() else ("setpriv", "--bounding-set", "-all")
"""Root may read everything, unless its capabilities are gone."""


@contextmanager
def athena(place: Path, *command: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        (*UNPRIVILEGED, sys.executable, "-m", "athena_cli", *command),
        cwd=place,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(place), **variables},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()


@LINUX
def test_a_command_reads_neither_environment_nor_memory_of_the_program_that_started_it(tmp_path: Path) -> None:
    spy = tmp_path / "spy"
    spy.write_text(
        "#!/bin/sh\n"
        "server=$PPID\n"
        "until grep -q athena_cli /proc/$server/cmdline; do server=$(cut -d' ' -f4 /proc/$server/stat); done\n"
        "for file in environ mem maps cmdline; do\n"
        '( : < "/proc/$server/$file" ) 2>/dev/null && echo "read:$file"; done\n'
        'readlink "/proc/$server/fd/0" >/dev/null 2>&1 && echo read:fd; true\n'
    )
    spy.chmod(0o755)
    settings = {"ATHENA_DEFAULT_PROVIDER": "local-exec", "ATHENA_LOCAL_PROVIDER_CMD": str(spy)}
    with athena(tmp_path, "run", "--session", "s", "--input", "hello", **settings) as program:
        printed = program.communicate()[0]
    assert program.returncode == 0
    assert re.findall(r"read:\w+", printed) == ["read:cmdline"], printed


@LINUX
@pytest.mark.parametrize("command", [("api", "serve", "--port", "0"), ("worker",)])
def test_servers_and_workers_are_closed_to_other_processes_of_their_user(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    with athena(tmp_path, *command) as program:
        assert program.stdout
        assert program.stdout.readline()
        spy = (*UNPRIVILEGED, "cat", f"/proc/{program.pid}/environ")
        assert b"denied" in subprocess.run(spy, capture_output=True, check=False).stderr


@LINUX
@pytest.mark.skipif(os.getuid() != 0, reason="only root has the capability")
async def test_a_command_may_trace_no_process() -> None:
    """A server that runs as root is not dumpable, which closes its memory to commands without this capability."""
    child = await Child.start(("grep", "^Cap", "/proc/self/status"), environment(), fed=False)
    await child.exited.wait()
    sets = [int(line.split()[1], 16) for line in (await child.output.read()).decode().splitlines()]
    await child.end()
    assert len(sets) == 5
    assert not [value for value in sets if value >> supervisor.CAP_SYS_PTRACE & 1]


@LOOPS
def test_an_open_input_is_written_and_the_lines_of_the_output_are_read(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def talk() -> None:
        child = await Child.start(("/bin/cat",), environment())
        for line in (b"one", b"", b"x" * 300_000):
            await child.write(line + b"\n")
            assert await child.read_line(300_000) == line
        await child.write(b"y" * 301 + b"\nrest\n")
        with pytest.raises(LineTooLong):
            await child.read_line(300)
        await child.end()
        await child.write(b"lost\n")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(talk())


@LOOPS
def test_writing_waits_while_a_command_reads_nothing(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def talk() -> None:
        child = await Child.start(("/bin/sh", "-c", "kill -STOP $$; wc -c"), environment())
        await child.write(b"x")  # fits into the buffer
        writing = asyncio.create_task(child.write(b"x" * 1_000_000))
        await asyncio.wait((writing,), timeout=0.05)
        assert not writing.done()
        await child.end()
        await writing  # its end lets the writer go

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(talk())


@LINUX
@LOOPS
def test_an_output_that_is_closed_ends_while_the_command_lives(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def read() -> bytes | None:
        child = await Child.start(("/bin/sh", "-c", "exec 1>&-; sleep 1000"), environment())
        try:
            return await child.read_line(100)
        finally:
            await child.end()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(asyncio.wait_for(read(), PATIENCE_SECONDS)) is None


@LINUX
@LOOPS
def test_a_command_has_its_standard_streams_only(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def read() -> list[bytes]:
        child = await Child.start(("/bin/ls", "/proc/self/fd"), environment())
        try:
            return [line async for line in lines(child)]
        finally:
            await child.end()

    async def lines(child: Child) -> AsyncIterator[bytes]:
        while (line := await child.read_line(100)) is not None:
            yield line

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(read()) == [b"0", b"1", b"2", b"3"], "the last one is the listing"

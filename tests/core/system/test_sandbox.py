"""Tests of the sandbox: its command line, its limits in words, the remedies, and small commands in a real box."""

import asyncio
import os
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from athena_cli.agent_check.processes import tree_of
from athena_core.system import sandbox as sandboxes
from athena_core.system.box import launch, relay, remedies, syscalls
from athena_core.system.box.remedies import remedy_of
from athena_core.system.process import CannotStart, Child, environment
from athena_core.system.sandbox import (
    DEFAULT_LIMITS,
    MEBIBYTE,
    WORKSPACE,
    Sandbox,
    SandboxLimits,
    SandboxRefused,
    bubblewrap,
    probe,
)
from tests.support.programs import BOXED

LONG = "a" * 240
HELD = 12_000_000
"""Bytes that ``tail`` keeps until its input ends: over the limit, and within what the box may reserve."""
FILLS = "for i in $(seq 64); do head -c 2000000 /dev/zero > fill-$i; done; sleep 20"
"""Writes many files, because other programs may free some of the disk meanwhile."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sandboxes, "bubblewrap", lambda: "/usr/bin/bwrap")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    place = tmp_path / "workspace"
    place.mkdir()
    return place


def mounts(sandbox: Sandbox) -> dict[str, str]:
    """Return how each path below the parent of the workspace is mounted, or made for the box."""
    words, found = sandbox.start(("true",)).options, dict[str, str]()
    for number, word in enumerate(words):
        if word in {"--bind", "--ro-bind", "--symlink"}:
            found[words[number + 2]] = word[2:]
        elif word == "--dir":
            found[words[number + 1]] = "dir"
    root = f"{sandbox.workspace.parent}"
    return {path.removeprefix(root): kind for path, kind in found.items() if path.startswith(root)}


def test_a_directory_above_a_closed_path_is_built_from_its_other_entries(workspace: Path) -> None:
    srv = workspace.parent / "srv"
    for place in ("lib/deep", "state", "open"):
        (srv / place).mkdir(parents=True)
    for file in ("lib/deep/key", "lib/deep/other", "token", "open/file"):
        (srv / file).touch()
    (srv / "link").symlink_to("open")
    closed = tuple(srv / path for path in ("state", "lib/deep/key", "token", "missing"))
    assert mounts(Sandbox(workspace, readonly=(srv,), closed=closed)) == {
        **{"/workspace": "bind", "/srv": "dir", "/srv/lib": "dir", "/srv/lib/deep": "dir"},
        **{"/srv/lib/deep/other": "ro-bind", "/srv/open": "ro-bind", "/srv/link": "symlink"},
    }


def test_a_closed_file_has_no_other_name_below_a_read_only_path(workspace: Path) -> None:
    srv, key = workspace.parent / "srv", workspace.parent / "key"
    (srv / "sub").mkdir(parents=True)
    key.touch()
    (srv / "sub/copy").hardlink_to(key)
    found = mounts(Sandbox(workspace, readonly=(srv,), closed=(key,)))
    assert found == {"/workspace": "bind", "/srv": "dir", "/srv/sub": "dir"}


def test_outer_paths_are_mounted_before_inner_ones(workspace: Path) -> None:
    inner = tuple((workspace.parent, path) for path in ("a/b", "a"))
    assert list(mounts(Sandbox(workspace, fixed=inner))) == ["/workspace", "/workspace/a", "/workspace/a/b"]


@pytest.mark.parametrize("place", ["/", "/proc", "/dev/shm", "/sys/fs"])
def test_a_system_directory_cannot_be_the_workspace(workspace: Path, place: str) -> None:
    with pytest.raises(SandboxRefused, match="cannot be the workspace"):
        Sandbox(Path(place)).start(("true",))


def test_the_temporary_directory_of_the_server_is_not_shown(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = workspace / "tmp"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(shared))
    for place in (shared, workspace):
        with pytest.raises(SandboxRefused, match="Set TMPDIR"):
            Sandbox(place).start(("true",))


def test_a_closed_path_cannot_be_bound_read_only(workspace: Path) -> None:
    (workspace / "state" / "x").mkdir(parents=True)
    for path in ("state", "state/x"):
        with pytest.raises(SandboxRefused, match="is closed"):
            Sandbox(workspace, readonly=(workspace / path,), closed=(workspace / "state",)).start(("true",))


def test_the_place_of_the_workspace_cannot_be_bound_read_only(workspace: Path) -> None:
    with pytest.raises(SandboxRefused, match="is the place of the workspace"):
        Sandbox(workspace, readonly=(workspace,), place=workspace).start(("true",))


def test_the_state_is_closed_below_read_only_paths_and_their_links(workspace: Path) -> None:
    srv, state = workspace.parent / "srv", workspace.parent / "srv/athena/state"
    state.mkdir(parents=True)
    for name in ("key", "open"):
        (srv / "athena" / name).touch()
    (workspace.parent / "link").symlink_to("srv")
    (workspace.parent / "deep").symlink_to("srv/athena")
    shown = tuple(workspace.parent / name for name in ("srv", "link", "deep"))
    found = mounts(Sandbox(workspace, readonly=shown, closed=(state, srv / "athena/key")))
    for place in ("/srv/athena", "/link/athena", "/deep"):
        below = {path: kind for path, kind in found.items() if path.startswith(place)}
        assert below == {place: "dir", f"{place}/open": "ro-bind"}


def test_too_many_mounts_are_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes, "MOUNTS_MAX", 3)
    fixed = tuple((workspace, f"{number}") for number in range(4))
    with pytest.raises(SandboxRefused, match="more than 3 mounts, such as .*/[0-3]. Have an operator"):
        Sandbox(workspace, fixed=fixed).start(("true",))


def test_the_size_of_mounts_is_bounded(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes, "MOUNT_BYTES_MAX", 2_000)
    places = tuple(workspace.parent / f"{LONG}{number}" for number in range(4))
    for place in places:
        place.touch()
    Sandbox(workspace, readonly=places[:1]).start(("true",))
    with pytest.raises(SandboxRefused, match="more than 2000 mounts"):
        Sandbox(workspace, readonly=places).start(("true",))


def test_a_box_with_a_proxy_starts_the_relay(workspace: Path) -> None:
    start = Sandbox(workspace, proxy=Path("/run/x.sock")).start(("curl", "x"))
    assert start.argv[-3:] == (f"{relay.PORT}={relay.SOCKET}", "curl", "x")
    assert start.variables["HTTPS_PROXY"] == f"http://127.0.0.1:{relay.PORT}"


def test_without_bubblewrap_a_command_does_not_start(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes, "bubblewrap", lambda: None)
    with pytest.raises(SandboxRefused, match="not installed"):
        Sandbox(workspace).start(("true",))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (launch.MEMORY, "2147483648 bytes of memory"),
        (launch.PROCESSES, "256 processes"),
        (launch.CPU, "600 s of CPU"),
        (launch.FILE, "a file of more than 1073741824 bytes"),
        (launch.DISK, "less than 536870912 bytes are free"),
        (launch.TMP_FILES, "65536 files"),
        (launch.GROWTH, "grew by more than 10737418240 bytes"),
        (launch.GROWTH, "ATHENA_SANDBOX_DISK_BYTES_MAX"),
        (launch.FILES_MADE, "more than 250000 new files"),
        (launch.MEMORY, "ATHENA_SANDBOX_MEMORY_BYTES_MAX"),
        (launch.PROCESSES, "ATHENA_SANDBOX_PROCESSES_MAX"),
        (launch.CPU, "ATHENA_SANDBOX_CPU_SECONDS_MAX"),
        (launch.NOT_STARTED, "could not start"),
        (launch.NOT_WATCHED, "could not be checked"),
    ],
)
def test_each_limit_has_its_own_words(code: bytes, words: str) -> None:
    assert words in str(Sandbox(Path("/w")).problem(code))


def test_a_box_that_ended_like_its_command_has_no_problem() -> None:
    assert Sandbox(Path("/w")).problem(launch.ENDED) is None


# The remedies. Real messages under a real systemd: tests/test_units.py


@pytest.fixture
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "SYSCTLS", ())
    monkeypatch.setattr(remedies, "_refused_by_unit", list)


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("loopback: Failed to create NETLINK_ROUTE socket: Address family not supported by protocol", "AF_NETLINK"),
        ("Can't mount proc on /newroot/proc: Operation not permitted", "ProtectKernelLogs="),
        ("Can't read /proc/sys/kernel/overflowuid: No such file or directory", "ProcSubset="),
        ("Can't open source /usr: Function not implemented", "RestrictSUIDSGID="),
        ("Can't set hostname to athena: Operation not permitted", "ProtectHostname="),
        ("Creating new namespace failed: Operation not permitted", "RestrictNamespaces="),
        ("Failed to make / slave: Operation not permitted", "@mount"),
        ("[Errno 11] Resource temporarily unavailable", "TasksMax="),
        ("No usable temporary directory found in ['/tmp', '/']", "PrivateTmp=yes"),
        ("Unknown option --size", "0.6 or later"),
        (sandboxes.FILTERED, "@system-service"),
        (sandboxes.TOO_LONG, "@system-service"),
        ("something else", "deployment.md"),
    ],
)
@pytest.mark.usefixtures("nothing_found")
def test_a_message_of_bubblewrap_leads_to_a_remedy(problem: str, remedy: str) -> None:
    assert remedy in remedy_of(problem)


def test_the_remedy_names_everything_that_this_process_can_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "SYSCTLS", (("kernel.ostype", "Linux", "Set the sysctl."),))
    monkeypatch.setattr(remedies, "_refused_by_unit", lambda: [remedies.NETLINK, remedies.SET_IDS])
    monkeypatch.setattr(os, "getuid", lambda: 1_000)
    assert remedy_of("unshare user ns: Operation not permitted").startswith("Set the sysctl. Add AF_NETLINK to")
    assert remedy_of("loopback: NETLINK") == f"{remedies.NETLINK} {remedies.SET_IDS}"  # once, and no sysctl


def test_masks_of_proc_are_named_by_their_directives(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = ["/proc/kmsg", "/proc/sys/fs/binfmt_misc", "/tmp/proc/sys"]
    read = "\n".join(f"1 2 0:3 / {place} ro - proc proc rw" for place in masks)
    monkeypatch.setattr(Path, "read_text", lambda path: read)
    assert remedy_of("Can't mount proc") == remedies.MASKED.format("ProtectKernelLogs=")
    read += "\n1 2 0:3 / /proc/sys ro - proc proc rw\n1 2 0:3 / /proc rw - proc proc rw,subset=pid"
    both = remedies.MASKED.format("ProtectKernelTunables= and ProtectKernelLogs=")
    assert remedy_of("Can't mount proc") == f"{both} {remedies.SUBSET}"


# The filter of system calls


def run_filter(number: int, *arguments: int, machine: str = "x86_64", architecture: int = 0) -> int:
    """Return the verdict of the filter for a system call, as the kernel would."""
    data = struct.pack(
        "IIQ6Q", number, architecture or syscalls.AUDIT_ARCHITECTURES[machine], 0, *(*arguments, *[0] * 6)[:6]
    )
    program, line, held = list(struct.iter_unpack("HBBI", syscalls.program(machine))), 0, 0
    while True:
        code, yes, no, operand = program[line]
        line += 1
        match code:
            case syscalls.LOAD:
                held = struct.unpack_from("I", data, operand)[0]
            case syscalls.JUMP_EQUAL:
                line += yes if held == operand else no
            case syscalls.JUMP_AT_LEAST:
                line += yes if held >= operand else no
            case syscalls.JUMP_ANY_BIT:
                line += yes if held & operand else no
            case _:
                return int(operand)


@pytest.mark.parametrize("machine", syscalls.MACHINES)
@pytest.mark.parametrize("name", [*syscalls.REFUSED, *syscalls.MISSING])
def test_dangerous_system_calls_fail(name: str, machine: str) -> None:
    number = {**syscalls.REFUSED, **syscalls.MISSING}[name][syscalls.MACHINES.index(machine)]
    if number is not None:
        assert run_filter(number, machine=machine) & 0xFFFF0000 == syscalls.ERROR


@pytest.mark.parametrize(
    ("call", "arguments", "allowed"),
    [
        ("read", (0,), True),
        ("socket", (1, 1), True),
        ("socket", (2, 1), True),
        ("socket", (10, 2), True),
        ("socket", (16, 3), True),
        ("socket", (40, 1), False),  # AF_VSOCK
        ("socket", (38, 5), False),  # AF_ALG
        ("clone", (0x1200011,), True),  # fork
        ("clone", (0x10000011,), False),  # CLONE_NEWUSER
        ("clone", (0x20000,), False),  # CLONE_NEWNS
        ("shmget", (0, 56), True),
        ("shmget", (0, 65_537), False),
        ("shmget", (0, 1 << 32), False),
        ("fallocate", (3,), False),
        ("chmod", (0, 0o755), True),
        ("chmod", (0, 0o4755), False),
        ("fchmodat", (0, 0, 0o2755), False),
        ("openat", (0, 0, 0o100, 0o644), True),
        ("openat", (0, 0, 0o100, 0o4755), False),
        ("openat", (0, 0, 0, 0o4755), True),  # it creates nothing, so this argument is not read
    ],
)
def test_arguments_decide_about_some_system_calls(call: str, arguments: tuple[int, ...], allowed: bool) -> None:
    numbers = {
        **{"read": 0, "socket": 41, "clone": 56, "shmget": 29, "fallocate": 285},
        **{"chmod": 90, "fchmodat": 268, "openat": 257},
    }
    assert (run_filter(numbers[call], *arguments) == syscalls.ALLOW) is allowed


def test_system_calls_of_other_architectures_end_the_process() -> None:
    assert run_filter(0, architecture=0x40000003) == syscalls.KILL_PROCESS  # i386
    assert run_filter(syscalls.X32_BIT) & 0xFFFF0000 == syscalls.ERROR


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        syscalls.program("riscv64")


@pytest.mark.parametrize(
    ("release", "own"),
    [
        ("6.14.0", True),
        ("6.18.44-fc-v595", True),
        ("7.0-rc1", True),
        ("6.1.0-31-amd64", False),
        ("5.15", False),
        ("x", False),
    ],
)
def test_the_limit_of_pids_of_the_machine_is_left_alone(release: str, own: bool) -> None:
    assert launch.own_pids(release) is own


def test_the_time_of_a_process_that_could_not_be_read_once_counts_once() -> None:
    box = launch.Box.__new__(launch.Box)
    box._seen, box._gone_ticks = {}, 0
    looks = (
        (["1", "2"], {("1", b"10"): 5, ("2", b"11"): 40}, 45),
        (["1", "2"], {("1", b"10"): 6}, 46),  # the second one is there, and was not read
        (["1", "2"], {("1", b"10"): 6, ("2", b"11"): 41}, 47),
        (["1", "2"], {("1", b"10"): 6, ("2", b"12"): 1}, 48),  # another process has its pid
        (["1"], {("1", b"10"): 6}, 48),
    )
    for names, seen, expected in looks:
        assert box._ticks_of_all(names, seen) == expected


# Real boxes


async def run(sandbox: Sandbox, *command: str) -> tuple[str, Child]:
    child = await Child.start(command, environment(), fed=False, merged=True, sandbox=sandbox)
    output = (await child.output.read()).decode()
    await child.exited.wait()
    await child.end()
    return output, child


@BOXED
def test_a_box_works_here() -> None:
    tried = probe()
    assert tried.available, tried


@BOXED
async def test_a_boxed_command_sees_its_workspace_and_little_else(tmp_path: Path) -> None:
    box = Sandbox(tmp_path)
    script = "echo new > made; ls /proc/self/fd | wc -l; ls -d /proc/[0-9]* | wc -l; id -un; exit 7"
    output, child = await run(box, "sh", "-c", script)
    assert child.status == 7
    assert child.problem is None
    assert output.split()[-1] == "athena"
    assert (tmp_path / "made").read_text() == "new\n"


ASKS = """
import os, socket, sys
for port in map(int, sys.argv[1:]):
    with socket.socket() as asked:
        try:
            asked.connect(("127.0.0.1", port))
            print(port, asked.recv(100).decode())
        except OSError as error:
            print(port, type(error).__name__)
home = os.environ["HOME"]
print(home, sorted(os.listdir(home)), sorted(os.listdir("/run/athena")), os.environ.get("HTTP_PROXY"))
open(f"{home}/kept", "w").write("session")
"""
"""Ask the ports of the relay, and write to the home."""


@BOXED
async def test_the_box_of_an_agent_has_a_home_that_stays_and_the_gateway_and_nothing_else(tmp_path: Path) -> None:
    place, other = tmp_path / "agents/one/home", tmp_path / "agents/two/home"
    for home in (place, other, tmp_path / "work"):
        home.mkdir(parents=True)
    (other / "secret").write_text("canary")
    with tempfile.TemporaryDirectory() as short:  # the path of a socket has at most 107 bytes

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"a model")
            writer.close()

        async with await asyncio.start_unix_server(answer, f"{short}/g"):
            box = Sandbox(tmp_path / "work", home=place, gateway=Path(short, "g"))
            command = (sys.executable, "-I", "-c", ASKS, str(relay.GATEWAY_PORT), str(relay.PORT))
            for found in ([], ["kept"]):
                output, child = await run(box, *command)
                assert child.problem is None, output
                assert output.splitlines() == [
                    f"{relay.GATEWAY_PORT} a model",
                    f"{relay.PORT} ConnectionRefusedError",
                    f"/tmp/home {found} ['environment', 'gateway.sock', 'relay.py'] None",
                ]
    assert (place / "kept").read_text() == "session"
    script = f"cat {other}/secret; cat {place}/kept; ls {tmp_path}"
    output, _ = await run(Sandbox(tmp_path / "work"), "sh", "-c", script)
    assert "canary" not in output and "session" not in output
    assert output.splitlines()[-1] == "work"


@BOXED
async def test_the_files_in_the_home_of_an_agent_count(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as home:  # another file system than the workspace's
        limits = SandboxLimits(disk_bytes=4 * MEBIBYTE, disk_free_bytes=0)
        box = Sandbox(tmp_path, home=Path(home), limits=limits)
        _, child = await run(box, "sh", "-c", f"cd $HOME; {FILLS}")
    assert "grew by more than" in str(child.problem)


def test_a_home_that_is_a_link_is_refused(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to("/etc")
    for home in (tmp_path / "home", tmp_path / "absent"):
        with pytest.raises(SandboxRefused, match="home of the agent is not a directory"):
            Sandbox(workspace, home=home).start(("true",))


def test_the_box_of_an_agent_may_take_more_than_a_command_and_is_looked_at_less_often() -> None:
    limits = SandboxLimits(cpu_seconds=10, memory_bytes=100, processes=8, tmp_bytes=50).for_agent()
    assert (limits.cpu_seconds, limits.memory_bytes, limits.processes, limits.tmp_bytes) == (240, 200, 32, 100)
    assert limits.watch_ms == 100
    assert limits.disk_bytes == DEFAULT_LIMITS.disk_bytes


@BOXED
async def test_a_command_that_does_not_exist_says_so(tmp_path: Path) -> None:
    output, child = await run(Sandbox(tmp_path), "no-such-command")
    assert "No such file" in output
    assert child.problem == "the sandbox could not start the command"


@BOXED
@pytest.mark.parametrize(
    ("limits", "script", "words"),
    [
        ({"processes": 20}, "for i in $(seq 30); do sleep 20 & done; wait", "20 processes"),
        ({"memory_bytes": 8 * MEBIBYTE}, f"(head -c {HELD} /dev/zero; sleep 20) | tail -c {HELD}", "bytes of memory"),
        ({"file_bytes": MEBIBYTE}, "exec head -c 2000000 /dev/zero > file", "a file of more"),
        ({"tmp_files": 50}, "cd /tmp; touch $(seq 100); sleep 20", "files in /tmp"),
        ({"disk_free_bytes": 1 << 60}, "sleep 20", "are free on the disk"),
        ({"disk_bytes": 4 * MEBIBYTE}, FILLS, "grew by more than"),
        ({"disk_files": 200}, "touch $(seq 10000); sleep 20", "more than 200 new files"),
    ],
)
async def test_a_box_over_a_limit_is_ended(tmp_path: Path, limits: dict[str, int], script: str, words: str) -> None:
    _, child = await run(Sandbox(tmp_path, limits=SandboxLimits(**limits)), "sh", "-c", script)
    assert words in str(child.problem)
    assert child.ending() == child.problem


@BOXED
async def test_the_state_of_the_server_is_not_below_a_path_of_the_profile(tmp_path: Path) -> None:
    own = tmp_path / "srv/state/workspaces/one/files"
    own.mkdir(parents=True)
    for name in ("srv/state/log.db", "srv/key", "srv/state/workspaces/one/snapshots"):
        (tmp_path / name).write_text("canary")
    (tmp_path / "srv/open").write_text("shown")
    (tmp_path / "link").symlink_to("srv")
    closed = (tmp_path / "srv/state", tmp_path / "srv/key")
    box = Sandbox(own, readonly=(tmp_path / "srv", tmp_path / "link"), closed=closed, place=WORKSPACE)
    output, child = await run(box, "sh", "-c", f"cd {tmp_path}; grep -r . srv link; echo made > {WORKSPACE}/made")
    assert child.problem is None, output
    assert "canary" not in output and output.count("shown") == 2, output
    assert (own / "made").read_text() == "made\n"


@BOXED
async def test_a_box_names_no_directory_above_its_workspace_and_shows_a_short_command_line(tmp_path: Path) -> None:
    box = Sandbox(tmp_path, place=WORKSPACE)
    script = "pwd; tr '\\0' ' ' < /proc/1/cmdline; cat /proc/1/environ; echo; ls -d /*"
    output, child = await run(box, "sh", "-c", script)
    assert child.problem is None, output
    where, first, *top = output.splitlines()
    assert where == "/workspace"
    assert first == f"{bubblewrap()} --args {launch.ARGS} -- sh -c {script} "
    assert f"/{tmp_path.parts[1]}" not in set(top) - {"/tmp"}


@BOXED
@pytest.mark.parametrize("boxed", ["no box", "a box", "a box with a relay"])
async def test_only_the_command_has_its_variables(tmp_path: Path, boxed: str) -> None:
    with tempfile.TemporaryDirectory() as short:
        socket = await asyncio.start_unix_server(lambda reader, writer: writer.close(), f"{short}/g")
        box = {
            "no box": None,
            "a box": Sandbox(tmp_path),
            "a box with a relay": Sandbox(tmp_path, gateway=Path(short, "g")),
        }[boxed]
        variables = environment() | {"TOKEN": "canary-of-a-credential"}
        child = await Child.start(("sh", "-c", "echo $TOKEN; read line"), variables, sandbox=box)
        assert await child.read_line(100) == b"canary-of-a-credential"
        holders = []
        for pid in (child.pid, *(one.pid for one in tree_of(child.pid))):
            with suppress(PermissionError):  # only root reads the ones of a supervisor
                places = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
                holders += [places[1].split(b"\0")[0]] if b"canary" in b"".join(places) else []
        await child.end()
        socket.close()
    assert holders == [b"sh"]


@BOXED
async def test_tmp_is_private_and_small(tmp_path: Path) -> None:
    box = Sandbox(tmp_path, limits=DEFAULT_LIMITS._replace(tmp_bytes=MEBIBYTE))
    output, _ = await run(box, "sh", "-c", "head -c 3000000 /dev/zero > /tmp/x; wc -c < /tmp/x; touch /x /usr/x /etc/x")
    assert str(MEBIBYTE) in output
    assert output.count("Read-only file system") == 3


@BOXED
async def test_a_box_that_cannot_be_built_starts_nothing() -> None:
    with pytest.raises(CannotStart, match="workspace"):
        await Child.start(("true",), environment(), sandbox=Sandbox(Path("/")))

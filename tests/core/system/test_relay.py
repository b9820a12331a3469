"""Tests of the relay of a box, run outside of one: it passes bytes, and leaves no trace on the command."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from athena_core.system.box import relay

PYTHON = (sys.executable, "-I", "-S")
TIMEOUT = 30


class Relay:
    """A relay with a command, between a port of loopback and a Unix socket of the test."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "s")
        self.proxy = socket.socket(socket.AF_UNIX)
        self.proxy.settimeout(TIMEOUT)
        self.proxy.bind(self.path)
        self.proxy.listen(relay.BACKLOG)
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.port = unused.getsockname()[1]

    def argv(self, *command: str) -> list[str]:
        variables = Path(self.path).with_name("variables")
        variables.write_text(f"PATH={os.environ['PATH']}")
        return [*PYTHON, relay.__file__, str(variables), f"{self.port}={self.path}", *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.argv(*command), capture_output=True, check=False, timeout=TIMEOUT, input=b"in")

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command that reports its start and ends with its input."""
        command = subprocess.Popen(
            self.argv("/bin/sh", "-c", "echo up; read x"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with command:
            assert command.stdout is not None
            assert command.stdout.readline() == b"up\n"
            yield command
            command.kill()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        inner = self.connect()
        outer, _ = self.proxy.accept()
        outer.settimeout(TIMEOUT)
        return inner, outer


@pytest.fixture
def relayed(tmp_path: Path) -> Iterator[Relay]:
    made = Relay(tmp_path)
    yield made
    made.proxy.close()


def read(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(65_536), b""))


def test_the_command_has_its_streams_status_and_no_unknown_child(relayed: Relay) -> None:
    script = "cat; echo out; echo err >&2; cat /proc/$$/task/$$/children; exit 7"
    ended = relayed.run("/bin/sh", "-c", script)
    assert (ended.returncode, ended.stderr) == (7, b"err\n")
    head, children = ended.stdout.split(b"out\n")
    assert head == b"in"
    assert len(children.split()) <= 1  # the cat that reads it


def test_a_signal_ends_the_command(relayed: Relay) -> None:
    assert relayed.run("/bin/sh", "-c", "kill -9 $$").returncode == -signal.SIGKILL


def test_the_command_ignores_no_signals(relayed: Relay) -> None:
    ignored = int(relayed.run("/bin/sh", "-c", "grep SigIgn /proc/self/status").stdout.split()[1], 16)
    started_with = {number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT) if _is_ignored(number)}
    assert {number for number in range(1, 65) if ignored >> (number - 1) & 1} == started_with


def _is_ignored(number: int) -> bool:
    """Return True if this process ignores a signal, as a program in the background of a shell does."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(lines["SigIgn"], 16) >> (number - 1) & 1)


@pytest.mark.parametrize(("command", "status"), [("/absent", 127), ("/etc", 126)])
def test_a_command_that_cannot_start_has_a_sentence(relayed: Relay, command: str, status: int) -> None:
    ended = relayed.run(command)
    assert ended.returncode == status
    assert ended.stderr.startswith(f"athena: {command}: ".encode())


def test_without_the_port_nothing_starts(relayed: Relay) -> None:
    with socket.create_server(("127.0.0.1", relayed.port)):
        ended = relayed.run("/bin/echo", "started")
    assert (ended.returncode, ended.stdout) == (relay.NOTHING_STARTED, b"")
    assert b"relay" in ended.stderr


def test_bytes_pass_both_ways_and_so_do_ends(relayed: Relay) -> None:
    data = os.urandom(3_000_000)
    with relayed.running():
        inner, outer = relayed.pair()
        with inner, outer:

            def send() -> None:
                inner.sendall(data)
                inner.shutdown(socket.SHUT_WR)

            sender = Thread(target=send)
            sender.start()
            outer.sendall(b"answer")  # both ways at once
            assert read(outer) == data
            sender.join()
            outer.sendall(b" later")
            outer.close()
            assert read(inner) == b"answer later"


def test_a_slow_reader_holds_its_own_connection_only(relayed: Relay) -> None:
    with relayed.running():
        inner, outer = relayed.pair()
        other, other_outer = relayed.pair()
        with inner, outer, other, other_outer:
            outer.setblocking(False)
            with pytest.raises(BlockingIOError):  # memory is bounded
                for _ in range(10_000):
                    outer.send(b"x" * 65_536)
            other.sendall(b"hello")
            assert other_outer.recv(5) == b"hello"


def test_each_port_leads_to_its_own_socket_and_has_its_own_limit(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first, second = Relay(tmp_path), Relay(tmp_path / "b")
    lanes = ",".join(f"{one.port}={one.path}" for one in (first, second))
    command = [*PYTHON, relay.__file__, os.devnull, lanes, "/bin/sh", "-c", "echo up; read x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        ends = [end for _ in range(relay.CONNECTIONS_MAX) for end in first.pair()]
        inner, outer = second.pair()
        inner.sendall(b"x")
        assert outer.recv(1) == b"x"
        running.kill()
    for end in (inner, outer, *ends, first.proxy, second.proxy):
        end.close()


def test_connections_beyond_the_limit_wait(relayed: Relay) -> None:
    with relayed.running():
        pairs = [relayed.pair() for _ in range(relay.CONNECTIONS_MAX)]
        waiting = relayed.connect()
        inner, outer = pairs[0]
        inner.sendall(b"x")
        assert outer.recv(1) == b"x"
        relayed.proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            relayed.proxy.accept()
        relayed.proxy.settimeout(TIMEOUT)
        inner.close()
        outer.close()
        relayed.proxy.accept()[0].close()
        for end in (waiting, *(end for pair in pairs for end in pair)):
            end.close()


def test_a_proxy_that_has_ended_closes_connections(relayed: Relay) -> None:
    with relayed.running():
        Path(relayed.path).unlink()
        with relayed.connect() as inner:
            assert read(inner) == b""


def test_signals_to_the_group_of_the_command_do_not_end_the_relay(relayed: Relay) -> None:
    script = "trap '' TERM; kill -TERM 0; echo up; read x"
    with subprocess.Popen(
        relayed.argv("/bin/sh", "-c", script),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"up\n"
        inner, outer = relayed.pair()
        with inner, outer:
            inner.sendall(b"x")
            assert outer.recv(1) == b"x"
        command.kill()


def test_the_relay_ends_with_the_command_and_holds_none_of_its_pipes(relayed: Relay) -> None:
    script = "exec 1>&-; read x"
    with subprocess.Popen(
        relayed.argv("/bin/sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert command.stdout.read() == b""  # the output ends, although command and relay run
        assert command.poll() is None
        inner, outer = relayed.pair()
        assert command.stdin is not None
        command.stdin.close()
        assert command.wait(TIMEOUT) == 1  # what read returns
        with inner, outer:
            assert read(outer) == b""  # its other end belongs to the relay

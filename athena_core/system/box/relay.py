"""The relay of a box: passes connections on loopback to the egress proxy and the model gateway, and runs the command.

Run by path inside of the box, without site-packages and with few imports. Programs know proxies only as TCP addresses,
and the box has a network of its own with nothing but loopback. The relay checks nothing: who listens outside does.
"""

import _signal as signal  # type: ignore[import-not-found]  # the modules signal and socket would take 8 ms more
import _socket
import os
import sys
import time

TYPE_CHECKING = False  # the module typing would take 3 ms
if TYPE_CHECKING:
    import socket

SCRIPT = "/run/athena/relay.py"
"""Path of this file in the box."""
SOCKET = "/run/athena/egress.sock"
"""Path of the proxy's socket in the box."""
GATEWAY_SOCKET = "/run/athena/gateway.sock"
"""Path of the gateway's socket in the box."""
ENVIRONMENT = "/run/athena/environment"
"""Path of the variables of the command in the box. The relay, which starts the command, does not have them itself."""
HOST, PORT, GATEWAY_PORT = "127.0.0.1", 3128, 3129
CONNECTIONS_MAX = 16
"""Maximum number of connections to one socket at once. Further ones wait."""
BACKLOG = 128
ACCEPT_PAUSE_SECONDS = 0.1
CHUNK_BYTES = 65_536
NOTHING_STARTED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
DESCRIPTORS_MAX = 256


def variables() -> dict[str, str]:
    """Return the environment variables that lead programs to the relay, and past it to servers of the box."""
    address, local = f"http://{HOST}:{PORT}", "localhost,127.0.0.1,::1"
    named = {"HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": local}
    return named | {name.lower(): value for name, value in named.items()}


def main(variables: str, lanes: str, argv: list[str]) -> None:
    """Start the command, serve until it has ended, and end like it.

    ``variables`` is the file with the variables of the command. ``lanes`` are ports with sockets, as ``1=/a,2=/b``.

    The relay is the parent of the command, so that the box is empty once both have ended: the kernel takes long to end
    a box with a process in it.
    """
    listeners: dict[_socket.socket, str] = {}
    try:
        environment = _environment(variables)
        for lane in lanes.split(","):
            port, _, path = lane.partition("=")
            listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            listener.bind((HOST, int(port)))
            listener.listen(BACKLOG)
            listeners[listener] = path
    except OSError as error:
        _end(NOTHING_STARTED, f"the relay of the sandbox did not start: {error.strerror}")
    try:
        pid = os.posix_spawnp(
            argv[0], argv, environment, setsid=True, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ), setsigmask=()
        )
    except OSError as error:
        _end(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE, f"{argv[0]}: {error.strerror}")
    try:
        command = os.pidfd_open(pid)
        _close_others(*(listener.fileno() for listener in listeners), command)
        _Lanes({listener.detach(): path for listener, path in listeners.items()}).serve(command)
    finally:
        _end_as(os.waitpid(pid, 0)[1])


def _environment(path: str) -> dict[bytes, bytes]:
    """Read the variables of the command. Programs are searched in its PATH."""
    with open(path, "rb") as file:
        pairs = [line.partition(b"=") for line in file.read().split(b"\0")]
    found = {name: value for name, _, value in pairs if name}
    os.environb[b"PATH"] = found.get(b"PATH", b"")
    return found


def _end_as(status: int) -> None:
    """End this process with the status that ``waitpid`` returned."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def _end(status: int, problem: str) -> None:
    os.write(2, f"athena: {problem}\n".encode(errors="replace"))
    os._exit(status)


def _close_others(*kept: int) -> None:
    """Close all other descriptors: a pipe of the command must end with the command."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    for descriptor in range(3, DESCRIPTORS_MAX):
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                continue


class _Lanes:
    """The connections of the relay. Memory is bounded: a socket is not read while its peer has bytes to take."""

    def __init__(self, listening: dict[int, str]) -> None:
        """Take the listening descriptors, each with the socket that its connections lead to."""
        import socket  # noqa: PLC0415 - the command does not wait for this import

        self._connector = socket.socket
        self._listeners: dict[socket.socket, str] = {}
        for number, path in listening.items():
            listener = socket.socket(fileno=number)
            listener.setblocking(False)
            self._listeners[listener] = path
        self._accepted: dict[socket.socket, set[_socket.socket]] = {one: set() for one in self._listeners}
        self._peers: dict[_socket.socket, _socket.socket] = {}
        self._waiting: dict[_socket.socket, bytes] = {}
        self._ended: set[_socket.socket] = set()

    def serve(self, command: int) -> None:
        """Pass bytes both ways until the command has ended."""
        import select  # noqa: PLC0415

        while True:
            free = [one for one, accepted in self._accepted.items() if len(accepted) < CONNECTIONS_MAX]
            read = [one for one, peer in self._peers.items() if one not in self._ended and peer not in self._waiting]
            watched: list[_socket.socket | int] = [command, *read, *free]
            readable, writable, _ = select.select(watched, list(self._waiting), ())
            for act, ready in ((self._write, writable), (self._read, readable)):
                for one in ready:
                    if isinstance(one, int):
                        return
                    try:
                        act(one)
                    except BlockingIOError:
                        continue
                    except OSError:
                        self._close(one)

    def _accept(self, listener: "socket.socket") -> None:
        try:
            inner, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptors are left: the connection stays, and would be tried again at once
            time.sleep(ACCEPT_PAUSE_SECONDS)
            return
        outer = self._connector(_socket.AF_UNIX, _socket.SOCK_STREAM)
        for one, other in ((inner, outer), (outer, inner)):
            one.setblocking(False)
            self._peers[one] = other
        try:
            self._accepted[listener].add(inner)
            outer.connect(self._listeners[listener])
        except OSError:  # it has ended, or too many wait for it
            self._close(inner)

    def _close(self, one: _socket.socket) -> None:
        for end in (one, self._peers.get(one)):
            if end in self._peers:
                del self._peers[end]
                self._waiting.pop(end, None)
                self._ended.discard(end)
                for accepted in self._accepted.values():
                    accepted.discard(end)
                end.close()

    def _read(self, source: _socket.socket) -> None:
        if source in self._listeners:
            self._accept(source)
        elif source in self._peers:
            sink = self._peers[source]
            if piece := source.recv(CHUNK_BYTES):
                self._waiting[sink] = piece
                return
            self._ended.add(source)
            sink.shutdown(_socket.SHUT_WR)
            if sink in self._ended:
                self._close(source)

    def _write(self, sink: _socket.socket) -> None:
        if sink not in self._waiting:  # closed in this round
            return
        if rest := self._waiting[sink][sink.send(self._waiting[sink]) :]:
            self._waiting[sink] = rest
        else:
            del self._waiting[sink]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

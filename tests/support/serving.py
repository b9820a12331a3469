"""The program that tests run as a server: settings from the environment, the port that is named or a free one.

It prints the port.
"""

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection

from athena_api.app import build
from athena_api.server import listen, serve
from athena_cli.app import main as cli
from athena_core.errors import ConfigError
from athena_core.services.execution.liveness import FROZEN_SECONDS
from athena_core.settings import load
from athena_core.system import sandbox


def main(ready: Callable[[], object] = lambda: None) -> None:
    """Serve until a signal to stop; ``ready`` as ``serve`` has it."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    frozen_seconds = float(os.environ.get("ATHENA_TEST_FROZEN_SECONDS", FROZEN_SECONDS))
    if (bubblewrap := os.environ.get("ATHENA_TEST_BUBBLEWRAP")) is not None:
        setattr(sandbox, "bubblewrap", lambda: bubblewrap or None)  # noqa: B010 - it is a function
    settings = load()
    app = build(settings, frozen_seconds=frozen_seconds)
    listener = listen("127.0.0.1", port, send_timeout_ms=settings.send_timeout_ms)
    print(listener.getsockname()[1], flush=True)
    serve(app, listener, ready)


def begin(directory: str, environment: Mapping[str, str], log_path: str, out: Connection, port: int) -> None:
    """Serve in a forked process as an executed one with these settings would."""
    become(directory, environment, log_path, out)
    sys.argv[1:] = [str(port)]
    try:
        main()
    except ConfigError as error:
        sys.exit(f"error: {error.message}")


def begin_work(directory: str, environment: Mapping[str, str], log_path: str, out: Connection, *words: str) -> None:
    """Run ``athena worker`` with these flags in a forked process as an executed one would."""
    become(directory, environment, log_path, out)
    sys.exit(cli(["worker", *words]))


def begin_command(
    directory: str,
    environment: Mapping[str, str],
    streams: Sequence[Connection],
    umask: int,
    new_session: bool,
    *words: str,
) -> None:
    """Run ``athena`` in a forked process as an executed one would, on the streams 0 to 2."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    if new_session:
        os.setsid()
    os.umask(umask)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: PTH123, SIM115
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), line_buffering=os.isatty(1))  # noqa: PTH123, SIM115
    raw = open(2, "wb", closefd=False)  # noqa: PTH123, SIM115
    sys.stderr = io.TextIOWrapper(raw, errors="backslashreplace", line_buffering=True)
    sys.argv[:] = ["athena", *words]
    if "COVERAGE_PROCESS_START" in environment:
        from tests.support.lines_run import measure_server  # noqa: PLC0415 - most commands are not measured

        measure_server(environment)
    sys.exit(cli())


def become(directory: str, environment: Mapping[str, str], log_path: str, out: Connection) -> None:
    """Give the process the environment and output that an executed one would have."""
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    with open(log_path, "ab") as log:  # noqa: PTH123 - this is not a module of the core
        os.dup2(log.fileno(), 2)
    os.dup2(out.fileno(), 1)
    out.close()
    if "COVERAGE_PROCESS_START" in environment:
        from tests.support.lines_run import measure_server  # noqa: PLC0415 - most servers are not measured

        measure_server(environment)


if __name__ == "__main__":
    main()

"""Commands that run a server or worker, and write the OpenAPI document."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


def serve(*, host: str | None = None, port: int | None = None, uds: Path | None = None) -> None:
    """Serve the API until SIGINT or SIGTERM.

    Args:
        host: Listen address; 127.0.0.1 if absent. Without authentication, only loopback addresses are allowed.
        port: Listen port; 8787 if absent, 0 for any free port.
        uds: Path of a Unix socket to listen on instead. Only this user can connect to it.
    """
    if uds is not None and (host is not None or port is not None):
        raise Misused("--uds cannot be combined with --host or --port")
    host, port = host or "127.0.0.1", 8787 if port is None else port
    if not 0 <= port <= 65_535:
        raise Misused(f"--port: {port} is not a port; expected 0 to 65535")

    import json
    import logging.config
    from functools import partial

    from athena_api.edge.access_log import log_lines
    from athena_core.settings import load, replaced

    logging.config.dictConfig(log_lines())
    settings = load()
    for warning in replaced():
        render.note(f"Warning: {warning}")

    from athena_api import server
    from athena_api.app import build
    from athena_api.edge import versions

    versions.check()
    timeout_ms = settings.send_timeout_ms
    listening = server.listen_unix(uds) if uds else server.listen(host, port, send_timeout_ms=timeout_ms)
    with listening:
        address = listening.getsockname()[0] if uds is None else None
        server.check_exposure(settings, address)
        app = build(settings)
        if app.plane.access.roster.warning:
            render.note(f"Warning: {app.plane.access.roster.warning}")
        for name in (host, address) if address else ():
            app.gate.browsers.answers_to(name)
        ready: dict[str, Any] = {"status": "serving", "uds": str(uds)}
        if uds is None:
            ready = {"status": "serving", "host": host, "port": listening.getsockname()[1]}
        line = json.dumps(ready, separators=(",", ":"))
        try:
            server.serve(app, listening, partial(render.say, line))
        except SystemExit as stop:  # uvicorn exits like this, after it has logged the reason
            raise Failed("the server stopped with an error; see the log lines above") from stop
        finally:
            if uds is not None:
                uds.unlink(missing_ok=True)


def worker(*, concurrency: int | None = None, providers: str | None = None) -> None:
    """Execute runs without serving the API. Shares the database or state directory with servers.

    On SIGTERM or SIGINT, the worker takes no more runs and lets its current runs finish within ATHENA_WORKER_DRAIN_MS.
    A second signal stops it at once. Unfinished runs continue on another worker or server.

    Args:
        concurrency: Maximum number of concurrent runs; ATHENA_EXECUTOR_MAX_RUNS if absent.
        providers: Execute only runs of these providers, separated by commas.
    """
    if concurrency is not None and not 0 < concurrency < 2**31:
        raise Misused(f"--concurrency: {concurrency} is out of range; expected a whole number above 0")
    serves = tuple(name.strip() for name in providers.split(",")) if providers is not None else ()
    if "" in serves:
        raise Misused("--providers: expected names, separated by commas")

    import json

    from athena_core.settings import load

    settings = load()
    settings = settings.replace(executor="inline", executor_max_runs=concurrency or settings.executor_max_runs)

    from athena_api.edge import versions
    from athena_api.worker import run_worker

    versions.check()

    def ready(plane: "ControlPlane") -> None:
        about = plane.runner.about
        line = {"status": "working", "id": plane.runner.executor, "concurrency": about.concurrency}
        render.say(json.dumps({**line, "providers": about.providers}, separators=(",", ":")))

    def leaving(runs: int) -> None:
        seconds = settings.worker_drain_ms / 1000
        if runs:
            render.note(f"Stopping after the current runs ({runs}) or {seconds:g} s. A second signal stops at once.")

    run_worker(settings, serves, ready, leaving)


def contracts(*, out: Path | None = None, options: OutputOptions | None = None) -> None:
    """Write the OpenAPI document to a file.

    Args:
        out: The file to write; `api/contracts.v1.json` in the state directory if absent.
        options: The output format of the summary.
    """
    import msgspec

    from athena_api.document import openapi
    from athena_api.operations import OPERATIONS
    from athena_core import __version__
    from athena_core.clock import SystemClock, iso
    from athena_core.system import private_file

    path = out or settings_of().state_dir / "api" / "contracts.v1.json"
    artifact = {
        "schemaVersion": 2,
        "apiVersion": "v1",
        "generatedAt": iso(SystemClock().now()),
        "routeCount": len(OPERATIONS),
        "openapi": openapi.document(OPERATIONS, __version__),
    }
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=private_file.DIRECTORY_MODE)
        private_file.write(draft, msgspec.json.format(msgspec.json.encode(artifact), indent=2) + b"\n")
        draft.replace(path)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from error
    show_value({"status": "written", "path": str(path), "routeCount": len(OPERATIONS)}, options)

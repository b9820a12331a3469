"""Commands that run a server or worker, and write the OpenAPI document."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    import logging

    from athena_api.app import AthenaApp
    from athena_api.edge.access_log import AccessLog
    from athena_api.plane import ControlPlane
    from athena_cli.output.banner import Listening
    from athena_core.settings import Settings


LogFormat: TypeAlias = Literal["auto", "text", "json"]


def serve(
    *, host: str | None = None, port: int | None = None, uds: Path | None = None, log: LogFormat = "auto"
) -> None:
    """Serve the API until SIGINT or SIGTERM.

    On a terminal, print addresses and the next command, then a line for each write and each problem. Otherwise print
    JSON lines.

    Args:
        host: Listen address; 127.0.0.1 if absent. Without authentication, only loopback addresses are allowed.
        port: Listen port; 8787 if absent, 0 for any free port.
        uds: Path of a Unix socket to listen on instead. Only this user can connect to it.
        log: Output: text for people, or JSON lines. `auto` is text on a terminal.
    """
    if uds is not None and (host is not None or port is not None):
        raise Misused("--uds cannot be combined with --host or --port")
    host, port = host or "127.0.0.1", 8787 if port is None else port
    if not 0 <= port <= 65_535:
        raise Misused(f"--port: {port} is not a port; expected 0 to 65535")

    import logging.config

    from athena_api.edge.access_log import log_lines

    formatter = _formatter(log)
    logging.config.dictConfig(log_lines(formatter=formatter))
    settings = _loaded()

    from athena_api import server
    from athena_api.app import build
    from athena_api.edge import versions
    from athena_cli.output.banner import Listening

    versions.check()
    timeout_ms = settings.send_timeout_ms
    listening = server.listen_unix(uds) if uds else server.listen(host, port, send_timeout_ms=timeout_ms)
    with listening:
        address = listening.getsockname()[0] if uds is None else None
        server.check_exposure(settings, address)
        app = build(settings, access_log=_access_log(log))
        for name in (host, address) if address else ():
            app.gate.browsers.answers_to(name)
        place = Listening(uds=uds)
        if address is not None:
            place = Listening(host, address, listening.getsockname()[1], tls=app.plane.certificate is not None)
        ready = partial(_announce, app, place, log)
        try:
            server.serve(app, listening, ready, formatter)
        except SystemExit as stop:  # uvicorn exits like this, after it has logged the reason
            raise Failed("the server stopped with an error; see the log lines above") from stop
        finally:
            if uds is not None:
                uds.unlink(missing_ok=True)


def _announce(app: "AthenaApp", place: "Listening", log: LogFormat) -> None:
    """Print that the server is ready: a banner, or one line of JSON."""
    plane = app.plane
    expiry = None if plane.certificate is None else plane.certificate.warning(plane.clock.now())
    warnings = [warning for warning in (plane.access.roster.warning, expiry) if warning is not None]
    if _is_text(log, render.on_terminal()):
        from athena_cli.output.banner import show_banner

        provider = plane.providers[plane.settings.default_provider]
        show_banner(plane.settings, place, configured=provider.configured, warnings=warnings)
        return
    for warning in warnings:
        render.note(f"Warning: {warning}")
    ready: dict[str, object] = {"status": "serving", "host": place.host, "port": place.port}
    if place.tls:
        ready["tls"] = True
    if place.uds is not None:
        ready = {"status": "serving", "uds": str(place.uds)}
    render.say(json.dumps(ready, separators=(",", ":")))


def _is_text(log: LogFormat, on_terminal: bool) -> bool:
    """Return True if a stream gets text instead of JSON lines."""
    return log == "text" or (log == "auto" and on_terminal)


def _formatter(log: LogFormat) -> "type[logging.Formatter]":
    """Return the formatter of log records."""
    from athena_api.edge.access_log import JsonLines
    from athena_api.edge.terminal_log import TextLines

    return TextLines if _is_text(log, render.errors_on_terminal()) else JsonLines


def _access_log(log: LogFormat) -> "AccessLog | None":
    """Return the access log for a terminal, None for the usual one."""
    if not _is_text(log, render.errors_on_terminal()):
        return None
    from athena_api.edge.terminal_log import TerminalLog
    from athena_core.clock import SystemClock

    return TerminalLog(SystemClock())  # the application sets its mask


def worker(*, concurrency: int | None = None, providers: str | None = None, log: LogFormat = "auto") -> None:
    """Execute runs without serving the API. Shares the database or state directory with servers.

    On SIGTERM or SIGINT, the worker takes no more runs and lets its current runs finish within ATHENA_WORKER_DRAIN_MS.
    A second signal stops it at once. Unfinished runs continue on another worker or server.

    Args:
        concurrency: Maximum number of concurrent runs; ATHENA_EXECUTOR_MAX_RUNS if absent.
        providers: Execute only runs of these providers, separated by commas.
        log: Output: text for people, or JSON lines. `auto` is text on a terminal.
    """
    if concurrency is not None and not 0 < concurrency < 2**31:
        raise Misused(f"--concurrency: {concurrency} is out of range; expected a whole number above 0")
    serves = tuple(name.strip() for name in providers.split(",")) if providers is not None else ()
    if "" in serves:
        raise Misused("--providers: expected names, separated by commas")

    settings = _loaded()
    settings = settings.replace(executor="inline", executor_max_runs=concurrency or settings.executor_max_runs)

    from athena_api.edge import versions
    from athena_api.worker import run_worker

    versions.check()

    def ready(plane: "ControlPlane") -> None:
        about = plane.runner.about
        if _is_text(log, render.on_terminal()):
            render.say(f"Working: up to {about.concurrency} runs of {', '.join(about.providers)}. Ctrl-C stops.")
            return
        line = {"status": "working", "id": plane.runner.executor, "concurrency": about.concurrency}
        render.say(json.dumps({**line, "providers": about.providers}, separators=(",", ":")))

    def leaving(runs: int) -> None:
        seconds = settings.worker_drain_ms / 1000
        if runs:
            render.note(f"Stopping after the current runs ({runs}) or {seconds:g} s. A second signal stops at once.")

    run_worker(settings, serves, ready, leaving, formatter=_formatter(log))


def _loaded() -> "Settings":
    """Read the settings, warn about some, and take them out of the environment."""
    from athena_core.settings import forget, load, warnings_of

    settings = load()
    for warning in warnings_of(settings):
        render.note(f"Warning: {warning}")
    forget()
    return settings


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

"""Checks of an installation, without a server and without changes."""

import asyncio
import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx2

from athena_cli.exit_codes import Misused
from athena_cli.offline_log import OfflineLog, open_offline_log
from athena_cli.output.values import distance
from athena_cli.transport import tls_context
from athena_cli.words.sentences import MESSAGES, REMEDIES
from athena_client.wire import PREFIX, certificate_fault
from athena_core.agents.known import read_agents
from athena_core.clock import SystemClock, iso
from athena_core.credentials.credentials_file import read_definitions
from athena_core.credentials.sources import FileSource, SecretUnavailable, VariableSource, read_once
from athena_core.decider import fold
from athena_core.domain import EVENTS, mcp_server
from athena_core.domain.profile import HarnessProfileCreated
from athena_core.errors import ConfigError
from athena_core.event import Value
from athena_core.log.codec import Codec
from athena_core.log.port import FORMAT, MOVED_TO, StoreFault, StoreReader
from athena_core.log.sqlite.connection import check_library, open_reader
from athena_core.log.sqlite.files import NETWORK_FILE_SYSTEMS, file_system
from athena_core.log.sqlite.integrity import inspect
from athena_core.mcp.servers import read_mcp_servers
from athena_core.proxies import LOOPBACK_NAMES
from athena_core.services.sandboxes import check_boxed, must_be_boxed
from athena_core.settings import LOCAL_SERVER_URL, Settings, load, warnings_of
from athena_core.system.certificate import Certificate
from athena_core.system.private_file import open_to_others
from athena_core.system.sandbox import SandboxProbe, probe
from athena_core.text import printable

SPACE_BYTES_MIN = 1 << 30
ANSWER_SECONDS_MAX = 2.0
AHEAD_SECONDS_MAX = 5.0
EXPIRES_SOON_DAYS = 14
RECENT_EVENTS = 1_000
CHECK_SECONDS = 30.0
"""The time for a check of the pages. ``athena verify`` has no limit."""
KNOWN = {event.TYPE for event in EVENTS}


CheckStatus: TypeAlias = Literal["ok", "notice", "wrong"]


class CheckResult(Value):
    """The result of one check: ``wrong`` is a fault, ``notice`` is worth knowing."""

    check: str
    status: CheckStatus
    says: str
    remedy: str | None = None


def examine() -> list[CheckResult]:
    """Run all checks in order and return their results. A check that fails may end the later ones."""
    findings = list(_versions())
    try:
        settings = load()
    except ConfigError as error:
        return [
            *findings,
            CheckResult(check="settings", status="wrong", says=error.message, remedy="correct the setting"),
        ]
    findings += _settings(settings)
    findings += check_credentials(settings.credentials_file)
    findings += check_agents(settings.agents, _served(settings))
    findings += check_mcp_servers(settings.mcp_servers, settings.credentials_file)
    findings.append(check_sandbox(probe(), required=settings.runtime_isolation_standard_require_sandbox))
    findings += _directory(settings.state_dir)
    findings += _server(settings)
    try:
        log = open_offline_log(settings, any_schema=True)
    except ConfigError as error:
        present = settings.database_url is not None or os.path.lexists(settings.state_dir / "log.db")
        findings.append(CheckResult(check="log", status="wrong" if present else "notice", says=error.message))
        return findings
    return [*findings, *_log(log, settings), *_views(log)]


def _versions() -> Iterator[CheckResult]:
    found = sys.version_info[:3]
    says = f"Python {platform.python_version()} on {platform.system()} {platform.release()}"
    good = found >= (3, 11) and platform.system() == "Linux"
    yield CheckResult(
        check="python", status="ok" if good else "wrong", says=says, remedy=None if good else "Python 3.11, Linux"
    )
    try:
        yield CheckResult(check="sqlite", status="ok", says=f"SQLite {check_library()}")
    except ConfigError as error:
        yield CheckResult(check="sqlite", status="wrong", says=error.message)
    lines = [line.split(";")[0] for line in requires("projectathena") or () if "extra ==" not in line]
    names = sorted(line.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip() for line in lines)
    try:
        says = ", ".join(f"{name} {version(name)}" for name in names)
        yield CheckResult(check="libraries", status="ok", says=says)
    except PackageNotFoundError as error:
        yield CheckResult(
            check="libraries", status="wrong", says=f"{error.name} is not installed", remedy="install Athena again"
        )


def _settings(settings: Settings) -> Iterator[CheckResult]:
    yield CheckResult(check="settings", status="ok", says="all settings are valid")
    for warning in warnings_of(settings):
        yield CheckResult(check="settings", status="notice", says=warning)
    places = len(settings.anchor_to)
    yield CheckResult(
        check="anchors elsewhere",
        status="ok" if places else "notice",
        says=f"servers send anchors to {places} places" if places else "servers send no anchors to other machines",
        remedy=None if places else "set ATHENA_ANCHOR_TO, or run 'athena anchor --to': docs/reference/operations.md",
    )
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        yield _certificate(settings.tls_cert_file, settings.tls_key_file)
    workspace = settings.workspace_root
    if not workspace.is_dir():
        yield CheckResult(
            check="workspace",
            status="wrong",
            says=f"{workspace} is not a directory",
            remedy="set ATHENA_WORKSPACE_ROOT to a directory",
        )


def check_sandbox(found: SandboxProbe, *, required: bool) -> CheckResult:
    """Check that commands of runs can have a sandbox here; ``required``: all commands need one."""
    if found.available:
        return CheckResult(check="sandbox", status="ok", says=f"bubblewrap {found.version} works")
    status: CheckStatus = "wrong" if required else "notice"
    return CheckResult(
        check="sandbox", status=status, says=f"no sandbox works here: {found.reason}", remedy=found.remedy
    )


def _served(settings: Settings) -> Collection[str]:
    """Return the providers of outside agents that have a key, or a server of their own."""
    from athena_api.wiring import servers_of

    return [name for name, server in servers_of(settings).items() if server.configured]


def check_agents(path: Path | None, served: Collection[str]) -> Iterator[CheckResult]:
    """Check the file of agents, that each program is installed, and that its provider is ``served``. Start nothing."""
    try:
        agents = read_agents(path)
    except ConfigError as error:
        remedy = "correct the file: docs/reference/agents.md"
        yield CheckResult(check="agents", status="wrong", says=error.message, remedy=remedy)
        return
    for name, agent in agents.items():
        lacks = agent.missing()
        says = "; ".join(lacks) or f"{agent.argv[0]} is installed"
        status: CheckStatus = "notice" if lacks else "ok"
        install = "install it, or correct argv, env.PATH or readOnly in the file" if lacks else None
        yield CheckResult(check=f"agent {name}", status=status, says=printable(says), remedy=install)
        if agent.provider not in served:
            says, remedy = f"provider {agent.provider} has no key", f"set ATHENA_{agent.provider.upper()}_API_KEY"
            yield CheckResult(check=f"agent {name}", status="notice", says=says, remedy=remedy)


def check_mcp_servers(path: Path | None, credentials: Path | None) -> Iterator[CheckResult]:
    """Check the file of MCP servers, that each program is installed, and that credentials exist. Start nothing."""
    try:
        servers = read_mcp_servers(path)
    except ConfigError as error:
        remedy = "correct the file: docs/reference/mcp.md"
        yield CheckResult(check="MCP servers", status="wrong", says=error.message, remedy=remedy)
        return
    try:
        known = read_definitions(credentials) if credentials is not None else {}
    except ConfigError:  # check_credentials reports it
        known = None
    for name, server in servers.items():
        needed = () if known is None else server.credential_names
        lacks = [*server.missing(), *(f"no credential {one!r}" for one in needed if one not in (known or ()))]
        says = "; ".join(lacks) or (server.url or f"{(server.command or ('',))[0]} is installed")
        install = "install it, or correct the files of MCP servers and of credentials" if lacks else None
        status: CheckStatus = "notice" if lacks else "ok"
        yield CheckResult(check=f"MCP server {name}", status=status, says=printable(says), remedy=install)


def changed_mcp_servers(reader: StoreReader) -> Iterator[CheckResult]:
    """Find MCP servers that listed other tools than an operator accepted."""
    codec = Codec(EVENTS)
    for _, name, _ in reader.guards(mcp_server.MCP_SERVER_GUARD):
        rows = reader.stream(mcp_server.stream_of(name))
        state = fold(mcp_server.DECIDER, (codec.decode(row, text=False).event for row in rows))
        if state.listed is not None and state.listed.hashes != state.accepted:
            says = "it listed other tools than an operator accepted, so runs may not call those"
            remedy = f"look at them with 'athena mcp-servers get {name}', then accept them"
            yield CheckResult(check=f"MCP server {name}", status="notice", says=says, remedy=remedy)


def unboxed_profiles(reader: StoreReader, settings: Settings) -> Iterator[CheckResult]:
    """Find stored profiles whose runs this server refuses, because their commands have no sandbox."""
    if not must_be_boxed(settings):
        return
    codec, after = Codec(EVENTS), 0
    while rows := reader.of_types((HarnessProfileCreated.TYPE,), after, reader.head(), RECENT_EVENTS):
        for row in rows:
            created = codec.decode(row, text=False).event
            assert isinstance(created, HarnessProfileCreated)
            try:
                check_boxed(created.profile)
            except ConfigError:
                says = "its runs are refused: they have commands without a sandbox, which could act as any person"
                remedy = "set ATHENA_AUTH_PROXY_SECRET and let the proxy send it, or use a profile with a sandbox"
                name = f"profile {created.harness_profile_id}"
                yield CheckResult(check=name, status="wrong", says=says, remedy=remedy)
        after = rows[-1].position


def check_credentials(path: Path | None) -> Iterator[CheckResult]:
    """Check the credentials file, and read each secret once without showing it."""
    if path is None:
        return
    try:
        definitions = read_definitions(path)
    except ConfigError as error:
        remedy = "correct the file: docs/how-to/credentials.md"
        yield CheckResult(check="credentials", status="wrong", says=error.message, remedy=remedy)
        return
    yield CheckResult(check="credentials", status="ok", says=printable(f"{len(definitions)} entries in {path}"))
    for name, definition in definitions.items():
        source = definition.source
        check = f"credential {name}"
        try:
            asyncio.run(read_once(source))
        except SecretUnavailable as error:
            variable = isinstance(source, VariableSource)
            remedy = "set it where servers and workers start" if variable else "correct the source, then check again"
            status: CheckStatus = "notice" if variable else "wrong"
            yield CheckResult(check=check, status=status, says=printable(str(error)), remedy=remedy)
            continue
        shared = isinstance(source, FileSource) and source.path.stat().st_mode & 0o044
        yield CheckResult(
            check=check,
            status="notice" if shared else "ok",
            says="the secret can be read" + (", also by other users" if shared else ""),
            remedy="run 'chmod 600' on its file, unless only this user can reach its directory" if shared else None,
        )


def _certificate(cert_file: Path, key_file: Path) -> CheckResult:
    try:
        certificate = Certificate(cert_file, key_file)
    except ConfigError as error:
        return CheckResult(check="certificate", status="wrong", says=error.message)
    expires = iso(certificate.current.not_after)
    return CheckResult(
        check="certificate",
        status="ok" if (warning := certificate.warning(SystemClock().now())) is None else "notice",
        says=warning or f"{cert_file} expires {distance(expires)}",
    )


def _directory(directory: Path) -> Iterator[CheckResult]:
    if not directory.exists():
        yield CheckResult(
            check="state directory", status="ok", says=f"{directory} does not exist yet; a server creates it"
        )
        directory = next(parent for parent in directory.absolute().parents if parent.exists())
    if not os.access(directory, os.W_OK | os.X_OK):
        yield CheckResult(
            check="state directory",
            status="wrong",
            says=f"{directory} is not writable",
            remedy="make this user its owner",
        )
    kind = file_system(directory)
    yield CheckResult(
        check="file system",
        status="wrong" if kind in NETWORK_FILE_SYSTEMS else "ok",
        says=f"{directory} is on {kind}",
        remedy="move the state directory to a local disk" if kind in NETWORK_FILE_SYSTEMS else None,
    )
    free = shutil.disk_usage(directory).free
    low = free < SPACE_BYTES_MIN
    yield CheckResult(
        check="space",
        status="notice" if low else "ok",
        says=f"{free / (1 << 30):.1f} GiB free",
        remedy="free some space; on a full disk, writes fail with STORE_FULL" if low else None,
    )
    mode = stat.S_IMODE(directory.stat().st_mode)
    if (directory / "log.db").exists():
        exposed = sum(1 for _ in open_to_others(directory))
        remedy = f"other users can list its files: chmod 700 {directory}" if mode & 0o077 else None
        if exposed:
            remedy = "other users can read recorded text; the next start of a server restricts these files"
        files = f", and other users can read {exposed} files in it" if exposed else ""
        yield CheckResult(
            check="permissions",
            status="notice" if remedy else "ok",
            says=f"{directory} has mode {mode:04o}{files}",
            remedy=remedy,
        )


def _server(settings: Settings) -> Iterator[CheckResult]:
    url = settings.api_base_url or LOCAL_SERVER_URL
    parts = urlsplit(url)
    try:
        answer = _get(settings, "/readyz")
    except Misused as error:
        yield CheckResult(check="settings", status="wrong", says=error.message, remedy="correct the setting")
        return
    except httpx2.HTTPError as error:
        if (reason := certificate_fault(error)) is not None:
            says = f"the certificate of {url} is not accepted: {reason}"
            remedy = "for a private authority, set ATHENA_API_CA_FILE to its certificate"
            yield CheckResult(check="server", status="wrong", says=says, remedy=remedy)
            return
        host, port = parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)
        with socket.socket() as probe:
            taken = probe.connect_ex((host, port)) == 0
        yield CheckResult(
            check="server",
            status="notice" if taken else "ok",
            says=f"{host}:{port} is in use, but not by an HTTP server" if taken else f"nothing listens at {url}",
            remedy="find out which program uses the port" if taken else None,
        )
        return
    if answer.status_code == 200:
        yield CheckResult(check="server", status="ok", says=f"a server at {url} is ready")
        yield from check_token(settings, url)
        yield from _problems(settings)
    elif "athena-position" in answer.headers or "x-trace-id" in answer.headers:
        yield CheckResult(
            check="server",
            status="wrong",
            says=f"the server at {url} is not ready: {answer.text[:200]}",
            remedy="see GET /api/v1/admin/health for the reason",
        )
        yield from _problems(settings)
    else:
        yield CheckResult(
            check="server",
            status="notice",
            says=f"{url} is not an Athena server (status {answer.status_code})",
            remedy="use another port, and set ATHENA_API_BASE_URL",
        )


def _problems(settings: Settings) -> Iterator[CheckResult]:
    """Report failing background loops of all servers and workers, if this identity may read them."""
    health, workers = (_read(settings, path) for path in ("/admin/health", "/workers"))
    others = [one for one in workers.get("items", ()) if one["id"] != health.get("executor")]
    places = [("the server", health), *((f"{one['kind']} {one['pid']} on {one['host']}", one) for one in others)]
    for place, found in places:
        for problem in found.get("problems", ()):  # absent on older releases
            count, since = problem["count"], problem["since"]
            yield CheckResult(
                check=f"background {problem['loop']}",
                status="wrong",
                says=printable(f"{place}: failing since {since}, {count} times: {problem['message']}"),
                remedy="look up the loop in docs/reference/operations.md; the traceback is in the log of that process",
            )


def _read(settings: Settings, path: str) -> dict[str, Any]:
    """Return the data of a response; empty if the request fails."""
    try:
        answer = _get(settings, PREFIX + path)
        data = answer.json()["data"] if answer.status_code == 200 else {}
    except (httpx2.HTTPError, ValueError, LookupError, TypeError):  # it may be another program
        return {}
    return data if isinstance(data, dict) else {}


def _get(settings: Settings, path: str) -> httpx2.Response:
    """Send a request to the server as this caller. Raise HTTPError, or Misused for a wrong ATHENA_API_CA_FILE."""
    url = settings.api_base_url or LOCAL_SERVER_URL
    headers = httpx2.Headers()
    if not path.startswith(PREFIX):
        pass  # a probe, for another program may use the port
    elif settings.token:
        headers["authorization"] = f"Bearer {settings.token}"
    elif settings.cli_identity:
        headers[settings.auth_identity_header] = settings.cli_identity
    verify = tls_context(settings, url) or True
    return httpx2.get(url + path, headers=headers, timeout=ANSWER_SECONDS_MAX, trust_env=False, verify=verify)


def check_token(settings: Settings, url: str) -> Iterator[CheckResult]:
    """Check that the server accepts ATHENA_TOKEN, that it lasts, and that it is sent encrypted."""
    if not settings.token:
        return
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        says = f"ATHENA_TOKEN is sent to {parts.hostname} without encryption"
        yield CheckResult(check="token", status="notice", says=says, remedy="use https:// in ATHENA_API_BASE_URL")
    answer = _get(settings, f"{PREFIX}/caller")
    try:
        body = answer.json()
        if answer.status_code == 200:
            yield _token_in_force(body["data"])
        elif answer.status_code == 401:
            code = body["error"]["code"]
            says = f"the server at {url} refuses it: {MESSAGES.get(code, body['error']['message'])} ({code})"
            remedy = REMEDIES["AUTH_TOKEN_INVALID"]
            yield CheckResult(check="token", status="wrong", says=printable(says), remedy=remedy)
    except (ValueError, LookupError, TypeError):  # an older release, or another program
        return


def _token_in_force(caller: dict[str, Any]) -> CheckResult:
    who = f"{caller['identity']} ({caller['role']})"
    token = caller.get("token")
    if token is None:
        return CheckResult(check="token", status="notice", says=f"the server ignores ATHENA_TOKEN; you are {who}")
    expires = token.get("expiresAt")
    if expires is None:
        return CheckResult(check="token", status="ok", says=f"ATHENA_TOKEN is accepted, as {who}; it does not expire")
    left = datetime.fromisoformat(expires) - datetime.fromtimestamp(SystemClock().now() / 1000, UTC)
    soon = left < timedelta(days=EXPIRES_SOON_DAYS)
    return CheckResult(
        check="token",
        status="notice" if soon else "ok",
        says=printable(f"ATHENA_TOKEN is accepted, as {who}; it expires {distance(expires)}"),
        remedy=REMEDIES["AUTH_TOKEN_EXPIRED"] if soon else None,
    )


def remedy_of(fault: StoreFault, url: str | None) -> str:
    """Return what mends a damaged table or index."""
    if fault.index_name is not None:
        return "run 'athena doctor --repair'"
    return "restore a backup with " + ("'athena restore'" if url is None else "the database's own tools")


def _log(log: OfflineLog, settings: Settings) -> Iterator[CheckResult]:
    for stray in log.archive.schema.strays:
        remedy = "find out where it comes from, then drop it or restore a backup"
        yield CheckResult(check="schema", status="wrong", says=f"the log holds {stray}", remedy=remedy)
    if not log.archive.schema.readable:
        return
    with closing(log.reader()) as reader:
        found = reader.inspect(CHECK_SECONDS)
    for fault in found.faults:
        yield CheckResult(check="pages", status="wrong", says=str(fault), remedy=remedy_of(fault, log.url))
    if not found.faults:
        status: CheckStatus = "notice" if found.unchecked else "ok"
        says = found.unchecked or "all tables and indexes are intact"
        yield CheckResult(check="pages", status=status, says=says)
    elif not found.only_indexes:
        return  # nothing else can be trusted
    format_ = log.archive.meta["format"]
    if not format_.isdigit() or int(format_) > FORMAT:
        says = f"the log has format {format_}, but this release reads {FORMAT}"
        yield CheckResult(
            check="log", status="wrong", says=says, remedy="use the release that wrote it, or a newer one"
        )
        return
    if moved := log.archive.meta.get(MOVED_TO):
        remedy = "set ATHENA_DATABASE_URL or ATHENA_STATE_DIR to the new place"
        yield CheckResult(check="log", status="wrong", says=f"the log was moved to {moved}", remedy=remedy)
        return
    reader = log.reader()
    try:
        head = reader.head()
        row = reader.row(head) if head else None
        size = log.archive.bytes() / (1 << 20)
        yield CheckResult(check="log", status="ok", says=f"log {reader.log_id} at position {head}, {size:.1f} MiB")
        yield from _anchor(log, reader, head)
        yield from changed_mcp_servers(reader)
        yield from unboxed_profiles(reader, settings)
        ahead = 0.0 if row is None else (row.recorded_at - SystemClock().now()) / 1000
        yield CheckResult(
            check="clock",
            status="notice" if ahead > AHEAD_SECONDS_MAX else "ok",
            says=f"the clock shows {iso(SystemClock().now())}"
            + (f", {ahead:.0f} s before the last event" if ahead > AHEAD_SECONDS_MAX else ""),
            remedy="set the clock; until it catches up, events are recorded with the time of the last event"
            if ahead > AHEAD_SECONDS_MAX
            else None,
        )
        newer = {row.type for row in reader.rows(max(head - RECENT_EVENTS, 0), RECENT_EVENTS)} - KNOWN
        if newer:
            says = f"the log has events of a newer release: {', '.join(sorted(newer))}"
            yield CheckResult(
                check="events", status="notice", says=says, remedy="update Athena to include them in views"
            )
    finally:
        reader.close()


def _anchor(log: OfflineLog, reader: StoreReader, head: int) -> Iterator[CheckResult]:
    """Compare the log with its anchor, like the start of a server."""
    accept = "restore the missing events, or start once with ATHENA_ACCEPT_FORK=true"
    try:
        anchor = log.anchor
    except ConfigError as error:
        yield CheckResult(check="anchor", status="wrong", says=error.message, remedy=accept)
        return
    if anchor is None:
        if head and log.url is None and log.archive.meta["format"] == str(FORMAT):
            says = "the anchor is missing, so a truncated log would go unnoticed"
            yield CheckResult(check="anchor", status="wrong", says=says, remedy=accept)
    elif anchor.log_id != reader.log_id:
        says = f"the anchor belongs to another log, {anchor.log_id}"
        yield CheckResult(check="anchor", status="wrong", says=says, remedy=accept)
    else:
        vouched = reader.row(anchor.position) if anchor.position else None
        cut = anchor.position > head or (vouched is not None and vouched.chain.hex() != anchor.chain)
        more = ", but events are missing or different now" if cut else ""
        yield CheckResult(
            check="anchor",
            status="wrong" if cut else "ok",
            says=f"the log once reached position {anchor.position}{more}",
            remedy=accept if cut else None,
        )


def _views(log: OfflineLog) -> Iterator[CheckResult]:
    views = log.views()
    name = views.generations.current()
    if name is None:
        yield CheckResult(check="views", status="ok", says="not built yet; a server builds them")
        return
    if log.url is None:
        with closing(open_reader(log.directory / "views" / name)) as connection:
            for fault in inspect(connection, CHECK_SECONDS).faults:
                yield CheckResult(check="views", status="wrong", says=f"{name}: {fault}", remedy="run 'athena replay'")
    yield CheckResult(check="views", status="ok", says=f"generation {name} is current")

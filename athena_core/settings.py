"""The settings: ``ATHENA_*`` variables, read once; the only reader of the environment (contract 12, D25, D34)."""

import base64
import grp
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload
from urllib.parse import parse_qs, unquote, urlsplit

from athena_core.definitions.workflow_graph import RUN_ITEMS_MAX
from athena_core.errors import ConfigError
from athena_core.proxies import parse_networks, parse_secrets
from athena_core.roles import check_header_name, parse_role, parse_role_map
from athena_core.values import BODY_BYTES_MAX, JSON_DEPTH_MAX, KEY_CHARS_MAX, MEMBER_CHARS_MAX, MILLISECONDS_MAX

T = TypeVar("T")

HOST = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
ORIGIN = re.compile(r"https?://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")


class Setting(Generic[T]):
    """A variable: its default as text, how it is read, what it means. The name is the attribute's in `Settings`.

    A ``secret`` one is never shown, and may be kept in a file that the variable ``<variable>_FILE`` names.
    """

    name: str
    variable: str

    def __init__(self, default: str, parse: Callable[[str], T], meaning: str, *, secret: bool = False) -> None:
        self.default = default
        self.parse = parse
        self.meaning = meaning
        self.secret = secret

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.variable = f"ATHENA_{name.upper()}"

    @overload
    def __get__(self, settings: None, owner: type) -> "Setting[T]": ...

    @overload
    def __get__(self, settings: "Settings", owner: type) -> T: ...

    def __get__(self, settings: "Settings | None", owner: type) -> "Setting[T] | T":
        if settings is None:
            return self
        value: T = settings.__dict__[self.name]
        return value

    if TYPE_CHECKING:  # a descriptor that can be set would be asked for each value

        def __set__(self, settings: "Settings", value: NoReturn) -> NoReturn: ...


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _path_or_none(text: str) -> Path | None:
    return _path(text) if text else None


def _hosts(text: str) -> tuple[str, ...]:
    names = _names(text.lower())
    for name in names:
        if not HOST.fullmatch(name):
            raise ValueError("expected names or addresses without ports, separated by commas")
    return tuple(name.strip("[]") for name in names)


def _origins(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        if not ORIGIN.fullmatch(name):
            raise ValueError("expected origins such as https://console.example.org, separated by commas")
    return names


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**31:
        raise ValueError("expected a whole number above 0")
    return int(text)


def _count_to(most: int) -> Callable[[str], int]:
    """A count with a ceiling of its own, up to which what is stored can be read again."""

    def parse(text: str) -> int:
        if _count(text) > most:
            raise ValueError(f"expected a whole number from 1 to {most}")
        return _count(text)

    return parse


def _count_or_none(text: str) -> int:
    if text == "0":
        return 0
    try:
        return _count(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _switch(text: str) -> bool:
    word = text.lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("expected true or false")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    if len(set(names)) < len(names) or "" in names:
        raise ValueError("expected names, each once, separated by commas")
    return names


def _patterns(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        if not name.strip("/") or any(part in {".", "..", "**"} for part in name.split("/")):
            raise ValueError("expected names and paths inside the workspace, with * and ?, separated by commas")
    return names


def _key(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("expected visible ASCII characters without blanks")
    return text


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return parse


def _mode(text: str) -> str:
    joined = {"softenforce": "soft-enforce"}
    word = text.lower().replace("_", "-")
    return _one_of("off", "observe", "soft-enforce", "enforce")(joined.get(word, word))


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:  # a port too high raises here
        raise ValueError("expected a URL that begins with http:// or https://")
    return text.rstrip("/")


def _database_or_none(text: str) -> str | None:
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected a URL that begins with postgresql://")
    return text or None


def _url_or_none(text: str) -> str:
    return text and _url(text)


KEY_FILE_BYTES_MAX = 8_192
LINKS_MAX = 8  # from .env to the file


class Settings:
    """The settings of a process. Each attribute is the variable in lower case, without its prefix ``ATHENA_``.

    ``files`` are the paths that they were read from, or would be: ``.env``, and the files of secrets.
    """

    files: tuple[Path, ...]

    state_dir = Setting(".athena", _path, "Where the log and the views are kept.")
    database_url = Setting(
        "",
        _database_or_none,
        "The PostgreSQL database that holds the log and the views, instead of the state directory.",
        secret=True,
    )
    workspace_root = Setting(".", _path, "The directory that `contextRefs` may read from and tools work in.")
    workspace_closed = Setting(
        "",
        _patterns,
        "Names (`*.pem`) and paths (`deploy/keys`) in it, comma-separated, that tools, reports and references neither"
        " read nor write, beside those that are always closed (tools.md).",
    )
    default_provider = Setting("mock", str, "The provider of runs that name none.")
    default_model = Setting("mock-model", str, "The model of runs that name none.")
    local_provider_cmd = Setting("/bin/cat", str, "The program of provider `local-exec`.")
    local_provider_args = Setting("", _words, "Its arguments, separated by spaces.")
    provider_fallback_order = Setting(
        "",
        _names,
        "Providers, comma-separated, that are asked in turn when the first fails and the run named none.",
    )
    openai_api_key = Setting("", _key, "The key of provider `openai`; local servers need none.", secret=True)
    openai_base_url = Setting("https://api.openai.com/v1", _url, "Any OpenAI-compatible server.")
    anthropic_api_key = Setting("", _key, "The key of provider `anthropic`.", secret=True)
    anthropic_base_url = Setting("https://api.anthropic.com", _url, "Any server that speaks its messages.")
    http_provider_url = Setting("", _url_or_none, "Where provider `http` asks; without it there is none.")
    http_provider_api_key = Setting("", _key, "The key that it sends.", secret=True)
    http_provider_timeout_ms = Setting("20000", _count, "How long its server may be silent.")
    runtime_run_timeout_ms = Setting("30000", _count_to(MILLISECONDS_MAX), "How long a run may take, in milliseconds.")
    schedule_run_timeout_ms = Setting("45000", _count_to(MILLISECONDS_MAX), "How long a run of a schedule may take.")
    session_wait_ms = Setting("10000", _count, "How long a synchronous run waits for its session.")
    context_strategy = Setting("raw", _one_of("raw", "summary"), "How contexts are compiled.")
    context_max_chars = Setting("32000", _count, "The largest context, in characters.")
    context_reserve_chars = Setting("2000", _count, "What of it is kept free for the answer.")
    context_max_overflow_retries = Setting("2", _count_or_none, "How often a context is made smaller.")
    context_summary_max_chars = Setting("2400", _count, "The largest summary, in characters.")
    context_max_tool_result_chars = Setting("12000", _count, "Where a tool result is cut on overflow.")
    history_max_entries = Setting("200", _count, "How many earlier entries a context may hold.")
    history_max_entry_chars = Setting("8000", _count, "Where an earlier entry is cut.")
    history_repair_tool_pairing = Setting("true", _switch, "Match earlier tool calls and their results.")
    history_strip_control_chars = Setting("true", _switch, "Leave control characters out of the history.")
    memory_enabled = Setting("false", _switch, "Search notes, and remind runs of them.")
    memory_sqlite_path = Setting("", str, "The index; `memory/index.sqlite` of the state directory if absent.")
    memory_include_transcripts = Setting("false", _switch, "Search what was said in sessions as well.")
    memory_max_results = Setting("6", _count, "How many passages a search finds, and a run is reminded of.")
    memory_max_snippet_chars = Setting("700", _count, "The largest passage that is shown, in characters.")
    memory_max_injected_chars = Setting("2500", _count, "What a run is reminded of at most, in characters.")
    memory_search_timeout_ms = Setting("2000", _count, "How long a search of the memory may take.")
    idempotency_hours = Setting("24", _count, "How long an `Idempotency-Key` is remembered.")
    accept_fork = Setting("false", _switch, "Go on from a log that ends before what was acknowledged.")
    anchor_to = Setting(
        "",
        _names,
        "Where the server writes anchors of the log, comma-separated: paths, `https://…`, `git:PATH`, `athena:URL`"
        " (operations.md).",
    )
    anchor_seconds = Setting("300", _count, "How many seconds are between two anchors. None is sent without events.")
    scheduler = Setting("on", _switch, "Whether this server runs what is due; `POST /schedules/tick` always does.")
    schedules_max = Setting("10000", _count, "How many schedules there may be.")
    schedule_minutes_min = Setting("1", _count, "How many minutes must lie between two slots of a schedule.")
    executor = Setting(
        "inline",
        _one_of("inline", "off"),
        "Whether a server executes runs itself; with `off` it leaves them to workers and other servers.",
    )
    executor_max_runs = Setting("1000", _count, "How many runs a process executes at a time; the others wait.")
    worker_drain_ms = Setting(
        "25000",
        _count,
        "How long a worker that is told to leave goes on with its runs, before others do.",
    )
    work_max_attempts = Setting("3", _count, "How often work may fail before it becomes a dead letter.")
    workflow_items_max = Setting(
        str(RUN_ITEMS_MAX),
        _count,
        "Maximum number of items of all maps of a workflow run together.",
    )
    a2a_max_hops = Setting("8", _count, "How many messages may lead to one another.")
    a2a_retry_ms = Setting("1000", _count, "How long a message waits after a failure; each time twice as long.")
    refusals_per_second = Setting(
        "100",
        _count,
        "Refusals of an identity and operation within a second; further requests are stopped with `RATE_LIMITED`.",
    )
    refusals_per_day = Setting(
        "2000",
        _count,
        "Refusals of an identity that are recorded one by one within a day; further ones are answered and counted.",
    )
    refusals_per_day_in_all = Setting("20000", _count, "The same for all identities together.")
    header_bytes_max = Setting("65536", _count, "The header fields of a request, in bytes.")
    headers_max = Setting("100", _count, "How many header fields it may have.")
    url_bytes_max = Setting("16384", _count, "Its path and query, in bytes.")
    body_bytes_max = Setting(str(BODY_BYTES_MAX), _count, "Its body, in bytes.")
    json_depth_max = Setting(
        str(JSON_DEPTH_MAX),
        _count_to(JSON_DEPTH_MAX),
        "How deep the JSON in it may be nested, in levels; not above the default.",
    )
    idempotency_key_chars_max = Setting(
        str(KEY_CHARS_MAX),
        _count_to(KEY_CHARS_MAX),
        "An `Idempotency-Key`, in characters; not above the default.",
    )
    reason_chars_max = Setting(
        str(MEMBER_CHARS_MAX),
        _count_to(MEMBER_CHARS_MAX),
        "The reason, note or comment of a command, in characters; not above the default.",
    )
    header_timeout_ms = Setting("10000", _count, "How long its head may take, in milliseconds.")
    body_timeout_ms = Setting("30000", _count, "How long its body may take after that.")
    bodies_in_flight_bytes_max = Setting(
        str(64 << 20),
        _count,
        "Bodies that are being received, over all connections, in bytes; the first 16 KiB of each do not count.",
    )
    answers_in_flight_bytes_max = Setting(
        str(128 << 20),
        _count,
        "Answers above 64 KiB that clients have not taken yet, over all connections, in bytes.",
    )
    send_timeout_ms = Setting("10000", _count, "How long a client may take (almost) nothing of an answer.")
    streams_max = Setting("10000", _count, "How many streams may be open.")
    streams_per_identity_max = Setting("1000", _count, "How many of them may be one identity's.")
    requests_per_second = Setting(
        "1000",
        _count,
        "How many requests an identity may make, twice as many at once; only where authentication is on.",
    )
    mask_secrets = Setting(
        "true",
        _switch,
        "Hide what looks like a key before it is recorded (security.md); the keys in these settings always are.",
    )
    auth_enabled = Setting("false", _switch, "Demand an identity header on every request.")
    auth_identity_header = Setting("x-athena-identity", check_header_name, "Its name.")
    auth_default_role = Setting(
        "Viewer",
        parse_role,
        "The role of identities that the map does not name; `None` locks them out.",
    )
    auth_identity_role_map = Setting("", parse_role_map, "`identity:Role`, comma-separated; `*` is the rest.")
    auth_role_map_file = Setting(
        "",
        _path_or_none,
        "The map as a file, one entry a line, read again on SIGHUP; instead of the variable.",
    )
    authz_mode = Setting(
        "enforce",
        _mode,
        "With authentication on: `off`, `observe` (record denials only), `soft-enforce` or `enforce`.",
    )
    authz_default_decision = Setting(
        "allow",
        _one_of("allow", "deny"),
        "What `observe` and `soft-enforce` decide where they do not guard.",
    )
    auth_trusted_proxies = Setting(
        "",
        parse_networks,
        "Networks, comma-separated, whose word on identities counts; without any, this machine's loopback addresses.",
    )
    auth_proxy_secret = Setting(
        "",
        parse_secrets,
        "What proxies must send as `x-athena-proxy-secret`; for a change, the new and the old one, comma-separated.",
        secret=True,
    )
    allowed_hosts = Setting(
        "",
        _hosts,
        "Names that requests may be addressed to beside loopback ones and the address that is listened on.",
    )
    allowed_origins = Setting("", _origins, "Origins, comma-separated, whose pages may use the API.")
    api_base_url = Setting("http://127.0.0.1:8787", _url, "Where the command line finds the server.")
    cli_transport = Setting("auto", _one_of("api", "local", "auto"), "How the command line reaches the plane.")
    cli_api_timeout_ms = Setting("5000", _count, "How long the command line waits for a connection.")
    cli_identity = Setting("", str, "The identity that the command line sends.")

    def __init__(self, values: Mapping[str, object], files: tuple[Path, ...]) -> None:
        self.__dict__.update(values, files=files)  # without __set__ it is read from here, and no frame is entered

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} cannot be set")

    def replace(self, **values: object) -> "Settings":
        """Return a copy with other values of some settings. Raise TypeError for an unknown one."""
        if unknown := values.keys() - self.__dict__.keys():
            raise TypeError(f"no such settings: {', '.join(sorted(unknown))}")
        return Settings({**self.__dict__, **values}, self.files)


SETTINGS: tuple[Setting[Any], ...] = tuple(value for value in vars(Settings).values() if isinstance(value, Setting))

REPLACED: Mapping[str, str] = {
    "ATHENA_RUN_HISTORY_RETENTION_DAYS": "nothing leaves the log by itself",
    "ATHENA_RETENTION_SWEEP_MS": "nothing leaves the log by itself",
    "ATHENA_EVENTS_MAX_RECORDS": "nothing leaves the log by itself",
    "ATHENA_EVENTS_MAX_AGE_MS": "nothing leaves the log by itself",
    "ATHENA_EVENTS_MAX_BYTES": "nothing leaves the log by itself",
    "ATHENA_EVENT_RETENTION_DAYS": "nothing leaves the log by itself",
    "ATHENA_EVENT_MAX_BYTES": "nothing leaves the log by itself",
    "ATHENA_DISTRIBUTED_LOCK_PROVIDER": "the log decides; no lock service is needed",
    "ATHENA_REDIS_URL": "the log decides; no lock service is needed",
    "ATHENA_FLEET_METRICS_PROVIDER": "fleet figures are projected from events",
}
"""Settings of the original server that mean nothing here, and what replaces them (contract D34)."""


def load(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the environment, and ``.env`` of a directory below it. Raises ConfigError naming the variable."""
    dotenv = (directory or Path.cwd()) / ".env"
    values = read_dotenv(dotenv) | dict(os.environ if environment is None else environment)
    found: dict[str, object] = {}
    files = [dotenv]
    for setting in SETTINGS:
        text = values.get(setting.variable, "").strip() or setting.default
        if setting.secret and (path := values.get(f"{setting.variable}_FILE", "").strip()):
            if text:
                raise ConfigError(f"{setting.variable}_FILE: expected only one of it and {setting.variable}")
            text = _read_secret(f"{setting.variable}_FILE", path)
            files.append(_path(path))
        try:
            found[setting.name] = setting.parse(text)
        except (ValueError, ConfigError) as error:
            shown = "" if setting.secret else f" (it is {text!r})"
            raise ConfigError(f"{setting.variable}: {error}{shown}") from error
    settings = Settings(found, tuple(files))
    if settings.context_reserve_chars >= settings.context_max_chars:
        raise ConfigError("ATHENA_CONTEXT_RESERVE_CHARS: must be below ATHENA_CONTEXT_MAX_CHARS")
    if settings.auth_role_map_file is not None and settings.auth_identity_role_map:
        raise ConfigError("ATHENA_AUTH_ROLE_MAP_FILE: expected only one of it and ATHENA_AUTH_IDENTITY_ROLE_MAP")
    return settings


def secrets_of(settings: Settings) -> Iterator[str]:
    """What the secret settings hold, and the passwords in URLs of any setting, as they are sent."""
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        if setting.secret:
            yield from (value,) if isinstance(value, str) else value or ()
        for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            if isinstance(text, str) and "://" in text:
                yield from _passwords(text.removeprefix("athena:"))


def _passwords(url: str) -> Iterator[str]:
    """The passwords in a URL: as written, decoded, and as HTTP's Basic credentials."""
    parts = urlsplit(url)
    yield from (value for name, values in parse_qs(parts.query).items() if "password" in name for value in values)
    if parts.password:
        plain = unquote(parts.password)
        yield from (parts.password, plain)
        yield base64.b64encode(f"{unquote(parts.username or '')}:{plain}".encode()).decode()


def _read_secret(variable: str, path: str) -> str:
    """The one line of a file, without the blanks around it."""
    try:
        with _path(path).open("rb") as file:
            text = file.read(KEY_FILE_BYTES_MAX + 1).decode().strip()
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}: {path} does not hold a key") from None
    if not text or len(text) > KEY_FILE_BYTES_MAX:
        raise ConfigError(f"{variable}: {path} does not hold a key")
    return text


def replaced(environment: Mapping[str, str] | None = None) -> list[str]:
    """A warning line for each setting of the original server that means nothing here."""
    present = os.environ if environment is None else environment
    azure = [f"{name}: cloud integration is not part of this server" for name in present if "ATHENA_AZURE_" in name]
    return [f"{name}: {instead}" for name, instead in REPLACED.items() if name in present] + azure


def read_dotenv(path: Path, user: int | None = None) -> dict[str, str]:
    """``KEY=value`` lines; ``#`` begins a comment line; quotes around a value are taken off.

    Settings choose programs and destinations. Raise ConfigError if a user other than root and ``user`` (this one if
    absent) may have written them.
    """
    values: dict[str, str] = {}
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # a FIFO would block
            _check_writers(path, os.fstat(file.fileno()), os.geteuid() if user is None else user)
            text = file.read().decode()
    except (FileNotFoundError, NotADirectoryError):
        return values
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for line in text.splitlines():
        name, found, value = line.strip().partition("=")
        if not found or name.startswith("#"):
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[name.removeprefix("export ").strip()] = value
    return values


def _check_writers(path: Path, opened: os.stat_result, user: int) -> None:
    """Refuse an opened file that another user may have written, linked or put there."""
    if not stat.S_ISREG(opened.st_mode):
        raise ConfigError(f"{path}: is not a regular file. Remove it.")
    _check_owner(path, path, opened, user)
    _check_mode(path, path, opened)
    place = path
    for _ in range(LINKS_MAX):
        folder = place.parent.stat()
        if not folder.st_mode & stat.S_ISVTX:  # in a sticky directory only its owner may replace a file
            _check_owner(path, place.parent, folder, user)
            _check_mode(path, place.parent, folder)
        if not place.is_symlink():
            return
        _check_owner(path, place, place.lstat(), user)
        place = place.parent / place.readlink()
    raise ConfigError(f"{path}: more than {LINKS_MAX} links lead to the file. Link to the file itself.")


def _check_owner(path: Path, place: Path, status: os.stat_result, user: int) -> None:
    if status.st_uid not in {user, 0}:
        remedy = "Check the contents, then copy them to a directory of your own or run 'chown'."
        raise ConfigError(f"{path}: not read, because {place} belongs to user {_user_name(status.st_uid)}. {remedy}")


def _check_mode(path: Path, place: Path, status: os.stat_result) -> None:
    shared = status.st_mode & stat.S_IWGRP and not _is_private_group(status)
    if shared or status.st_mode & stat.S_IWOTH:
        remedy = f"Check the contents, then run 'chmod go-w {place}'."
        raise ConfigError(f"{path}: not read, because other users may write {place}. {remedy}")


def _is_private_group(status: os.stat_result) -> bool:
    """Return True if the owner is the only member of the group, as usual where the umask is 002."""
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return owner.pw_gid == group.gr_gid and owner.pw_name == group.gr_name and set(group.gr_mem) <= {owner.pw_name}


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)

"""The settings: ``ATHENA_*`` variables, read once; the only module that reads the environment."""

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload
from urllib.parse import parse_qs, unquote, urlsplit

from athena_core.errors import ConfigError
from athena_core.proxies import parse_secrets, parse_token, parse_trusted
from athena_core.roles import check_header_name, parse_group_role_map, parse_role, parse_role_map
from athena_core.system import own_environment
from athena_core.system.dotenv import read_dotenv
from athena_core.system.setting_values import (
    SIZE_MAX,
    parse_between,
    parse_count,
    parse_count_or_none,
    parse_count_to,
    parse_database_or_none,
    parse_hosts,
    parse_key,
    parse_mode,
    parse_names,
    parse_one_of,
    parse_only_true,
    parse_origins,
    parse_path,
    parse_path_or_none,
    parse_patterns,
    parse_size,
    parse_switch,
    parse_url,
    parse_url_or_none,
    parse_words,
)
from athena_core.values import (
    BODY_BYTES_MAX,
    JSON_DEPTH_MAX,
    KEY_CHARS_MAX,
    MEMBER_CHARS_MAX,
    MILLISECONDS_MAX,
    RUN_ITEMS_MAX,
)

T = TypeVar("T")

LOCAL_SERVER_URL = "http://127.0.0.1:8787"
"""The address of a server that was started without options."""


class Setting(Generic[T]):
    """A setting: its default as text, its parser and its meaning. The variable's name follows from the attribute's.

    A ``secret`` value is never shown. It may be kept in a file that the variable ``<variable>_FILE`` names.
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

    if TYPE_CHECKING:  # without __set__ Python reads the instance's dict first and does not call __get__

        def __set__(self, settings: "Settings", value: NoReturn) -> NoReturn: ...


KEY_FILE_BYTES_MAX = 8_192


class Settings:
    """The settings of a process. Each attribute is the variable in lower case, without its prefix ``ATHENA_``.

    ``files`` are the paths of the ``.env`` and of the secret files, also of a ``.env`` that does not exist.
    """

    files: tuple[Path, ...]

    state_dir = Setting(".athena", parse_path, "Directory of the log and the views.")
    database_url = Setting(
        "",
        parse_database_or_none,
        "URL of a PostgreSQL database to store the log and the views in, instead of the state directory.",
        secret=True,
    )
    workspace_root = Setting(".", parse_path, "Directory that tools work in and `contextRefs` are read from.")
    workspace_closed = Setting(
        "",
        parse_patterns,
        "Names (`*.pem`) and paths (`deploy/keys`) in the workspace, comma-separated, that tools, reports and"
        " references may neither read nor write. Some are always closed (tools.md).",
    )
    workspaces_source = Setting(
        "auto",
        parse_one_of("auto", "clone", "copy", "empty"),
        "Content of a new workspace of a session or workflow run: a `clone` of the repository in"
        " `ATHENA_WORKSPACE_ROOT`, a `copy` of its files, or `empty`. `auto` clones where there is a repository, else"
        " copies.",
    )
    workspaces_dir = Setting(
        "",
        parse_path_or_none,
        "Directory of the workspaces of sessions and workflow runs. Default: `workspaces` in the state directory.",
    )
    workspaces_bytes_max = Setting("10737418240", parse_size, "Maximum size of these workspaces together, in bytes.")
    workspaces_keep_hours = Setting(
        "168",
        parse_count_or_none,
        "Hours after which an unused one is cleaned, unless an operator keeps it; 0: as soon as its runs have ended.",
    )
    default_provider = Setting("mock", str, "Provider of runs that do not name one.")
    default_model = Setting(
        "",
        str,
        "Model of runs that name neither a model nor another provider. Without it, such a run takes the only model"
        " that the provider's server lists, or is refused.",
    )
    local_provider_cmd = Setting("/bin/cat", str, "Program that provider `local-exec` starts.")
    local_provider_args = Setting("", parse_words, "Arguments of that program, separated by spaces.")
    provider_fallback_order = Setting(
        "",
        parse_names,
        "Providers, comma-separated, to try in this order if the default provider fails. A provider that the run"
        " names has no fallback.",
    )
    openai_api_key = Setting("", parse_key, "API key of provider `openai`. Local servers need none.", secret=True)
    openai_base_url = Setting("https://api.openai.com/v1", parse_url, "Base URL of an OpenAI-compatible server.")
    anthropic_api_key = Setting("", parse_key, "API key of provider `anthropic`.", secret=True)
    anthropic_base_url = Setting(
        "https://api.anthropic.com", parse_url, "Base URL of a server with Anthropic's Messages API."
    )
    gemini_api_key = Setting(
        "", parse_key, "API key of provider `gemini`, which serves outside agents only.", secret=True
    )
    gemini_base_url = Setting(
        "https://generativelanguage.googleapis.com", parse_url, "Base URL of a server with Gemini's API."
    )
    http_provider_url = Setting("", parse_url_or_none, "URL of provider `http`. If empty, the provider does not exist.")
    http_provider_api_key = Setting("", parse_key, "API key of provider `http`.", secret=True)
    http_provider_timeout_ms = Setting("20000", parse_count, "Read timeout of provider `http`, in milliseconds.")
    runtime_run_timeout_ms = Setting(
        "600000", parse_count_to(MILLISECONDS_MAX), "Default timeout of a run, in milliseconds."
    )
    schedule_run_timeout_ms = Setting(
        "600000", parse_count_to(MILLISECONDS_MAX), "Default timeout of a scheduled run, in milliseconds."
    )
    session_wait_ms = Setting(
        "10000", parse_count, "Maximum time that a synchronous run waits for a busy session, in milliseconds."
    )
    context_strategy = Setting("raw", parse_one_of("raw", "summary"), "Strategy for compiling contexts.")
    context_max_chars = Setting("32000", parse_count, "Maximum size of a context, in characters.")
    context_reserve_chars = Setting("2000", parse_count, "Characters of the context reserved for the answer.")
    context_max_overflow_retries = Setting(
        "2", parse_count_or_none, "Maximum attempts to shrink a context that is too large."
    )
    context_summary_max_chars = Setting("2400", parse_count, "Maximum size of a summary, in characters.")
    context_max_tool_result_chars = Setting(
        "12000", parse_count, "Maximum size of a tool result in a context that overflowed, in characters."
    )
    history_max_entries = Setting("200", parse_count, "Maximum number of earlier transcript entries in a context.")
    history_max_entry_chars = Setting("8000", parse_count, "Maximum size of an earlier entry, in characters.")
    history_repair_tool_pairing = Setting("true", parse_switch, "Pair earlier tool calls with their results.")
    history_strip_control_chars = Setting("true", parse_switch, "Remove control characters from the history.")
    memory_enabled = Setting("false", parse_switch, "Search notes, and give matching passages to runs.")
    memory_sqlite_path = Setting("", str, "Path of the index. Default: `memory/index.sqlite` in the state directory.")
    memory_include_transcripts = Setting("false", parse_switch, "Search the transcripts of sessions, too.")
    memory_max_results = Setting(
        "6", parse_count, "Maximum number of passages that a search returns or a run is given."
    )
    memory_max_snippet_chars = Setting("700", parse_count, "Maximum size of a passage, in characters.")
    memory_max_injected_chars = Setting(
        "2500", parse_count, "Maximum size of all passages given to a run, in characters."
    )
    memory_search_timeout_ms = Setting("2000", parse_count, "Timeout of a memory search, in milliseconds.")
    idempotency_hours = Setting("24", parse_count, "Hours that an `Idempotency-Key` is kept.")
    accept_fork = Setting("false", parse_switch, "Start even if the log ends before its last acknowledged event.")
    anchor_to = Setting(
        "",
        parse_names,
        "Destinations of anchors, comma-separated: paths, `https://…`, `git:PATH`, `athena:URL` (operations.md).",
    )
    anchor_token = Setting("", parse_token, "Token for the other Athena that anchors are sent to.", secret=True)
    anchor_seconds = Setting("300", parse_count, "Seconds between two anchors. Without new events no anchor is sent.")
    scheduler = Setting("on", parse_switch, "Run due schedules. If off, only `POST /schedules/tick` does.")
    schedules_max = Setting("10000", parse_count, "Maximum number of schedules.")
    schedule_minutes_min = Setting("1", parse_count, "Minimum interval of a schedule, in minutes.")
    executor = Setting(
        "inline",
        parse_one_of("inline", "off"),
        "`inline`: the server executes runs. `off`: it leaves them to workers and other servers.",
    )
    executor_max_runs = Setting(
        "1000", parse_count, "Maximum number of runs that a process executes at once. Others wait."
    )
    worker_drain_ms = Setting(
        "25000",
        parse_count,
        "Milliseconds that a stopping worker may still spend on its runs before others take them over.",
    )
    work_max_attempts = Setting("3", parse_count, "Attempts before a failing work item becomes a dead letter.")
    workflow_items_max = Setting(
        str(RUN_ITEMS_MAX),
        parse_count,
        "Maximum number of map items in a workflow run.",
    )
    a2a_max_hops = Setting("8", parse_count, "Maximum number of messages in a chain, each caused by the one before.")
    a2a_retry_ms = Setting(
        "1000", parse_count, "Delay before a failed message is sent again, in milliseconds; doubles each time."
    )
    refusals_per_second = Setting(
        "100",
        parse_count,
        "Refusals per second of one identity and operation. Above that, requests get `RATE_LIMITED`.",
    )
    refusals_per_day = Setting(
        "2000",
        parse_count,
        "Refusals per day of one identity that are recorded one by one. Above that, they are only counted.",
    )
    refusals_per_day_in_all = Setting(
        "20000", parse_count, "Refusals per day of all identities together that are recorded one by one."
    )
    header_bytes_max = Setting("65536", parse_count, "Maximum size of a request's header fields, in bytes.")
    headers_max = Setting("100", parse_count, "Maximum number of header fields of a request.")
    url_bytes_max = Setting("16384", parse_count, "Maximum size of a request's path and query, in bytes.")
    body_bytes_max = Setting(str(BODY_BYTES_MAX), parse_count, "Maximum size of a request body, in bytes.")
    json_depth_max = Setting(
        str(JSON_DEPTH_MAX),
        parse_count_to(JSON_DEPTH_MAX),
        "Maximum nesting of JSON in a request body, in levels. Cannot be above the default.",
    )
    idempotency_key_chars_max = Setting(
        str(KEY_CHARS_MAX),
        parse_count_to(KEY_CHARS_MAX),
        "Maximum length of an `Idempotency-Key`, in characters. Cannot be above the default.",
    )
    reason_chars_max = Setting(
        str(MEMBER_CHARS_MAX),
        parse_count_to(MEMBER_CHARS_MAX),
        "Maximum length of a reason, note or comment, in characters. Cannot be above the default.",
    )
    header_timeout_ms = Setting("10000", parse_count, "Maximum time to receive a request's head, in milliseconds.")
    body_timeout_ms = Setting(
        "30000", parse_count, "Maximum time to receive a request's body after its head, in milliseconds."
    )
    bodies_in_flight_bytes_max = Setting(
        str(64 << 20),
        parse_count,
        "Maximum size of all request bodies being received, in bytes. The first 16 KiB of each do not count.",
    )
    answers_in_flight_bytes_max = Setting(
        str(128 << 20),
        parse_count,
        "Maximum size of all answers above 64 KiB that are being sent, in bytes.",
    )
    send_timeout_ms = Setting(
        "10000", parse_count, "Time after which a client that stops reading is disconnected, in milliseconds."
    )
    streams_max = Setting("10000", parse_count, "Maximum number of open streams.")
    streams_per_identity_max = Setting("1000", parse_count, "Maximum number of open streams of one identity.")
    requests_per_second = Setting(
        "1000",
        parse_count,
        "Requests per second of one identity, with bursts of twice as many. Applies only with authentication on.",
    )
    mask_secrets = Setting(
        "true",
        parse_switch,
        "Mask what looks like a key before it is recorded (security.md). Keys in these settings are always masked.",
    )
    auth_enabled = Setting("false", parse_switch, "Require an identity header on every request.")
    auth_identity_header = Setting("x-athena-identity", check_header_name, "Name of the identity header.")
    auth_default_role = Setting(
        "Viewer",
        parse_role,
        "Role of identities that are not in the role map. `None` locks them out.",
    )
    auth_identity_role_map = Setting(
        "", parse_role_map, "Roles as `identity:Role`, comma-separated. `*` is every other identity."
    )
    auth_role_map_file = Setting(
        "",
        parse_path_or_none,
        "File with the role map, one entry a line, instead of the variable. Read again on SIGHUP.",
    )
    authz_mode = Setting(
        "enforce",
        parse_mode,
        "Authorization mode: `off`, `observe` (only record denials), `soft-enforce` or `enforce`.",
    )
    authz_default_decision = Setting(
        "allow",
        parse_one_of("allow", "deny"),
        "What `observe` and `soft-enforce` do with requests that they do not protect: `allow` or `deny`.",
    )
    auth_trusted_proxies = Setting(
        "",
        parse_trusted,
        "Networks of trusted proxies, comma-separated; `none` if no peer may set an identity. Default: loopback.",
    )
    auth_proxy_secret = Setting(
        "",
        parse_secrets,
        "Secret that proxies send as `x-athena-proxy-secret`. During a change: new and old one, comma-separated.",
        secret=True,
    )
    auth_api_token = Setting(
        "",
        parse_token,
        "Bearer token of the identity `api-token`, at least 16 characters. Its role is in the role map.",
        secret=True,
    )
    auth_groups_header = Setting(
        "x-forwarded-groups",
        check_header_name,
        "Name of the header in which a trusted proxy lists the groups of an identity.",
    )
    auth_group_role_map = Setting(
        "",
        parse_group_role_map,
        "Roles as `group:Role`, comma-separated, for identities that are not in the role map.",
    )
    tls_cert_file = Setting(
        "", parse_path_or_none, "PEM file with the certificate chain of the server. Read again on SIGHUP."
    )
    tls_key_file = Setting("", parse_path_or_none, "PEM file with the private key of the certificate.")
    credentials_file = Setting(
        "",
        parse_path_or_none,
        "TOML file with the credentials that tools add to requests (credentials.md). Read again on SIGHUP.",
    )
    agents = Setting(
        "",
        parse_path_or_none,
        "TOML or JSON file with the outside agents that are registered (agents.md). Read again on SIGHUP.",
    )
    agents_memory_bytes_max = Setting(
        "0",
        parse_between(0, SIZE_MAX),
        "Maximum memory of the outside agents of a server or worker, in bytes. Further runs wait. 0: no limit.",
    )
    mcp_servers = Setting(
        "",
        parse_path_or_none,
        "TOML file with the MCP servers whose tools runs may call (mcp.md). Read again on SIGHUP.",
    )
    runtime_isolation_standard_require_sandbox = Setting(
        "false",
        parse_switch,
        "Require a sandbox for commands of runs and reviews, whatever their harness profile says.",
    )
    runtime_isolation_high_security_require_sandbox = Setting(
        "true", parse_only_true, "Always `true`: runs whose profile has `sandbox.mode` `required` need a sandbox."
    )
    sandbox_memory_bytes_max = Setting(
        "2147483648", parse_between(2**26, SIZE_MAX), "Maximum memory of a command in a sandbox, in bytes."
    )
    sandbox_processes_max = Setting("256", parse_between(8, 4_096), "Maximum number of its processes and threads.")
    sandbox_cpu_seconds_max = Setting("600", parse_between(1, 86_400), "Maximum CPU time of all its processes.")
    sandbox_disk_bytes_max = Setting(
        "10737418240",
        parse_between(2**20, SIZE_MAX),
        "Maximum growth of the workspace's file system while it runs, in bytes. All that is written there counts.",
    )
    allowed_hosts = Setting(
        "",
        parse_hosts,
        "Host names of this server, comma-separated, beside loopback names and the listen address.",
    )
    allowed_origins = Setting("", parse_origins, "Origins, comma-separated, whose pages may use the API.")
    demo = Setting("false", parse_switch, "Show the guide of `athena demo` in the console. Does nothing else.")
    api_base_url = Setting(
        "", parse_url_or_none, f"URL of the server that the command line calls; `{LOCAL_SERVER_URL}` if absent."
    )
    cli_transport = Setting(
        "auto",
        parse_one_of("api", "local", "auto"),
        "How the command line executes commands: `api`, `local` or `auto`.",
    )
    cli_api_timeout_ms = Setting(
        "5000", parse_count, "Maximum time to connect and to wait for a response, in milliseconds."
    )
    cli_identity = Setting("", str, "Identity that the command line sends.")
    token = Setting("", parse_token, "Token that the command line sends.", secret=True)
    api_ca_file = Setting(
        "", parse_path_or_none, "PEM file with the authorities that the command line trusts, instead of the system's."
    )

    def __init__(self, values: Mapping[str, object], files: tuple[Path, ...]) -> None:
        self.__dict__.update(values, files=files)  # Python reads it without calling __get__

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} cannot be set")

    def replace(self, **values: object) -> "Settings":
        """Return a copy with other values of some settings. Raise TypeError for an unknown one."""
        if unknown := values.keys() - self.__dict__.keys():
            raise TypeError(f"unknown settings: {', '.join(sorted(unknown))}")
        return Settings({**self.__dict__, **values}, self.files)


CLOSED = ("agents", "credentials_file", "mcp_servers", "tls_key_file")
"""Settings that name files which tools may not reach, beside ``.env`` and the files of secret settings."""

SETTINGS: tuple[Setting[Any], ...] = tuple(value for value in vars(Settings).values() if isinstance(value, Setting))

KEPT, UNLOCKED = "not used; the log keeps all events", "not used; the log needs no lock service"
LEAVING = (
    "context_max_overflow_retries", "context_summary_max_chars", "context_max_tool_result_chars",
    "context_reserve_chars", "history_max_entry_chars", "history_repair_tool_pairing",
    "history_strip_control_chars", "memory_max_results", "memory_max_snippet_chars", "memory_max_injected_chars",
    "memory_search_timeout_ms", "runtime_isolation_high_security_require_sandbox", "a2a_max_hops", "a2a_retry_ms",
    "refusals_per_day_in_all", "header_bytes_max", "headers_max", "url_bytes_max", "json_depth_max",
    "idempotency_key_chars_max", "reason_chars_max", "body_timeout_ms", "schedule_minutes_min",
    "answers_in_flight_bytes_max", "bodies_in_flight_bytes_max"
)  # fmt: skip
"""Settings that become constants in release 0.5. Another value than the default is honoured until then."""

REPLACED: Mapping[str, str] = {
    **{f"ATHENA_{name}": KEPT for name in ("RUN_HISTORY_RETENTION_DAYS", "RETENTION_SWEEP_MS", "EVENTS_MAX_RECORDS")},
    **{f"ATHENA_EVENT{name}": KEPT for name in ("S_MAX_AGE_MS", "S_MAX_BYTES", "_RETENTION_DAYS", "_MAX_BYTES")},
    **dict.fromkeys(("ATHENA_DISTRIBUTED_LOCK_PROVIDER", "ATHENA_REDIS_URL"), UNLOCKED),
    "ATHENA_FLEET_METRICS_PROVIDER": "not used; fleet figures are computed from events",
}
"""Settings of the original server without a meaning here, with the text of their warning."""


def load(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Read the settings from the environment, else from ``.env`` in a directory. Raise ConfigError for a bad value."""
    dotenv = (directory or Path.cwd()) / ".env"
    present = dict(os.environ if environment is None else environment)
    values = read_dotenv(dotenv) | present
    address = "ATHENA_API_BASE_URL"
    if values.get(address) != present.get(address) and any(map(present.get, ("ATHENA_TOKEN", "ATHENA_TOKEN_FILE"))):
        raise ConfigError(
            f"{address}: .env sets it, but the token is in the environment. Set both in one place, because the "
            "directory of another person must not choose where the token is sent"
        )
    found: dict[str, object] = {}
    files = [dotenv]
    for setting in SETTINGS:
        text = values.get(setting.variable, "").strip() or setting.default
        if setting.secret and (path := values.get(f"{setting.variable}_FILE", "").strip()):
            if text:
                raise ConfigError(f"{setting.variable}_FILE: set either this or {setting.variable}, not both")
            text = _read_secret(f"{setting.variable}_FILE", path)
            files.append(parse_path(path))
        try:
            found[setting.name] = setting.parse(text)
        except (ValueError, ConfigError) as error:
            shown = "" if setting.secret else f" (got {text!r})"
            raise ConfigError(f"{setting.variable}: {error}{shown}") from error
    files += [place for name in CLOSED if isinstance(place := found[name], Path)]
    settings = Settings(found, tuple(files))
    if settings.context_reserve_chars >= settings.context_max_chars:
        raise ConfigError("ATHENA_CONTEXT_RESERVE_CHARS: must be below ATHENA_CONTEXT_MAX_CHARS")
    if settings.auth_role_map_file is not None and settings.auth_identity_role_map:
        raise ConfigError("ATHENA_AUTH_ROLE_MAP_FILE: set either this or ATHENA_AUTH_IDENTITY_ROLE_MAP, not both")
    if settings.token and settings.cli_identity:
        raise ConfigError("ATHENA_TOKEN: set either this or ATHENA_CLI_IDENTITY, not both")
    if settings.anchor_token and sum(place.startswith("athena:") for place in settings.anchor_to) > 1:
        raise ConfigError("ATHENA_ANCHOR_TOKEN: it is sent to one Athena, but ATHENA_ANCHOR_TO has several")
    if settings.auth_groups_header == settings.auth_identity_header:
        raise ConfigError("ATHENA_AUTH_GROUPS_HEADER: must not be the header of ATHENA_AUTH_IDENTITY_HEADER")
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise ConfigError("ATHENA_TLS_CERT_FILE: set it together with ATHENA_TLS_KEY_FILE, or neither")
    return settings


def secrets_of(settings: Settings) -> dict[str, str]:
    """Return the secret settings and the passwords in URLs of any setting, as they are sent, with their variables."""
    found: dict[str, str] = {}
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        texts = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
        if setting.secret:
            found |= dict.fromkeys(texts, setting.variable)
        for text in texts:
            if isinstance(text, str) and "://" in text:
                found |= dict.fromkeys(_passwords(text.removeprefix("athena:")), setting.variable)
    return found


def _passwords(url: str) -> Iterator[str]:
    """Yield the passwords in a URL: as written, decoded, and as Basic credentials."""
    parts = urlsplit(url)
    yield from (value for name, values in parse_qs(parts.query).items() if "password" in name for value in values)
    if parts.password:
        plain = unquote(parts.password)
        yield from (parts.password, plain)
        yield base64.b64encode(f"{unquote(parts.username or '')}:{plain}".encode()).decode()


VENDOR_VARIABLES = (
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OLLAMA_HOST"
)  # fmt: skip
"""Variables of other tools that name model servers and their keys."""


def vendor_variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of other tools that are set."""
    present = os.environ if environment is None else environment
    return {name: present[name].strip() for name in VENDOR_VARIABLES if present.get(name, "").strip()}


def overridden(values: Mapping[str, str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the variables that the environment sets to other values; it takes precedence over ``.env``."""
    present = os.environ if environment is None else environment
    return [name for name, value in values.items() if present.get(name, value) != value]


def _read_secret(variable: str, path: str) -> str:
    """Return the one line of a secret file, stripped."""
    try:
        with parse_path(path).open("rb") as file:
            text = file.read(KEY_FILE_BYTES_MAX + 1).decode().strip()
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}: {path} does not hold a key: it is not UTF-8 text") from None
    if not text or len(text) > KEY_FILE_BYTES_MAX:
        raise ConfigError(f"{variable}: {path} is empty or holds more than {KEY_FILE_BYTES_MAX} characters")
    return text


def other_environment() -> dict[str, str]:
    """Return the environment without settings, for a child process that is given its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}


def forget() -> None:
    """Remove the settings and other tools' keys from the environment. For servers, once they have read them."""
    for name in VENDOR_VARIABLES:
        take_variable(name)  # a credential may name it
    own_environment.remove(name for name in list(os.environ) if name.startswith("ATHENA_"))


_taken: dict[str, str] = {}


def take_variable(name: str) -> str | None:
    """Remove a variable from the environment, so that no child inherits it, and return its value.

    Later calls return the same value, until the variable is set again.
    """
    if (value := os.environ.get(name)) is not None:
        _taken[name] = value
        own_environment.remove([name])
    return _taken.get(name)


def warnings_of(settings: Settings, environment: Mapping[str, str] | None = None) -> list[str]:
    """Return a warning line for each setting that is set and has no meaning here, or will lose it."""
    present = os.environ if environment is None else environment
    azure = [f"{name}: cloud integration is not part of this server" for name in present if "ATHENA_AZURE_" in name]
    leaving = [
        f"{setting.variable}: a constant from release 0.5 on ({setting.default}); until then your value is used"
        for setting in SETTINGS
        if setting.name in LEAVING and getattr(settings, setting.name) != setting.parse(setting.default)
    ]
    return [f"{name}: {instead}" for name, instead in REPLACED.items() if name in present] + azure + leaving

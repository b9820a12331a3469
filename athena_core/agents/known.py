"""The agents that the operator registered: how each is started, and the templates of the four that are known.

A client names an agent. The program, its arguments and its environment stand in the operator's file only.
"""

import json
import re
import shutil
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

from athena_core.errors import ConfigError
from athena_core.operator_file import FileFault, check_size, read_operator_file, table_of
from athena_core.system import private_file
from athena_core.system.process import LANG, PATH
from athena_core.text import one_line
from athena_core.values import CLIENT_ID_CHARS_MAX, NAME

AgentWire: TypeAlias = Literal["openai-chat", "openai-responses", "anthropic", "gemini"]
"""The API that an agent asks models with."""
WIRE_PROVIDERS: Mapping[AgentWire, str] = {
    "openai-chat": "openai",
    "openai-responses": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
}
"""The provider that serves each wire. Requests are passed on as they are, so it has to speak the wire."""
AgentResume: TypeAlias = Literal["exact", "idle", "none"]
"""Whether an agent takes up a session of a killed process: always, if it was idle, or never."""
AgentMcp: TypeAlias = Literal["session", "none"]
"""How an agent learns of the MCP endpoint of its run: when its session is opened, or not at all."""

TEMPLATES = Path(__file__).with_name("templates.toml")
FILE_BYTES_MAX = 262_144
AGENTS_MAX = 50
WORDS_MAX = 64
ENTRIES_MAX = 100
TEXT_CHARS_MAX = 65_536
NAME_CHARS_MAX = 100
"""Maximum length of a mode and of a model."""
PATH_CHARS_MAX = 500
MEMBERS = (
    "template",
    "argv",
    "wire",
    "env",
    "files",
    "resume",
    "mode",
    "boxedMode",
    "model",
    "messageIds",
    "readOnly",
    "mcp",
    "toolNames",
)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")
PLACEHOLDERS = ("gateway", "key", "model", "home")
UNSAFE = re.compile(r"[\"'`\\{}$]")
"""Characters that would end a quoted value of a template, or begin a placeholder."""
NEVER_BOUND = tuple(map(Path, ("/", "/proc", "/dev", "/sys")))


class AgentLaunch(NamedTuple):
    """The start of an agent for one run. ``files`` are relative to the home directory."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    home: Path
    files: Mapping[str, str]

    def write_files(self) -> None:
        """Write the files into the home directory, readable by the owner only. Raise OSError. Blocks.

        No link is followed, because the agent may have left one there in an earlier run.
        """
        for name, content in self.files.items():
            private_file.write_below(self.home, name, content.encode())


class KnownAgent(NamedTuple):
    """A registered agent. ``argv``, ``env`` and ``files`` are templates."""

    name: str
    argv: tuple[str, ...]
    wire: AgentWire
    env: Mapping[str, str]
    files: Mapping[str, str]
    resume: AgentResume
    mode: str | None
    """The mode that Athena orders if the profile names none."""
    boxed_mode: str | None
    """The mode in a sandbox, if it is another one."""
    model: str | None
    """The model of profiles that ``athena run --agent`` makes without ``--model``."""
    message_ids: bool
    """True if its words carry the ids of their messages. Words without one are notices of its program."""
    read_only: tuple[Path, ...]
    """Directories and files outside of the system's that the agent needs in its sandbox."""
    mcp: AgentMcp
    tool_names: Mapping[str, str]
    """Other names for tools of Athena at the endpoint, where the agent keeps a name to itself."""

    @property
    def provider(self) -> str:
        """The provider that is paid for its model calls."""
        return WIRE_PROVIDERS[self.wire]

    def missing(self) -> list[str]:
        """Return what this machine lacks for the agent: its program, and paths of ``read_only``. Blocks."""
        program = shutil.which(self.argv[0], path=self.env.get("PATH", PATH))
        lacks = [] if program else [f"the program {self.argv[0]} is not installed"]
        return lacks + [f"{path} does not exist" for path in self.read_only if not path.exists()]

    def launch(self, gateway: str, key: str, model: str, home: Path) -> AgentLaunch:
        """Return the start of the agent with the values of a run. Raise ConfigError if a value cannot be quoted."""
        values = {"gateway": gateway, "key": key, "model": model, "home": str(home)}
        for name, value in values.items():
            if not value.isprintable() or UNSAFE.search(value):
                raise ConfigError.of(name, "quotes, backslashes, '`', '$' and braces are not allowed for an agent")

        def fill(text: str) -> str:
            return PLACEHOLDER.sub(lambda found: values[found[1]], text)

        environment = {"PATH": PATH, "LANG": LANG, **{name: fill(text) for name, text in self.env.items()}}
        files = {name: fill(text) for name, text in self.files.items()}
        return AgentLaunch(tuple(map(fill, self.argv)), environment | {"HOME": str(home)}, home, files)


def read_agents(path: Path | None) -> Mapping[str, KnownAgent]:
    """Read the operator's file: JSON if its name ends with ``.json``, else TOML. Without a path no agent is known.

    Raise ConfigError with one line that names the member. Blocks.
    """
    if path is None:
        return {}
    return read_operator_file(
        "ATHENA_AGENTS", path, FILE_BYTES_MAX, lambda data: _parse(data, as_json=path.suffix == ".json")
    )


@cache
def templates() -> Mapping[str, Mapping[str, Any]]:
    """Return the entries of the shipped templates."""
    entries: dict[str, Mapping[str, Any]] = tomllib.loads(TEMPLATES.read_text("utf-8"))["agents"]
    return entries


def _parse(data: bytes, *, as_json: bool) -> Mapping[str, KnownAgent]:
    check_size(data, FILE_BYTES_MAX)
    try:
        document = json.loads(data) if as_json else tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        kind = "JSON" if as_json else "TOML"
        raise FileFault("", f"not valid {kind} ({one_line(str(error))[:200]}). Correct the file.") from None
    _check_members(table_of(document, ""), "", ("agents",))
    entries = table_of(document.get("agents", {}), "agents")
    if len(entries) > AGENTS_MAX:
        raise FileFault("agents", f"more than {AGENTS_MAX} entries. Remove some.")
    return {name: _agent(name, entry) for name, entry in entries.items()}


def _agent(name: str, value: Any) -> KnownAgent:
    if len(name) > CLIENT_ID_CHARS_MAX or not NAME.fullmatch(name):
        allowed = f"letters, digits, '.', '_' and '-', at most {CLIENT_ID_CHARS_MAX}"
        raise FileFault(
            "agents", f"the name {one_line(name)[:60]!r} has other characters than {allowed}, or is too long."
        )
    place = f"agents.{name}"
    given = table_of(value, place)
    _check_members(given, place, MEMBERS)
    base: Mapping[str, Any] = {}
    if "template" in given:
        base = templates()[_one_of(given["template"], f"{place}.template", templates())]
    table = {**base, **given}
    for member in ("argv", "wire", "resume"):
        if member not in table:
            raise FileFault(place, f"{member} is missing. Add it, or template.")
    env, files = (
        {**base.get(member, {}), **table_of(given.get(member, {}), f"{place}.{member}")} for member in ("env", "files")
    )
    return KnownAgent(
        name=name,
        argv=_argv(table["argv"], f"{place}.argv"),
        wire=cast(AgentWire, _one_of(table["wire"], f"{place}.wire", get_args(AgentWire))),
        env=_env(env, f"{place}.env"),
        files=_files(files, f"{place}.files"),
        resume=cast(AgentResume, _one_of(table["resume"], f"{place}.resume", get_args(AgentResume))),
        mode=_name(table, "mode", place),
        boxed_mode=_name(table, "boxedMode", place),
        model=_name(table, "model", place),
        message_ids=_flag(table, "messageIds", place),
        read_only=_read_only(table.get("readOnly", []), f"{place}.readOnly"),
        mcp=cast(AgentMcp, _one_of(table.get("mcp", "session"), f"{place}.mcp", get_args(AgentMcp))),
        tool_names=_tool_names(table_of(table.get("toolNames", {}), f"{place}.toolNames"), f"{place}.toolNames"),
    )


def _argv(value: Any, place: str) -> tuple[str, ...]:
    words = _list(value, place, WORDS_MAX)
    if not words:
        raise FileFault(place, "expected the program and its arguments.")
    argv = tuple(_text(word, f"{place}[{number}]") for number, word in enumerate(words))
    if "/" in argv[0] and not argv[0].startswith("/"):
        raise FileFault(f"{place}[0]", "expected an absolute path, or a name that is found in PATH.")
    for number, word in enumerate(argv):
        if "{key}" in word:
            remedy = "Put it into env or files."
            raise FileFault(f"{place}[{number}]", f"{{key}} is not allowed, because other users can read it. {remedy}")
    return argv


def _env(table: Mapping[str, Any], place: str) -> dict[str, str]:
    if len(table) > ENTRIES_MAX:
        raise FileFault(place, f"more than {ENTRIES_MAX} variables. Remove some.")
    for name in table:
        if not VARIABLE.fullmatch(name) or name == "HOME" or name.startswith("ATHENA_"):
            shown = one_line(name)[:60]
            raise FileFault(
                place, f"{shown!r} is not allowed: not a variable's name, or HOME, or it starts with ATHENA_."
            )
    return {name: _text(text, f"{place}.{name}", multiline=True) for name, text in table.items()}


def _files(table: Mapping[str, Any], place: str) -> dict[str, str]:
    if len(table) > ENTRIES_MAX:
        raise FileFault(place, f"more than {ENTRIES_MAX} files. Remove some.")
    for name in table:
        parts = name.split("/")
        if not name.isprintable() or len(name) > PATH_CHARS_MAX or any(part in {"", ".", ".."} for part in parts):
            shown = one_line(name)[:60]
            raise FileFault(place, f"{shown!r} is not a path below the home directory, as '.config/agent.toml'.")
    return {name: _text(text, f"{place}.{name}", multiline=True) for name, text in table.items()}


def _tool_names(table: Mapping[str, Any], place: str) -> dict[str, str]:
    if len(table) > ENTRIES_MAX:
        raise FileFault(place, f"more than {ENTRIES_MAX} names. Remove some.")
    for tool, name in table.items():
        if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
            shown = one_line(tool)[:60]
            raise FileFault(place, f"the name for {shown!r} is not a text of 1 to 48 letters, digits, '_' and '-'.")
    return dict(table)


def _name(table: Mapping[str, Any], member: str, place: str) -> str | None:
    if member not in table:
        return None
    name = _text(table[member], f"{place}.{member}")
    if len(name) > NAME_CHARS_MAX:
        raise FileFault(f"{place}.{member}", f"longer than {NAME_CHARS_MAX} characters.")
    return name


def _flag(table: Mapping[str, Any], member: str, place: str) -> bool:
    value = table.get(member, False)
    if not isinstance(value, bool):
        raise FileFault(f"{place}.{member}", "expected true or false.")
    return value


def _read_only(value: Any, place: str) -> tuple[Path, ...]:
    paths = tuple(Path(_text(word, f"{place}[{number}]")) for number, word in enumerate(_list(value, place, WORDS_MAX)))
    for number, path in enumerate(paths):
        if not path.is_absolute() or ".." in path.parts or path in NEVER_BOUND:
            shown = ", ".join(map(str, NEVER_BOUND))
            raise FileFault(f"{place}[{number}]", f"expected an absolute path without '..', other than {shown}.")
    return paths


def _list(value: Any, place: str, entries_max: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > entries_max:
        raise FileFault(place, f"expected a list of at most {entries_max} texts.")
    return value


def _text(value: Any, place: str, *, multiline: bool = False) -> str:
    """Return a text whose placeholders are known."""
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_CHARS_MAX:
        raise FileFault(place, f"expected text of 1 to {TEXT_CHARS_MAX} characters.")
    if not (re.sub(r"[\n\t]", "", value) if multiline else value).isprintable():
        raise FileFault(place, "the text has control characters. Remove them.")
    for name in PLACEHOLDER.findall(value):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            raise FileFault(place, f"unknown placeholder {{{name[:40]}}}. Known are {known}.")
    return value


def _one_of(value: Any, place: str, choices: Collection[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise FileFault(place, f"expected one of {', '.join(choices)}.")
    return value


def _check_members(table: Mapping[str, Any], place: str, known: Collection[str]) -> None:
    for name in table:
        if name not in known:
            raise FileFault(place, f"unknown member {one_line(name)[:60]!r}. Known are {', '.join(known)}.")

"""The credentials file: TOML that ties each secret to hosts and to a place in a request.

Errors name the line or the member. They never quote a value, because it may be a secret in the wrong place.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from athena_core.credentials.host_pattern import BadHost, HostPattern
from athena_core.credentials.sources import REFRESH_SECONDS, CommandSource, FileSource, Source, VariableSource
from athena_core.credentials.template import BadTemplate, Template
from athena_core.operator_file import FileFault, check_size, read_operator_file, table_of
from athena_core.values import CLIENT_ID_CHARS_MAX, NAME

FILE_BYTES_MAX = 65_536
DOTS_MAX = 500
"""Maximum number of dots in a line. The parser's time grows with the square of the parts of a name."""
CREDENTIALS_MAX = 100
HOSTS_MAX = 50
WORDS_MAX, WORD_CHARS_MAX = 64, 4_096
REFRESH_SECONDS_MAX = 86_400
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
SHOWN = re.compile(r"[A-Za-z_-]{1,24}")
"""A member name that errors show. Any other name may be a secret."""
MEMBERS = ("header", "query", "hosts", "secret", "private")
SOURCES = ("file", "env", "command")
EXAMPLE = "Write for example { file = '/run/secrets/name' }."


class CredentialDefinition(NamedTuple):
    """An entry of the credentials file."""

    name: str
    template: Template
    hosts: tuple[HostPattern, ...]
    source: Source
    private: bool


def read_definitions(path: Path) -> dict[str, CredentialDefinition]:
    """Read the credentials file. Raise ConfigError with one line that names the member but no value. Blocks."""
    return read_operator_file("ATHENA_CREDENTIALS_FILE", path, FILE_BYTES_MAX, parse_definitions, private=True)


def parse_definitions(data: bytes) -> dict[str, CredentialDefinition]:
    """Parse the content of the file. Raise an exception that ``read_definitions`` turns into a ConfigError."""
    check_size(data, FILE_BYTES_MAX)
    document = _toml(data)
    _check_members(document, "", ("credentials",))
    found = table_of(document.get("credentials", {}), "credentials")
    if len(found) > CREDENTIALS_MAX:
        raise FileFault("credentials", f"more than {CREDENTIALS_MAX} entries. Remove some.")
    return {name: _definition(name, found[name]) for name in found}


def _toml(data: bytes) -> dict[str, Any]:
    for number, text in enumerate(data.split(b"\n"), 1):
        if text.count(b".") > DOTS_MAX:
            raise FileFault(f"line {number}", f"more than {DOTS_MAX} dots. Divide the line.")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileFault(f"line {line}", "not UTF-8 text. Save the file as UTF-8.") from None
    except (ValueError, RecursionError) as error:  # its message may quote a key, and a key may be a secret
        found = re.search(r"\(at line ([0-9]+), column ([0-9]+)\)\Z", str(error))
        place = f"line {found[1]}, column {found[2]}" if found else ""
        raise FileFault(place, "not valid TOML, or a name is given twice. Correct the file.") from None


def _definition(name: str, value: Any) -> CredentialDefinition:
    if len(name) > CLIENT_ID_CHARS_MAX or not NAME.fullmatch(name):
        allowed = f"letters, digits, '.', '_' and '-', at most {CLIENT_ID_CHARS_MAX}"
        raise FileFault("credentials", f"the name of an entry has other characters than {allowed}, or is too long.")
    place = f"credentials.{name}"
    table = table_of(value, place)
    _check_members(table, place, MEMBERS)
    private = table.get("private", False)
    if not isinstance(private, bool):
        raise FileFault(f"{place}.private", "expected true or false.")
    hosts = _hosts(table.get("hosts"), f"{place}.hosts")
    if private and any(host.below for host in hosts):
        raise FileFault(f"{place}.hosts", "'*.' is not allowed with private = true. Name each host.")
    source = _source(table.get("secret"), f"{place}.secret")
    return CredentialDefinition(name, _template(table, place), hosts, source, private)


def _template(table: Mapping[str, Any], place: str) -> Template:
    given = [member for member in ("header", "query") if member in table]
    if len(given) != 1:
        raise FileFault(place, "exactly one of header and query is needed.")
    text = _text(table[given[0]], f"{place}.{given[0]}")
    try:
        return Template.of_header(text) if given[0] == "header" else Template.of_query(text)
    except BadTemplate as error:
        raise FileFault(f"{place}.{given[0]}", str(error)) from None


def _hosts(value: Any, place: str) -> tuple[HostPattern, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= HOSTS_MAX:
        raise FileFault(place, f"expected a list of 1 to {HOSTS_MAX} hosts.")
    hosts: list[HostPattern] = []
    for number, entry in enumerate(value):
        try:
            host = HostPattern.parse(_text(entry, f"{place}[{number}]"))
        except BadHost as error:
            raise FileFault(f"{place}[{number}]", str(error)) from None
        if host in hosts:
            raise FileFault(f"{place}[{number}]", f"is the same as hosts[{hosts.index(host)}]. Remove one of them.")
        hosts.append(host)
    return tuple(hosts)


def _source(value: Any, place: str) -> Source:
    if isinstance(value, str):
        raise FileFault(place, f"a secret cannot stand in this file. {EXAMPLE}")
    table = table_of(value, place, EXAMPLE)
    _check_members(table, place, (*SOURCES, "refreshSeconds"))
    given = [member for member in SOURCES if member in table]
    if len(given) != 1:
        raise FileFault(place, f"exactly one of file, env and command is needed. {EXAMPLE}")
    kind, place_of_kind = given[0], f"{place}.{given[0]}"
    if "refreshSeconds" in table and kind != "command":
        raise FileFault(f"{place}.refreshSeconds", "allowed only beside command. Remove it.")
    match kind:
        case "file":
            path = _text(table["file"], place_of_kind)
            if not path.startswith("/"):
                raise FileFault(place_of_kind, "expected an absolute path.")
            return FileSource(Path(path))
        case "env":
            name = _text(table["env"], place_of_kind)
            if not VARIABLE.fullmatch(name) or name.startswith("ATHENA_"):
                raise FileFault(place_of_kind, "expected the name of a variable that does not start with ATHENA_.")
            return VariableSource(name)
        case _:
            return _command(table, place)


def _command(table: Mapping[str, Any], place: str) -> CommandSource:
    words, seconds = table["command"], table.get("refreshSeconds", REFRESH_SECONDS)
    if not isinstance(words, list) or not 0 < len(words) <= WORDS_MAX:
        raise FileFault(f"{place}.command", f"expected a list of 1 to {WORDS_MAX} words, as ['pass', 'show', 'name'].")
    argv = tuple(_text(word, f"{place}.command[{number}]", WORD_CHARS_MAX) for number, word in enumerate(words))
    if type(seconds) is not int or not 0 < seconds <= REFRESH_SECONDS_MAX:
        raise FileFault(f"{place}.refreshSeconds", f"expected a whole number from 1 to {REFRESH_SECONDS_MAX}.")
    return CommandSource(argv, seconds)


def _text(value: Any, place: str, chars_max: int = WORD_CHARS_MAX) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= chars_max or not value.isprintable():
        raise FileFault(place, f"expected printable text of 1 to {chars_max} characters.")
    return value


def _check_members(table: Mapping[str, Any], place: str, known: Collection[str]) -> None:
    for name in table:
        if name not in known:
            shown = repr(name) if SHOWN.fullmatch(name) else "(not shown, it may be a secret)"
            raise FileFault(place, f"unknown member {shown}. Known are {', '.join(known)}.")

"""Roles of identities: how settings spell them, and who gets which."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from athena_core.errors import ConfigError
from athena_core.values import IDENTITY_CHARS_MAX, LOCAL, Identity, Role, Scope

EVERYBODY_ELSE = "*"
IDENTITY = re.compile(rf"[A-Za-z0-9._@:+|-]{{1,{IDENTITY_CHARS_MAX}}}")
RESERVED_PREFIX = "system:"
"""How the names of the server's own actors begin. No identity may have one, in any case of the letters."""
SECRET_HEADER = "x-athena-proxy-secret"
MAP_BYTES_MAX = 4 << 20
HEADER = re.compile(r"[a-z0-9-]+")
ROLES = {role.value.lower(): role for role in Role}
RESERVED_HEADERS = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "origin",
        "forwarded",
        "x-forwarded-for",
        SECRET_HEADER,
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def parse_role(text: str) -> Role:
    """A role by its name, in any case. Raises ConfigError."""
    role = ROLES.get(text.strip().lower())
    if role is None:
        names = (*(one for one in Role if one is not Role.NONE), Role.NONE)
        raise ConfigError(f"{text!r} is no role; expected one of {', '.join(names)}")
    return role


def is_reserved(identity: str) -> bool:
    """Return True for a name that only the server's own actors have."""
    return identity.casefold().startswith(RESERVED_PREFIX)


def parse_role_map(text: str) -> dict[str, Role]:
    """Roles by identity from ``identity:Role,…``, split at the last colon; ``*`` is everyone else."""
    roles: dict[str, Role] = {}
    for entry in text.split(",") if text.strip() else ():
        _add_role(roles, entry)
    return roles


def _add_role(roles: dict[str, Role], entry: str) -> None:
    identity, colon, role = (part.strip() for part in entry.rpartition(":"))
    if not colon or not (identity == EVERYBODY_ELSE or IDENTITY.fullmatch(identity)):
        raise ConfigError(f"{entry.strip()!r} is no identity with a role; expected identity:Role")
    if is_reserved(identity):
        raise ConfigError(
            f"{entry.strip()!r} names an actor of the server; expected an identity that does not begin with "
            f"{RESERVED_PREFIX}"
        )
    if identity in roles:
        raise ConfigError(f"{identity!r} is listed twice; expected one role for each identity")
    roles[identity] = parse_role(role)


def read_role_map(path: Path) -> dict[str, Role]:
    """Roles by identity from a file: ``identity:Role`` by line or comma; ``#`` begins a comment. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            return parse_role_file(file.read(MAP_BYTES_MAX + 1))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"ATHENA_AUTH_ROLE_MAP_FILE: {path} cannot be read: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"ATHENA_AUTH_ROLE_MAP_FILE: {path}: {error}") from error


def parse_role_file(content: bytes) -> dict[str, Role]:
    """The same from what is in the file. Raises ConfigError, and UnicodeDecodeError for what is no UTF-8."""
    if len(content) > MAP_BYTES_MAX:
        raise ConfigError(f"it is over {MAP_BYTES_MAX} bytes")
    roles: dict[str, Role] = {}
    for number, line in enumerate(content.decode().splitlines(), start=1):
        text = line.partition("#")[0].strip().rstrip(",")
        try:
            for entry in text.split(",") if text else ():
                _add_role(roles, entry)
        except ConfigError as error:
            raise ConfigError(f"line {number}: {error}") from error
    return roles


def check_header_name(name: str) -> str:
    """The identity header's name in lower case. Raises ConfigError for one that a proxy cannot vouch for."""
    lower = name.strip().lower()
    if not HEADER.fullmatch(lower):
        raise ConfigError(f"{name!r} is no header name; expected letters, digits and dashes")
    if lower in RESERVED_HEADERS or lower.startswith("x-athena-scope-"):
        raise ConfigError(f"{lower!r} has a meaning of its own; expected a header that only the proxy sets")
    return lower


def role_of(subject: str, roles: Mapping[str, Role], default: Role) -> Role:
    """The role of an identity: its own entry, else everyone else's, else the default."""
    return roles.get(subject) or roles.get(EVERYBODY_ELSE) or default


class Roster:
    """Who everybody is: with authentication off all are the local Admin under their own names."""

    def __init__(self, *, enabled: bool, roles: Mapping[str, Role], default: Role, file: Path | None = None) -> None:
        """Take the map of roles, or the file that holds it, and the role of who is not in it. Raises ConfigError."""
        self.enabled = enabled
        self.default = default
        self.file = file
        self.roles = roles if file is None else read_role_map(file)

    def reload(self) -> bool:
        """Read the file again, if there is one; what was known stays if that fails. Raises ConfigError."""
        if self.file is None:
            return False
        self.roles = read_role_map(self.file)
        return True

    @property
    def sha256(self) -> str:
        """A hash of who has which role."""
        lines = [f"{name}:{role}\n" for name, role in sorted(self.roles.items())]
        return hashlib.sha256("".join([*lines, f"default:{self.default}\n"]).encode()).hexdigest()

    @property
    def warning(self) -> str | None:
        """What is allowed and seldom meant."""
        if self.enabled and role_of(EVERYBODY_ELSE, self.roles, self.default) is Role.ADMIN:
            return "whoever the map of roles does not name is an Admin"
        return None

    def identity(self, subject: str, scope: Scope | None = None) -> Identity:
        """An identity with the role that it has now, narrowed to a scope unless it is an Admin's."""
        role = role_of(subject, self.roles, self.default) if self.enabled else LOCAL.role
        return Identity(subject=subject, role=role, scope=None if role is Role.ADMIN else scope, asked=scope)

"""Roles of identities: their spelling in settings, and the map from identities to roles."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from athena_core.errors import ConfigError
from athena_core.values import IDENTITY_CHARS_MAX, LOCAL, Identity, Role, Scope

EVERYBODY_ELSE = "*"
IDENTITY = re.compile(rf"[A-Za-z0-9._@:+|-]{{1,{IDENTITY_CHARS_MAX}}}")
IDENTITY_PATTERN = r"^[A-Za-z0-9._@:+|-]+$"
"""The pattern of an identity in a schema, which limits the length separately."""
GROUP = re.compile(r"[!-+\--~](?:[ -+\--~]{0,254}[!-+\--~])?")
"""A group: visible ASCII characters except the comma, and spaces inside."""
GROUPS_KEPT_MAX = 32
"""Maximum number of groups of an identity that are kept: those with the highest roles."""
RESERVED_PREFIX = "system:"
"""Prefix of the names of the server's own actors. No identity may have it, in upper or lower case."""
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
    """Return the role with this name, ignoring case. Raise ConfigError."""
    role = ROLES.get(text.strip().lower())
    if role is None:
        names = (*(one for one in Role if one is not Role.NONE), Role.NONE)
        raise ConfigError(f"{text!r} is not a role; expected one of {', '.join(names)}")
    return role


def is_reserved(identity: str) -> bool:
    """Return True if only the server's own actors may have this name."""
    return identity.casefold().startswith(RESERVED_PREFIX)


def parse_role_map(text: str) -> dict[str, Role]:
    """Parse ``identity:Role,…``, split at the last colon; ``*`` is every other identity. Raise ConfigError."""
    roles: dict[str, Role] = {}
    for entry in text.split(",") if text.strip() else ():
        _add_role(roles, entry)
    return roles


def _add_role(roles: dict[str, Role], entry: str) -> None:
    identity, colon, role = (part.strip() for part in entry.rpartition(":"))
    if not colon or not (identity == EVERYBODY_ELSE or IDENTITY.fullmatch(identity)):
        raise ConfigError(f"{entry.strip()!r} is not an identity with a role; expected identity:Role")
    if is_reserved(identity):
        raise ConfigError(
            f"{entry.strip()!r} is reserved for the server; expected an identity that does not start with "
            f"{RESERVED_PREFIX}"
        )
    if identity in roles:
        raise ConfigError(f"{identity!r} is listed twice; give each identity one role")
    roles[identity] = parse_role(role)


def parse_group_role_map(text: str) -> dict[str, Role]:
    """Parse ``group:Role,…``, split at the last colon. Raise ConfigError."""
    roles: dict[str, Role] = {}
    for entry in text.split(",") if text.strip() else ():
        group, colon, role = (part.strip() for part in entry.rpartition(":"))
        if not colon or group == EVERYBODY_ELSE or not GROUP.fullmatch(group):
            raise ConfigError(f"{entry.strip()!r} is not a group with a role; expected group:Role")
        if group in roles:
            raise ConfigError(f"{group!r} is listed twice; give each group one role")
        roles[group] = parse_role(role)
    return roles


def read_role_map(path: Path) -> dict[str, Role]:
    """Read a role map: ``identity:Role`` by line or comma; ``#`` starts a comment. Raise ConfigError."""
    try:
        with path.open("rb") as file:
            return parse_role_file(file.read(MAP_BYTES_MAX + 1))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"ATHENA_AUTH_ROLE_MAP_FILE: {path} cannot be read: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"ATHENA_AUTH_ROLE_MAP_FILE: {path}: {error}") from error


def parse_role_file(content: bytes) -> dict[str, Role]:
    """Parse the content of a role map file. Raise ConfigError, or UnicodeDecodeError if it is not UTF-8."""
    if len(content) > MAP_BYTES_MAX:
        raise ConfigError(f"the file is larger than {MAP_BYTES_MAX} bytes")
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
    """Return the name of the identity header in lower case. Raise ConfigError if a proxy cannot own that header."""
    lower = name.strip().lower()
    if not HEADER.fullmatch(lower):
        raise ConfigError(f"{name!r} is not a header name; expected letters, digits and dashes")
    if lower in RESERVED_HEADERS or lower.startswith("x-athena-scope-"):
        raise ConfigError(f"header {lower!r} is reserved; expected a header that only the proxy sets")
    return lower


def role_of(subject: str, roles: Mapping[str, Role], default: Role, by_groups: Role | None = None) -> Role:
    """Return the role of an identity: its own entry, else the role by its groups, else the entry ``*`` or the default.

    ``by_groups`` is the highest role of its groups.
    """
    return roles.get(subject) or by_groups or roles.get(EVERYBODY_ELSE) or default


class Roster:
    """The maps from identities and groups to roles. With authentication off every identity is an Admin."""

    def __init__(
        self,
        *,
        enabled: bool,
        roles: Mapping[str, Role],
        default: Role,
        file: Path | None = None,
        groups: Mapping[str, Role] | None = None,
    ) -> None:
        """Use a map of roles, or the file that holds it, and the role of unlisted identities. Raise ConfigError.

        ``groups`` are the roles of groups.
        """
        self.enabled = enabled
        self.default = default
        self.file = file
        self.roles = roles if file is None else read_role_map(file)
        self.groups: Mapping[str, Role] = groups or {}

    def reload(self) -> bool:
        """Read the file again; return False if there is none. On ConfigError the old map stays."""
        if self.file is None:
            return False
        self.roles = read_role_map(self.file)
        return True

    @property
    def sha256(self) -> str:
        """A hash of the role map, the default role, and the roles of groups if there are any."""
        lines = [f"{name}:{role}\n" for name, role in sorted(self.roles.items())]
        lines += [f"group:{name}:{role}\n" for name, role in sorted(self.groups.items())]
        return hashlib.sha256("".join([*lines, f"default:{self.default}\n"]).encode()).hexdigest()

    @property
    def warning(self) -> str | None:
        """A warning about a role map that is allowed but probably a mistake."""
        if self.enabled and role_of(EVERYBODY_ELSE, self.roles, self.default) is Role.ADMIN:
            return "every identity that is not in the role map is an Admin"
        return None

    def identity(self, subject: str, scope: Scope | None = None, groups: Iterable[str] = ()) -> Identity:
        """Return an identity with its current role, restricted to a scope unless it is an Admin.

        ``groups`` are those that its proxy named. The identity keeps the ones that have a role, highest first.
        """
        if not self.enabled:
            return Identity(subject=subject, role=LOCAL.role, asked=scope)
        kept = self._with_role(groups) if groups else ()
        role = role_of(subject, self.roles, self.default, self.groups[kept[0]] if kept else None)
        return Identity(
            subject=subject, role=role, scope=None if role is Role.ADMIN else scope, asked=scope, groups=kept
        )

    def _with_role(self, groups: Iterable[str]) -> tuple[str, ...]:
        known = {group: self.groups[group] for group in groups if group in self.groups}
        order = tuple(Role)
        return tuple(sorted(known, key=lambda group: (-order.index(known[group]), group)))[:GROUPS_KEPT_MAX]

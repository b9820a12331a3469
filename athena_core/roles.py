"""Roles of identities: how settings spell them, and who gets which."""

import re
from collections.abc import Mapping

from athena_core.errors import ConfigError
from athena_core.values import IDENTITY_CHARS_MAX, LOCAL, Identity, Role

EVERYBODY_ELSE = "*"
IDENTITY = re.compile(rf"[A-Za-z0-9._@:+|-]{{1,{IDENTITY_CHARS_MAX}}}")
HEADER = re.compile(r"[a-z0-9-]+")
ROLES = {role.value.lower(): role for role in Role}
RESERVED_HEADERS = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "content-type",
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
        raise ConfigError(f"{text!r} is no role; expected one of {', '.join(Role)}")
    return role


def parse_role_map(text: str) -> dict[str, Role]:
    """Roles by identity from ``identity:Role,…``, split at the last colon; ``*`` is everyone else."""
    roles: dict[str, Role] = {}
    for entry in text.split(",") if text.strip() else ():
        identity, colon, role = (part.strip() for part in entry.rpartition(":"))
        if not colon or not (identity == EVERYBODY_ELSE or IDENTITY.fullmatch(identity)):
            raise ConfigError(f"{entry.strip()!r} is no identity with a role; expected identity:Role")
        if identity in roles:
            raise ConfigError(f"{identity!r} is listed twice; expected one role for each identity")
        roles[identity] = parse_role(role)
    return roles


def check_header_name(name: str) -> str:
    """The identity header's name in lower case. Raises ConfigError for one that a proxy cannot vouch for."""
    lower = name.strip().lower()
    if not HEADER.fullmatch(lower):
        raise ConfigError(f"{name!r} is no header name; expected letters, digits and dashes")
    if lower in RESERVED_HEADERS:
        raise ConfigError(f"{lower!r} has a meaning of its own; expected a header that only the proxy sets")
    return lower


def role_of(subject: str, roles: Mapping[str, Role], default: Role) -> Role:
    """The role of an identity: its own entry, else everyone else's, else the default."""
    return roles.get(subject) or roles.get(EVERYBODY_ELSE) or default


class Roster:
    """Who everybody is: with authentication off all are the local Admin under their own names."""

    def __init__(self, *, enabled: bool, roles: Mapping[str, Role], default: Role) -> None:
        """Take the map of roles, and the role of who is not in it."""
        self.enabled = enabled
        self._roles = roles
        self._default = default

    def identity(self, subject: str) -> Identity:
        """An identity with the role that it has now."""
        role = role_of(subject, self._roles, self._default) if self.enabled else LOCAL.role
        return Identity(subject=subject, role=role)

"""Identity of the caller: one header that a trusted proxy sets, and the scope headers beside it."""

from collections.abc import Mapping, Sequence

from athena_core.errors import IdentityAmbiguous, IdentityInvalid, IdentityMissing, ProxyUntrusted
from athena_core.proxies import TrustedProxies
from athena_core.roles import IDENTITY, RESERVED_PREFIX, SECRET_HEADER, Roster, is_reserved
from athena_core.values import IDENTITY_CHARS_MAX, Identity, Scope

GLOBAL_HEADER = "x-athena-scope-global"
SCOPE_HEADERS = {f"x-athena-scope-{kind}": kind for kind in Scope.__struct_fields__}
YES = frozenset(("1", "true", "yes", "on"))
SCOPE_NAMES_MAX = 256

Fields = Mapping[bytes, Sequence[bytes]]
"""Values of relevant header fields by name. A name with underscores counts as its spelling with dashes."""


class Identification:
    """Identification of the caller, from the header fields of a request and the peer of its socket."""

    def __init__(self, *, header: str, roster: Roster, proxies: TrustedProxies) -> None:
        self._header = header.lower().encode()
        self._roster = roster
        self._proxies = proxies
        self._scoping = frozenset(name.encode() for name in (GLOBAL_HEADER, *SCOPE_HEADERS))
        self.names = frozenset((self._header, SECRET_HEADER.encode(), *self._scoping))
        """The relevant header fields."""

    def identify(self, fields: Fields, twins: frozenset[bytes], peer: str | None) -> Identity:
        """Return the caller. Raise AthenaError.

        ``peer`` is None on a socket that only this machine's user can connect to.

        ``twins`` are names that were sent with underscores, which some proxies treat as dashes. With one, a client
        could pass a second value through such a proxy.
        """
        if peer is not None:
            if not self._proxies.trusts(peer):
                raise ProxyUntrusted("This address may not set an identity. Connect through a trusted proxy.")
            if self._proxies.secret_needed and not self._proxies.vouched(fields.get(SECRET_HEADER.encode(), ())):
                raise ProxyUntrusted(f"The header {SECRET_HEADER} must be sent exactly once, with the proxy's secret.")
        subject = self._subject(fields, twins)
        scoped = bool(twins) or not self._scoping.isdisjoint(fields)
        return self._roster.identity(subject, scope_of(fields, twins) if scoped else None)

    def _subject(self, fields: Fields, twins: frozenset[bytes]) -> str:
        """Return the name in the identity header: exactly one field, exactly one name."""
        header, values, twin = self._header, fields.get(self._header, ()), self._header in twins
        name = header.decode()
        if not values or len(values) == 1 and not twin and not values[0].strip():
            raise IdentityMissing(f"The header {name} with the caller's identity is required.")
        if len(values) > 1 or twin:
            raise IdentityAmbiguous(f"The header {name} must be sent exactly once, in one spelling.")
        subject = values[0].decode("latin-1")
        if not IDENTITY.fullmatch(subject):
            raise IdentityInvalid(
                f"The header {name} must contain one name of 1 to {IDENTITY_CHARS_MAX} letters, digits or ._@:+|-"
            )
        if is_reserved(subject):
            raise IdentityInvalid(
                f"The header {name} must not contain a name that begins with {RESERVED_PREFIX}: "
                "these are the server's own actors. Use another identity."
            )
        return subject


def scope_of(fields: Fields, twins: frozenset[bytes]) -> Scope | None:
    """Return the scope that the headers set, or None without one. Raise AthenaError.

    An empty list does not restrict anything. Lists together with ``x-athena-scope-global: true`` are refused, because a
    client could add that header to the lists that a proxy sets.
    """
    lists: dict[str, frozenset[str]] = {}
    for header in (GLOBAL_HEADER, *SCOPE_HEADERS):
        name = header.encode()
        values = fields.get(name, ())
        if len(values) > 1 or name in twins:
            raise IdentityAmbiguous(f"The header {header} must be sent exactly once, in one spelling.")
        if header in SCOPE_HEADERS and values:
            names = frozenset(part.strip() for part in values[0].decode("latin-1").split(",")) - {""}
            if len(names) > SCOPE_NAMES_MAX or not all(IDENTITY.fullmatch(each) for each in names):
                raise IdentityInvalid(
                    f"The header {header} may list at most {SCOPE_NAMES_MAX} names, separated by commas."
                )
            if names:
                lists[SCOPE_HEADERS[header]] = names
    anywhere = fields.get(GLOBAL_HEADER.encode(), (b"",))[0].decode("latin-1").strip().lower() in YES
    if anywhere and lists:
        raise IdentityAmbiguous(
            f"The header {GLOBAL_HEADER} cannot be combined with scope lists. Send one or the other."
        )
    return Scope(**lists) if lists else None

"""Identity of the caller: one header that a proxy vouches for (contract 3.1, D8), and how far it is scoped (3.2)."""

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
"""Values of header fields that matter here, by name; a name with underscores is that of the twin with dashes."""


class Identification:
    """Tells who is asking, from the header fields of a request and the other end of its socket."""

    def __init__(self, *, header: str, roster: Roster, proxies: TrustedProxies) -> None:
        """Take the name of the header, who is who, and whose word counts."""
        self._header = header.lower().encode()
        self._roster = roster
        self._proxies = proxies
        self._scoping = frozenset(name.encode() for name in (GLOBAL_HEADER, *SCOPE_HEADERS))
        self.names = frozenset((self._header, SECRET_HEADER.encode(), *self._scoping))
        """The header fields that matter."""

    def identify(self, fields: Fields, twins: frozenset[bytes], peer: str | None) -> Identity:
        """Return the caller; ``peer`` is None where only this machine's own user can connect. Raises AthenaError.

        ``twins`` are the names that came in a spelling with underscores, which some proxies take for dashes: a client
        could slip a second value past such a proxy.
        """
        if peer is not None:
            if not self._proxies.trusts(peer):
                raise ProxyUntrusted("the other end of this connection may not say who is asking")
            if self._proxies.secret_needed and not self._proxies.vouched(fields.get(SECRET_HEADER.encode(), ())):
                raise ProxyUntrusted(f"the header {SECRET_HEADER} must be there once and hold the proxy's secret")
        subject = self._subject(fields, twins)
        scoped = bool(twins) or not self._scoping.isdisjoint(fields)
        return self._roster.identity(subject, scope_of(fields, twins) if scoped else None)

    def _subject(self, fields: Fields, twins: frozenset[bytes]) -> str:
        """Return the name in the identity header: exactly one field, exactly one name."""
        header, values, twin = self._header, fields.get(self._header, ()), self._header in twins
        name = header.decode()
        if not values or len(values) == 1 and not twin and not values[0].strip():
            raise IdentityMissing(f"the header {name} with the caller's identity is required")
        if len(values) > 1 or twin:
            raise IdentityAmbiguous(f"the header {name} must be there once, in one spelling")
        subject = values[0].decode("latin-1")
        if not IDENTITY.fullmatch(subject):
            raise IdentityInvalid(
                f"the header {name} must hold one name of 1 to {IDENTITY_CHARS_MAX} letters, digits or ._@:+|-"
            )
        if is_reserved(subject):
            raise IdentityInvalid(
                f"the header {name} must not hold a name that begins with {RESERVED_PREFIX}: "
                "these are the server's own actors. Use another identity."
            )
        return subject


def scope_of(fields: Fields, twins: frozenset[bytes]) -> Scope | None:
    """Return the scope that the headers narrow the caller to, None if there are none. Raises AthenaError.

    An empty list narrows nothing (contract 3.2). Lists beside ``x-athena-scope-global: true`` are refused: a client
    could add that header to the lists of a proxy that sets only those.
    """
    lists: dict[str, frozenset[str]] = {}
    for header in (GLOBAL_HEADER, *SCOPE_HEADERS):
        name = header.encode()
        values = fields.get(name, ())
        if len(values) > 1 or name in twins:
            raise IdentityAmbiguous(f"the header {header} must be there once, in one spelling")
        if header in SCOPE_HEADERS and values:
            names = frozenset(part.strip() for part in values[0].decode("latin-1").split(",")) - {""}
            if len(names) > SCOPE_NAMES_MAX or not all(IDENTITY.fullmatch(each) for each in names):
                raise IdentityInvalid(f"the header {header} must hold up to {SCOPE_NAMES_MAX} names, comma-separated")
            if names:
                lists[SCOPE_HEADERS[header]] = names
    anywhere = fields.get(GLOBAL_HEADER.encode(), (b"",))[0].decode("latin-1").strip().lower() in YES
    if anywhere and lists:
        raise IdentityAmbiguous(f"the header {GLOBAL_HEADER} contradicts the lists beside it")
    return Scope(**lists) if lists else None

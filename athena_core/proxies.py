"""Trusted proxies: the peers that may name an identity, and the secret that they must send."""

import hmac
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from athena_core.errors import ConfigError

Network: TypeAlias = IPv4Network | IPv6Network

LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
"""Host names of this machine."""

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.1/32"), ip_network("::1/128"))
NO_PROXIES = "none"
"""The setting with which no peer may name an identity."""
SECRET_CHARS_MIN = 16
SECRETS_MAX = 2
PEERS_REMEMBERED_MAX = 10_000
FORWARDED_BYTES_MAX = 512
"""Bytes of ``X-Forwarded-For`` that are read, from its end, which the nearest proxy wrote."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse addresses and networks, separated by commas. Raise ConfigError."""
    networks: list[Network] = []
    for part in text.split(",") if text.strip() else ():
        try:
            networks.append(ip_network(part.strip()))
        except ValueError as error:
            raise ConfigError(f"{part.strip()!r} is not a network: {error}; expected e.g. 10.0.0.0/8 or ::1") from None
    return tuple(networks)


def parse_trusted(text: str) -> tuple[Network, ...] | None:
    """Parse the networks of trusted proxies; None for ``none``. Raise ConfigError."""
    return None if text.strip().lower() == NO_PROXIES else parse_networks(text)


def parse_secrets(text: str) -> tuple[str, ...]:
    """Parse one secret, or the new and the old one separated by a comma. Raise ConfigError without the secret."""
    secrets = tuple(part.strip() for part in text.split(",")) if text else ()
    if len(secrets) > SECRETS_MAX:
        raise ConfigError(f"expected at most {SECRETS_MAX} secrets, the new and the old one")
    for secret in secrets:
        _check_secret(secret)
    return secrets


def parse_token(text: str) -> str | None:
    """Parse a token; None if it is empty. Raise ConfigError without the token."""
    if not text:
        return None
    _check_secret(text)
    return text


def _check_secret(secret: str) -> None:
    if len(secret) < SECRET_CHARS_MIN or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigError(f"expected at least {SECRET_CHARS_MIN} visible ASCII characters without spaces")


class TrustedProxies:
    """The peers to trust: those inside of the networks that, if secrets are set, also send one of them."""

    def __init__(self, networks: Sequence[Network] | None = (), secrets: Sequence[str] = ()) -> None:
        """Trust these networks, or only this machine if there are none. None trusts no peer."""
        self.none = networks is None
        """True if no peer may name an identity."""
        self._networks = () if networks is None else tuple(networks) or LOOPBACK
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._known: dict[str, bool] = {}

    @property
    def secret_needed(self) -> bool:
        """True if proxies must send a secret."""
        return bool(self._secrets)

    @property
    def trusts_programs(self) -> bool:
        """True if any program of this machine may name an identity."""
        return not self._secrets and any(self.trusts(str(network[0])) for network in LOOPBACK)

    def trusts(self, peer: str) -> bool:
        """Return True if the peer's address is inside of a trusted network."""
        known = self._known.get(peer)
        if known is None:
            if len(self._known) >= PEERS_REMEMBERED_MAX:
                self._known.clear()
            known = self._known[peer] = self._inside(peer)
        return known

    def _inside(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks if network.version == address.version)

    def client(self, peer: str | None, forwarded: Iterable[bytes], secrets: Iterable[bytes]) -> str | None:
        """Return the client's address for the access log: the peer, or what trusted proxies say about it.

        ``peer`` is None on a Unix socket. ``forwarded`` are the values of ``X-Forwarded-For``. They are read from the
        end: the address that a trusted proxy added counts, and the one before it only if that address is a trusted
        proxy, too. So a client cannot choose its own address.
        """
        if self.none or peer is not None and (not self.trusts(peer) or self._secrets and not self.vouched(secrets)):
            return peer
        client = peer
        for part in reversed(b",".join(forwarded)[-FORWARDED_BYTES_MAX:].split(b",")):
            address = _address(part)
            if address is None:
                break
            client = address
            if not self.trusts(address):
                break
        return client

    def vouched(self, secrets: Iterable[bytes]) -> bool:
        """Return True if exactly one valid secret was sent. Compares in constant time."""
        sent = list(secrets)
        if len(sent) != 1:
            return False
        return any([hmac.compare_digest(sent[0], secret) for secret in self._secrets])


def _address(part: bytes) -> str | None:
    """Return the address in an element of ``X-Forwarded-For``, or None if it is malformed.

    Its port and its zone, which may be any text, are left out.
    """
    text = part.decode("latin-1").strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None

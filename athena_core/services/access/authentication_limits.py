"""Limits of failed authentication: guesses of tokens are slowed by address and by token, counted and recorded."""

from collections import Counter, OrderedDict
from ipaddress import IPv4Address, ip_address, ip_network

from athena_core.clock import Clock, Ids, iso
from athena_core.decider import record
from athena_core.domain import plane
from athena_core.errors import AthenaError, RateLimited, TokenExpired, TokenInvalid, TokenMissing
from athena_core.event import Meta
from athena_core.log.writer import Log
from athena_core.services.access.refusal_limits import (
    SUMMARIES_BURST,
    SUMMARY_EVENTS_MAX,
    SUMMARY_SECONDS,
    WINDOW_SECONDS,
    TokenBucket,
)
from athena_core.system.timer import Timer

FAILURES_A_MINUTE = 10
"""Failures of an address or a token; further ones are refused without a check."""
PEERS_MAX = 10_000
"""Maximum number of addresses, and of tokens, whose failures are counted separately."""
SUMMARIES_MAX = 1_000
"""Maximum number of addresses, tokens and codes that are counted separately until the next summary."""
KNOWN_SECONDS = 600.0
"""The time for which an address that sent the right token of the settings is not refused."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that one client may have for itself."""
LOOP = "authentication.flush"
LOCAL_SOCKET = "unix"
ANYWHERE = ""

CODES = tuple(error.code for error in (TokenMissing, TokenInvalid, TokenExpired, RateLimited))
"""The codes of failures that are counted from the start of the process."""

Source = tuple[str, str | None, str]
"""The address, the token if it exists, and the code of failures."""


class AuthenticationLimits:
    """Counts failures, and refuses tokens from an address, or with an id, of which too many have failed.

    The failures are recorded like refusals: once a second at first, and once a minute while they continue, in at most
    ten events. A process that is killed loses the counts of the last minute.
    """

    def __init__(self, log: Log, clock: Clock, ids: Ids) -> None:
        self._log = log
        self._clock = clock
        self._ids = ids
        self.timer = Timer(LOOP, WINDOW_SECONDS, self.tick, log.problems)
        self._peers: OrderedDict[str, TokenBucket] = OrderedDict()
        self._tokens: OrderedDict[str, TokenBucket] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()
        """Addresses that sent the token in the settings, and when, on the monotonic clock."""
        self._summaries = TokenBucket(clock.monotonic(), SUMMARIES_BURST, 1 / SUMMARY_SECONDS)
        self._failures: dict[Source, int] = {}
        self._since = 0
        self.counts = Counter[str](dict.fromkeys(CODES, 0))
        """The number of failures since the start, by code."""

    def check(self, peer: str | None, token_id: str | None) -> None:
        """Raise RateLimited if too many requests from this address, or with this token, have failed."""
        if not self._peers and not self._tokens:
            return
        now = self._clock.monotonic()
        for buckets, name in ((self._peers, address_of(peer)), (self._tokens, token_id)):
            bucket = buckets.get(name) if name is not None else None
            if bucket is not None and not bucket.has(now):
                raise RateLimited(
                    f"Too many requests with a wrong token: more than {FAILURES_A_MINUTE} a minute. The token was not "
                    "checked. Retry later."
                )

    def check_known(self, peer: str | None) -> None:
        """Check an address that sent the right token of the settings, unless it did so in the last minutes."""
        address, now = address_of(peer), self._clock.monotonic()
        if now - self._known.get(address, -KNOWN_SECONDS) >= KNOWN_SECONDS:
            self.check(peer, None)
        self._known[address] = now
        self._known.move_to_end(address)
        if len(self._known) > PEERS_MAX:
            self._known.popitem(last=False)

    def failed(self, error: AthenaError, peer: str | None, token_id: str | None = None) -> None:
        """Count a failure. ``token_id`` is the id of a token that exists.

        An expired token, whose secret was right, does not count as a guess. Neither does a token that was not checked.
        """
        self.counts[error.code] += 1
        if not isinstance(error, TokenInvalid | TokenExpired | RateLimited):
            return
        address = address_of(peer)
        if isinstance(error, TokenInvalid):
            _take(self._peers, address, self._clock.monotonic())
            if token_id is not None:
                _take(self._tokens, token_id, self._clock.monotonic())
        self._note((address, token_id, error.code), 1)

    def _note(self, source: Source, count: int) -> None:
        if source not in self._failures and len(self._failures) >= SUMMARIES_MAX:
            source = (ANYWHERE, None, source[2])
        if not self._failures:
            self._since = self._clock.now()
        self._failures[source] = self._failures.get(source, 0) + count

    async def tick(self) -> bool:
        """Record the failures if a summary is due. Return True if none is left."""
        now = self._clock.monotonic()
        if self._failures and self._summaries.has(now):
            await self.flush()
            self._summaries.take(now)
        return not self._failures

    async def flush(self) -> None:
        """Record the failures; a count that cannot be recorded now is kept."""
        left, since, self._failures = _summary(self._failures), self._since, {}
        for source in list(left):
            address, token_id, code = source
            event = plane.AuthnFailed(
                count=left[source],
                code=code,  # type: ignore[arg-type]
                since=iso(since),
                token_id=token_id,
                peer=address or None,
            )
            meta = Meta(actor="system:server", correlation=self._ids.trace())
            try:
                await self._log.submit(record(plane.STREAM, event), meta)
            except AthenaError as error:
                self._log.problems.report(LOOP, error)
                break
            del left[source]
        for source, count in left.items():
            self._note(source, count)
            self._since = since


def address_of(peer: str | None) -> str:
    """Return the address by which failures are counted: of IPv6 its network, because a client has a whole one."""
    if peer is None:
        return LOCAL_SOCKET
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return ANYWHERE
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, IPV6_PREFIX), strict=False))


def _take(buckets: OrderedDict[str, TokenBucket], name: str, now: float) -> None:
    """Count a failure. The least recent name is dropped over the limit."""
    bucket = buckets.get(name)
    if bucket is None:
        bucket = buckets[name] = TokenBucket(now, FAILURES_A_MINUTE, FAILURES_A_MINUTE / 60)
    buckets.move_to_end(name)
    bucket.take(now)
    if len(buckets) > PEERS_MAX:
        buckets.popitem(last=False)


def _summary(failures: dict[Source, int]) -> dict[Source, int]:
    """Return the largest counts, and one sum for all others of each code."""
    ranked = sorted(failures.items(), key=lambda item: item[1], reverse=True)
    if len(ranked) <= SUMMARY_EVENTS_MAX:
        return dict(ranked)
    codes = {source[2] for source, _ in ranked}
    kept = SUMMARY_EVENTS_MAX - len(codes)
    summary, rest = dict(ranked[:kept]), ranked[kept:]
    for (_, _, code), count in rest:
        source = (ANYWHERE, None, code)
        summary[source] = summary.get(source, 0) + count
    return summary

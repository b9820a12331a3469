"""The idempotency key: how a repeated command finds its first answer (contract D20)."""

import hashlib
from collections.abc import Callable

from athena_core.decider import Reader
from athena_core.event import Value


def never(reader: Reader, subject: str | None) -> bool:
    """Keys of most commands bind for good."""
    return False


class Key(Value):
    """A client's key, hashed with its scope, and the fingerprint of the input it came with.

    ``released`` tells whether what the key led to was undone (a withdrawn run), so that the key binds anew.
    """

    hash: bytes
    fingerprint: bytes
    released: Callable[[Reader, str | None], bool] = never

    @classmethod
    def of(cls, identity: str, operation: str, key: str, content: bytes) -> "Key":
        """The key of an identity and an operation, over the normalised input."""
        scope = "\0".join((identity, operation, key)).encode()
        return cls(hash=hashlib.sha256(scope).digest(), fingerprint=hashlib.sha256(content).digest())

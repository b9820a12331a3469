"""The text of a token, and its hash, which alone is stored."""

import base64
import hashlib
import re

from athena_core.clock import Ids

SECRET_BYTES = 32
TOKEN_PREFIX = "ath_"
TOKEN_TEXT = re.compile(r"ath_([0-9A-Z]{26})_[A-Za-z0-9_-]{43}")
API_TOKEN_PARENT = "api-token:"
"""Prefix of the parent of sessions that were opened with the token in the settings."""


def new_text(token_id: str, ids: Ids) -> str:
    """Return a new token with this id: ``ath_``, the characters of the id, and 32 random bytes in base64url."""
    secret = base64.urlsafe_b64encode(ids.salt(SECRET_BYTES)).rstrip(b"=").decode()
    return f"{TOKEN_PREFIX}{token_id.partition('_')[2]}_{secret}"


def id_in(text: str) -> str | None:
    """Return the id of a token; None if the text is not the text of a token."""
    match = TOKEN_TEXT.fullmatch(text)
    return None if match is None else f"tok_{match[1]}"


def hash_of(text: str) -> str:
    """Return the SHA-256 of a token in hex. A random secret of 256 bits needs neither salt nor a slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def api_token_parent(api_token: str, log_id: str) -> str:
    """Return the parent of sessions of the token in the settings. It changes with the token.

    The log contains it, and a person may have chosen the token, so it is a slow hash (about 50 ms), salted by the log.
    """
    digest = hashlib.scrypt(api_token.encode(), salt=log_id.encode(), n=1 << 14, r=8, p=1, dklen=8)
    return API_TOKEN_PARENT + digest.hex()

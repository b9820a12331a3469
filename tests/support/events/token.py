"""Sample events of tokens, for logs that begin at a million milliseconds."""

from athena_core.domain.token import TokenCreated, TokenRevoked
from athena_core.values import Role

SHA256 = "5e" * 32
TOKEN = TokenCreated(
    token_id="tok_1",
    identity="ci",
    role=Role.OPERATOR,
    expires_at_ms=2_000_000,
    sha256=SHA256,
    by="ada",
    scope={"sessions": ("mine",)},
    note="nightly build",
)
SESSION = TokenCreated(
    token_id="tok_2",
    identity="ci",
    role=Role.VIEWER,
    expires_at_ms=1_500_000,
    sha256=SHA256,
    by="ci",
    scope={"sessions": ("mine",)},
    parent="tok_1",
)
REVOKED = TokenRevoked(token_id="tok_1", cause="requested", by="ada")
ENDED = TokenRevoked(token_id="tok_2", cause="superseded")

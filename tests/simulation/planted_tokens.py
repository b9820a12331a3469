"""Planted bugs of the tokens corner: mistakes of a tired engineer in the creation and lookup of tokens."""

from tests.simulation.planted import bug

TOKENS = "athena_core/services/access/tokens.py"
RECORDS = "athena_core/services/access/token_records.py"
TOKEN = "athena_core/domain/token.py"

BUGS = [
    # Lookup
    bug(
        "a token that was seen needs no secret",
        (
            TOKENS,
            "if token is None or not token.seen or not hmac.compare_digest(token.row.sha256, sha256):",
            "if token is None or not token.seen:",
        ),
    ),
    bug(
        "a session outlives its revoked parent",
        (
            TOKENS,
            "        if parent is None:\n            raise TokenInvalid(INVALID)\n",
            "        if parent is None:\n            return\n",
        ),
    ),
    bug(
        "a token lasts a minute longer",
        (TOKENS, "if row.expires_at_ms <= now:", "if row.expires_at_ms + 60_000 <= now:"),
    ),
    bug(
        "the role of the token counts alone",
        (TOKENS, "role=row.role if role.reaches(row.role) else role,", "role=row.role,"),
    ),
    bug("a scope is lost", (TOKENS, "            scope=token.scope,\n", "            scope=None,\n")),
    bug("a token of another server is unknown", (TOKENS, "token = token or self._refreshed(token_id)", "pass")),
    bug(
        "a revocation is not followed",
        (TOKENS, "TYPES = frozenset({TokenCreated.TYPE, TokenRevoked.TYPE})", "TYPES = frozenset({TokenCreated.TYPE})"),
    ),
    # Last use
    bug(
        "a use is stored once",
        (TOKENS, "if now - token.used_at >= USE_MS or now < token.used_at:", "if not token.used_at:"),
    ),
    bug(
        "uses are stored at the end only",
        (TOKENS, "        await self.flush()\n        return not self._uses", "        return not self._uses"),
    ),
    bug(
        "stored uses are forgotten at a start",
        (
            TOKENS,
            "self._tokens[token_id].used_at, self._tokens[token_id].seen = used_at, True",
            "self._tokens[token_id].used_at = self._tokens[token_id].seen = 0  # type: ignore",
        ),
    ),
    # Creation
    bug(
        "a role above the one of the identity",
        (RECORDS, "if not own.reaches(role):", "if role.reaches(own) and False:"),
    ),
    bug("a scope for an Admin", (RECORDS, "if role is Role.ADMIN and scope is not None:", "if False:")),
    bug(
        "a session outlives its parent's time",
        (RECORDS, "expires_at = min(expires_at, int(value[EXPIRES_AT]))", "pass"),
    ),
    bug("a session opens a session", (RECORDS, "        if claim.session:\n", "        if False:\n")),
    bug(
        "a revoked token keeps its sessions",
        (RECORDS, "sessions = _sessions_of(reader, token_id)\n", "sessions = []\n"),
    ),
    bug(
        "one session too many",
        (RECORDS, "len(sessions) + 1 - token.SESSIONS_A_PARENT_MAX", "len(sessions) - token.SESSIONS_A_PARENT_MAX"),
    ),
    bug("the newest session ends", (RECORDS, "for one in sessions[: max(", "for one in sessions[::-1][: max(")),
    bug(
        "a logout ends nothing",
        (
            RECORDS,
            "() if session is None else _revoked(reader, context, session, ",
            "() if session else _revoked(reader, context, session or '', ",
        ),
    ),
    bug("expired tokens are released at once", (RECORDS, "(now if value[PARENT] else now - kept)", "now")),
    bug("a token is revoked twice", (TOKEN, "if state.revoked or (", "if (")),
]

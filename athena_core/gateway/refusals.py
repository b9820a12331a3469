"""Refusals of the gateway, in the shape that stops agents: an error that they neither retry nor take for an answer."""

import re
from typing import Literal, TypeAlias

import msgspec

from athena_core.text import clean
from athena_core.values import MEMBER_CHARS_MAX

RefusalCode: TypeAlias = Literal[
    "athena_budget",
    "athena_stopped",
    "athena_model",
    "athena_path",
    "athena_method",
    "athena_origin",
    "athena_key",
    "athena_request",
    "athena_head",
    "athena_head_time",
    "athena_body",
    "athena_bodies",
    "athena_body_time",
    "athena_calls",
    "athena_connections",
    "athena_server",
    "athena_server_silent",
    "athena_server_odd",
]
STATUSES: dict[RefusalCode, int] = {
    "athena_path": 404,
    "athena_method": 405,
    "athena_origin": 403,
    "athena_key": 401,
    "athena_head": 431,
    "athena_head_time": 408,
    "athena_body": 413,
    "athena_bodies": 429,
    "athena_body_time": 408,
    "athena_calls": 429,
    "athena_connections": 429,
    "athena_server": 502,
    "athena_server_silent": 504,
}
"""The status of each code; 400 for the others, because agents do not retry it."""
KINDS = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}
"""The error type by status, as vendors name it; ``api_error`` for others from 500, else ``invalid_request_error``."""
RETRIED = re.compile(
    r"exhausted|overloaded|rate.?limit|too many|try again|retry|unavailable|timed? ?out", re.IGNORECASE
)
"""Words for which agents repeat a call, even after a status that is final."""
BUDGET, OTHER = "The budget is used up. Athena stops this work.", "Athena refused this call."
"""Sentences in place of those with such words."""


class CallBudgetReached(Exception):
    """The answer of a ledger to a call that the budget does not allow. The agent reads the message."""

    def __init__(self, message: str = BUDGET) -> None:
        """Take a sentence. Words for which agents repeat calls are not passed on."""
        super().__init__(message)


class Refusal(Exception):
    """A request that the gateway answers with an error of its own."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        """Take a code, and a sentence with the remedy."""
        self.code: RefusalCode = code
        self.status = STATUSES.get(code, 400)
        message = clean(message)[:MEMBER_CHARS_MAX]
        if self.status == 400 and RETRIED.search(message):
            message = BUDGET if code == "athena_budget" else OTHER
        self.message = message
        super().__init__(self.message)

    def body(self) -> bytes:
        """Return the JSON that clients of all four APIs understand."""
        kind = KINDS.get(self.status, "api_error" if self.status >= 500 else "invalid_request_error")
        return msgspec.json.encode(
            {"type": "error", "error": {"type": kind, "code": self.code, "message": self.message}}
        )

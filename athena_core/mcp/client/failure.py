"""The failure of an MCP server, as a code and a sentence."""

from typing import Literal, TypeAlias

FailureCode: TypeAlias = Literal[
    "cannot-start",
    "ended",
    "silent",
    "line-too-long",
    "invalid-json",
    "invalid-message",
    "unknown-answer",
    "input-blocked",
    "flood",
    "protocol-version",
    "refused",
    "redirect",
    "unauthorized",
    "http-status",
    "connection",
    "session-lost",
    "too-many-questions",
    "not-offered",
    "result-too-large",
    "busy",
]
"""Why a server failed. ``refused``: it answered with an error. ``not-offered``: it asked for a model or the like.

After ``session-lost`` the call was not carried out, and a new client can make it again.
"""
WORDS_MAX = 300
"""Characters of a server's own words in a sentence."""


class McpFailure(Exception):
    """A server that did not do its part. The message is a sentence that names the server."""

    def __init__(self, server: str, code: FailureCode, detail: str) -> None:
        """Take the name of the server, and a sentence that begins with "It"."""
        super().__init__(f"The MCP server {server!r} failed. {detail}")
        self.server = server
        self.code = code
        self.detail = detail

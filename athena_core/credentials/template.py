"""The place of a secret in a request: a header or a parameter of the query."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import quote, unquote_plus

SECRET = "{secret}"
HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}): ?([!-~](?:[ -~]{0,998}[!-~])?)")
PARAMETER = re.compile(r"([A-Za-z0-9._~-]{1,100})=([A-Za-z0-9._~{}-]{1,200})")
RESERVED = frozenset(
    (
        "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie2", "date",
        "expect", "forwarded", "host", "http2-settings", "keep-alive", "origin", "range", "referer", "te", "trailer",
        "transfer-encoding", "upgrade", "user-agent", "via",
    )
)  # fmt: skip
"""Headers that frame a request or describe its body. A credential may set any other header, also ``Cookie``."""
RESERVED_BEGIN = ("proxy-", "sec-", "x-forwarded-")


class BadTemplate(ValueError):
    """A template that cannot be used. The message is the reason and the remedy, without the text."""


class TemplateConflict(Exception):
    """A request that has a value in the place of the secret already. The message is a sentence."""


class Template(NamedTuple):
    """A template: the name of a header (in lower case) or of a parameter, and the text around the secret."""

    header: str | None
    parameter: str | None
    before: str
    after: str

    @classmethod
    def of_header(cls, text: str) -> Self:
        """Parse ``Name: value``. Raise BadTemplate."""
        found = HEADER.fullmatch(text)
        if found is None:
            raise BadTemplate(
                f"is not a header of printable ASCII. Write for example 'Authorization: Bearer {SECRET}'."
            )
        name = found[1].lower()
        if name in RESERVED or name.startswith(RESERVED_BEGIN):
            raise BadTemplate("names a header that the request itself needs, or that proxies set. Choose another one.")
        return cls(name, None, *_around(found[2]))

    @classmethod
    def of_query(cls, text: str) -> Self:
        """Parse ``name=value``. Raise BadTemplate."""
        found = PARAMETER.fullmatch(text)
        if found is None:
            raise BadTemplate(f"is not one parameter of letters, digits and '._~-'. Write for example 'key={SECRET}'.")
        return cls(None, found[1], *_around(found[2]))

    def apply(self, secret: str, headers: Mapping[str, str], path: str) -> tuple[dict[str, str], str]:
        """Return headers and path (with the query) of a request that carries the secret. Raise TemplateConflict."""
        if self.header is not None:
            if self.header in map(str.lower, headers):
                raise TemplateConflict(
                    f"The request sets the header {self.header!r}, which a credential sets. Remove it."
                )
            return {**headers, self.header: self.before + secret + self.after}, path
        parameter = self.parameter or ""
        start, _, query = path.partition("?")
        if any(_name(pair) == parameter.lower() for pair in re.split("[&;]", query)):
            raise TemplateConflict(f"The URL has the parameter {parameter!r}, which a credential sets. Remove it.")
        added = f"{parameter}={self.before}{quote(secret, safe='')}{self.after}"
        return dict(headers), f"{start}?{query}{'&' if query else ''}{added}"


def _around(value: str) -> tuple[str, str]:
    before, found, after = value.partition(SECRET)
    if not found or SECRET in after:
        raise BadTemplate(f"must contain {SECRET} exactly once.")
    if "{" in before + after or "}" in before + after:
        raise BadTemplate(f"contains braces other than {SECRET}. Remove them.")
    return before, after


def _name(pair: str) -> str:
    """Return the name of a parameter of a query as servers compare it at most: decoded, in lower case."""
    return unquote_plus(pair.partition("=")[0]).lower()

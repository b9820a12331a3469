"""The credentials of a request: which ones it carries, where it may go with them, and the check of its answer."""

import html
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from athena_core.credentials.credentials import Credential, Credentials, CredentialUnavailable
from athena_core.credentials.template import TemplateConflict
from athena_core.mask import Mask
from athena_core.tools.refusal import ToolRefused

RANGE = "range"
GZIP = b"\x1f\x8b"
ESCAPED_IN_JSON = re.compile(r'\\u00([0-9a-fA-F]{2})|\\(["\\/])')
WITHHELD = "[the answer holds a secret in an escaped form; it is not shown]"
COMPRESSED = "[the body is compressed and could hold the secret of a credential; it is not shown]"


class SignedRequest(NamedTuple):
    """The headers and the path of a request, with secrets in their places."""

    headers: dict[str, str]
    path: str


class RequestCredentials(NamedTuple):
    """The credentials that a request to one host and port carries, sorted by name."""

    carried: tuple[Credential, ...] = ()

    @classmethod
    def of(
        cls, credentials: Credentials, names: Iterable[str], scheme: str, host: str, port: int
    ) -> "RequestCredentials":
        """Return the named credentials that cover a destination. Names without a credential are ignored."""
        found = (credentials.find(name) for name in sorted(set(names)))
        return cls(tuple(one for one in found if one is not None and one.covers(scheme, host, port)))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(credential.name for credential in self.carried)

    @property
    def private(self) -> bool:
        """True if each of them may go to an address that is not public; False without any."""
        return bool(self.carried) and all(credential.private for credential in self.carried)

    def check(self, recorded: Collection[str], headers: Mapping[str, str]) -> None:
        """Raise ToolRefused unless the call was recorded with exactly these, and each has a place of its own."""
        if self.names != tuple(sorted(recorded)):
            raise ToolRefused(
                f"The request would carry {_listed(self.names)}, but the call was recorded with {_listed(recorded)}. "
                "The credentials of the server changed meanwhile. Make the call again."
            )
        places = Counter(credential.header or f"?{(credential.parameter or '').lower()}" for credential in self.carried)
        if any(count > 1 for count in places.values()):
            raise ToolRefused(
                f"{_listed(self.names)} set the same header or parameter of this request. "
                "An operator can create a profile with only one of them, or change their hosts."
            )
        if self.carried and RANGE in headers:
            raise ToolRefused(
                f"Header {RANGE!r} is not allowed in a request with credentials, because parts of an answer could "
                "spell a secret. Remove it."
            )

    def check_transport(self, scheme: str, host: str, *, public: bool) -> None:
        """Raise ToolRefused if a plain http request would carry them to a public address."""
        if self.carried and scheme != "https" and public:
            raise ToolRefused(
                f"{host} has a public address, and {_listed(self.names)} would go there over plain http. Use https."
            )

    async def sign(self, headers: Mapping[str, str], path: str) -> SignedRequest:
        """Return the headers and the path with the secrets. Raise ToolRefused, without a secret in the message."""
        signed = SignedRequest(dict(headers), path)
        for credential in self.carried:
            try:
                signed = SignedRequest(*credential.apply(await credential.secret(), *signed))
            except TemplateConflict as conflict:
                raise ToolRefused(str(conflict)) from None
            except CredentialUnavailable:  # its message names places of the server
                raise ToolRefused(
                    f"The secret of credential {credential.name!r} cannot be read now, so the request was not sent. "
                    "An operator finds the reason in the health of the server."
                ) from None
        return signed


def missing_names(credentials: Credentials, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without a credential in this process, sorted."""
    return tuple(sorted(set(names) - credentials.names))


def is_compressed(encoding: str, body: bytes) -> bool:
    """Return True if a body must be unpacked before it can be read."""
    return encoding.strip().lower() not in {"", "identity"} or body.startswith(GZIP)


def reveals(text: str, mask: Mask) -> bool:
    """Return True if a masked text still holds a secret, escaped as in JSON, HTML or a URL."""
    plain = ESCAPED_IN_JSON.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
    views = {plain, unquote(text), html.unescape(text), unquote(html.unescape(plain))} - {text}
    return any(mask.hide(view) != view for view in views)


def _listed(names: Collection[str]) -> str:
    noun = "credential" if len(names) == 1 else "credentials"
    return f"{noun} {', '.join(map(repr, sorted(names)))}" if names else "no credential"

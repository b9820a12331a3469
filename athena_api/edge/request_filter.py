"""The request filter: checks of header fields that every request passes before any other work."""

from athena_api.edge.asgi import HEAD_ERROR, Scope
from athena_api.edge.browser import BrowserChecks, Headers
from athena_api.edge.identity import HOST, ORIGIN, Identification, RequestHead, check_query
from athena_core.errors import AthenaError
from athena_core.proxies import TrustedProxies
from athena_core.roles import SECRET_HEADER
from athena_core.values import LOCAL

PROBES = frozenset(("/livez", "/readyz"))
OPEN_PATHS = PROBES | {"/", "/docs", "/openapi.json", "/events.schema.json"}
OPEN_FOLDER = "/static/"
FORWARDED = b"x-forwarded-for"


class RequestFilter:
    """Sets ``scope["athena.identity"]`` of a request, or refuses it.

    Open paths get no identity. Probes may use any host name, because they address a machine. If a trusted proxy names
    the client's address, it sets ``scope["athena.client"]`` for the access log.
    """

    def __init__(
        self, *, browsers: BrowserChecks, proxies: TrustedProxies, identification: Identification | None
    ) -> None:
        """Without an identification every caller is the local Admin."""
        self.browsers = browsers
        self._proxies = proxies
        self._identification = identification
        names = identification.names if identification else frozenset()
        self._watched: frozenset[bytes] = names | {HOST, ORIGIN}
        self._secret = SECRET_HEADER.encode()
        self._secrets = identification.secrets if identification else frozenset()

    def check(self, scope: Scope, refusal: Headers) -> Headers:
        """Check a request. Return the headers for its answer. Raise AthenaError, and add the headers of ``refusal``."""
        if HEAD_ERROR in scope:
            refused: AthenaError = scope[HEAD_ERROR]
            raise refused
        fields: dict[bytes, list[bytes]] = {}
        twins: frozenset[bytes] = frozenset()
        watched = self._watched
        for name, value in scope["headers"]:
            if name in watched or name == FORWARDED:
                fields.setdefault(name, []).append(value)
            elif b"_" in name and name.replace(b"_", b"-") in watched:
                twins |= {name.replace(b"_", b"-")}
        method, path, server = scope["method"], scope["path"], scope["server"]
        hosts, origins = fields.get(HOST, []), fields.get(ORIGIN, [])
        shared: Headers = []
        local = server is None or server[1] is None  # in this process, or over a Unix socket
        client = scope["client"]
        peer = None if local else client[0] if client else ""
        if forwarded := fields.pop(FORWARDED, None):
            scope["athena.client"] = self._proxies.client(peer, forwarded, fields.get(self._secret, ()))
        if server is not None and path not in PROBES:
            self.browsers.check_host(hosts, reachable=server[1] is not None)
            shared = self.browsers.check_origin(origins, hosts)
        if not self._secrets.isdisjoint(fields):  # the application must not see secrets
            scope["headers"] = [field for field in scope["headers"] if field[0] not in self._secrets]
        identification = self._identification
        if identification is None:
            scope["athena.identity"] = LOCAL
            return shared
        if path not in PROBES:
            check_query(scope.get("query_string", b""))
        if not is_open(method, path):
            client = scope.get("athena.client", peer)
            head = RequestHead(method, fields, twins, peer, client, inside=server is None)
            try:
                scope["athena.identity"] = identification.identify(head)
            except AthenaError as error:
                refusal += identification.headers_of(error, head)
                raise
        return shared


def is_open(method: str, path: str) -> bool:
    """Return True if a request needs no identity."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or method == "OPTIONS"

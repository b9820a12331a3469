"""A stand-in for oauth2-proxy as a proxy in front asks it: who is signed in, by a cookie with the name of a person.

Groups follow the name after a ``|``, separated by commas.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COOKIE = "_oauth2_proxy"


class _Answer(BaseHTTPRequestHandler):
    """``/oauth2/auth`` answers 202 with the person's address, or 401. ``/oauth2/start`` leads to the provider."""

    def do_GET(self) -> None:
        person = SimpleCookie(self.headers.get("cookie", "")).get(COOKIE)
        if self.path == "/oauth2/auth":
            self.send_response(202 if person else 401)
            if person:
                email, _, groups = unquote(person.value).partition("|")
                self.send_header("X-Auth-Request-User", f"subject of {email}")
                self.send_header("X-Auth-Request-Email", email)
                self.send_header("X-Auth-Request-Preferred-Username", email.partition("@")[0])
                if groups:  # as the real one, which sends no empty header
                    self.send_header("X-Auth-Request-Groups", groups)
        else:
            self.send_response(302 if self.path.startswith("/oauth2/start") else 404)
            self.send_header("Location", "https://login.example.org/authorize")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the library
        """Print nothing."""


@contextmanager
def signed_in() -> Iterator[str]:
    """Serve on a port of this machine. Yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()

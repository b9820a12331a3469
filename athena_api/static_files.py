"""Pages and static files: everything comes from this server, and works without a network."""

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent / "static"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
SECURITY_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
)
"""Headers of every page and static file: nothing inline, nothing from another host."""

PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Athena API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/vendor/swagger-ui.css">
<script src="/static/vendor/swagger-ui-bundle.js" defer></script>
<script src="/static/docs.js" defer></script>
</head>
<body>
<noscript>The document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<div id="swagger-ui"></div>
</body>
</html>
"""


CONSOLE = "dashboard/index.html"
HASHED = "dashboard/assets/"
"""Where the names of files hold a hash of their content."""


class StaticFile(NamedTuple):
    """A file as it is served; one that is ``immutable`` never has another content under its name."""

    content: bytes
    content_type: str
    etag: str
    immutable: bool = False

    @classmethod
    def of(cls, content: bytes, suffix: str, *, immutable: bool = False) -> "StaticFile":
        """Return a file of the type that a suffix means, with the ETag of its content."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(content, CONTENT_TYPES[suffix], etag, immutable)


@functools.cache
def docs_page() -> StaticFile:
    """Return the page at ``/docs``."""
    return StaticFile.of(PAGE, ".html")


def console_page() -> StaticFile:
    """Return the page at ``/``; its sources are in ``athena_api/dashboard``."""
    return static_files()[CONSOLE]


def static_file(path: str) -> StaticFile | None:
    """Return the file at ``/static/<path>``, if it is one of those that came with this release."""
    return static_files().get(path)


@functools.cache
def static_files() -> dict[str, StaticFile]:
    """Every file that is served, by its path: the list is fixed, so no path can lead elsewhere."""
    files: dict[str, StaticFile] = {}
    for file in sorted(ROOT.rglob("*")):
        if file.suffix in CONTENT_TYPES and file.is_file():
            path = file.relative_to(ROOT).as_posix()
            files[path] = StaticFile.of(file.read_bytes(), file.suffix, immutable=path.startswith(HASHED))
    return files

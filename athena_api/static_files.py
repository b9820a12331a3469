"""Pages and static files, all served from here so that they work without internet access."""

import functools
import gzip
import hashlib
import os
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
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
"""Headers of pages and static files: no inline code, nothing from other hosts, and no use by pages of other sites."""

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
"""The folder whose file names contain a hash of the content."""


class StaticFile(NamedTuple):
    """A file to serve, with its compressed forms by encoding, smallest first.

    The content of an ``immutable`` file never changes under its name.
    """

    content: bytes
    content_type: str
    etag: str
    immutable: bool = False
    compressed: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, content: bytes, suffix: str, *, immutable: bool = False, brotli: bytes | None = None) -> "StaticFile":
        """Return a file with the content type of its suffix and an ETag of its content. Takes up to 70 ms."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        forms = {"gzip": gzip.compress(content, mtime=0)} | ({} if brotli is None else {"br": brotli})
        smaller = sorted((len(form), name) for name, form in forms.items() if len(form) < len(content))
        return cls(content, CONTENT_TYPES[suffix], etag, immutable, tuple((name, forms[name]) for _, name in smaller))

    def etag_of(self, encoding: str) -> str:
        """Return the ETag of a compressed form."""
        return f'{self.etag[:-1]}-{encoding}"'


@functools.cache
def docs_page() -> StaticFile:
    """Return the page at ``/docs``."""
    return StaticFile.of(PAGE, ".html")


def console_page() -> StaticFile:
    """Return the page at ``/``. Its sources are in ``athena_api/dashboard``."""
    return static_files()[CONSOLE]


def static_file(path: str) -> StaticFile | None:
    """Return the file at ``/static/<path>``, or None."""
    return static_files().get(path)


@functools.cache
def static_files() -> dict[str, StaticFile]:
    """Return all served files by path. The list is fixed, so no path leads outside of the folder."""
    files: dict[str, StaticFile] = {}
    for folder, _, names in os.walk(ROOT, onerror=_raise):  # from Python 3.13 on, rglob would skip what it cannot read
        for name in names:
            file = Path(folder, name)
            if file.suffix in CONTENT_TYPES:
                path = file.relative_to(ROOT).as_posix()
                files[path] = StaticFile.of(
                    file.read_bytes(),
                    file.suffix,
                    immutable=path.startswith(HASHED),
                    brotli=file.with_name(f"{name}.br").read_bytes() if f"{name}.br" in names else None,
                )
    return files


def _raise(error: OSError) -> None:
    raise error

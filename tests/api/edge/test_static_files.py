"""The pages: only files of this release, no other host, no inline script, and the console is small."""

import gzip
import re
import shutil
import subprocess

import pytest

from athena_api.static_files import (
    HASHED,
    ROOT,
    SECURITY_HEADERS,
    StaticFile,
    console_page,
    docs_page,
    static_file,
    static_files,
)
from tests.support.programs import needs

CONSOLE_BYTES_MAX = 100_000  # all files together, each in its smallest form
NODE = shutil.which("node")
UNPACK = 'process.stdout.write(require("zlib").brotliDecompressSync(require("fs").readFileSync(0)))'


def test_the_files_of_the_page_are_there() -> None:
    page = docs_page().content.decode()
    links = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    assert len(links) == 3
    for link in links:
        found = static_file(link)
        assert found is not None
        assert found.content == (ROOT / link).read_bytes()
        assert found.content_type.partition(";")[0] in ("text/css", "text/javascript")


def test_the_console_is_its_page_and_files_named_by_their_content() -> None:
    page = console_page().content.decode()
    links = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    assert sorted(link.rpartition(".")[2] for link in links) == ["css", "js"]
    assert not console_page().immutable
    for link in links:
        found = static_file(link)
        assert found is not None
        assert found.immutable
    there = {path for path in static_files() if path.startswith("dashboard/")}
    assert there == {*links, "dashboard/index.html"}, "what is left from another build is removed"
    forms = [static_files()[path].compressed for path in sorted(there)]
    assert [[name for name, _ in form] for form in forms] == [["br", "gzip"], ["br", "gzip"], ["gzip"]]
    size = sum(min(len(content) for _, content in form) for form in forms)
    assert size < CONSOLE_BYTES_MAX, f"the console has {size:,} bytes, compressed"


@needs("node")
def test_the_brotli_form_of_a_file_has_its_content() -> None:
    files = [file for path, file in static_files().items() if path.startswith(HASHED)]
    assert len(files) == 2
    for file in files:
        unpacked = subprocess.run(
            [str(NODE), "-e", UNPACK], input=dict(file.compressed)["br"], capture_output=True, check=True
        )
        assert unpacked.stdout == file.content
        assert gzip.decompress(dict(file.compressed)["gzip"]) == file.content


def test_a_form_that_is_not_smaller_is_left_out() -> None:
    assert StaticFile.of(b"body {}", ".css", brotli=b"x" * 7).compressed == ()
    assert [name for name, _ in StaticFile.of(b" " * 100, ".css", brotli=b"x" * 99).compressed] == ["gzip", "br"]


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "vendor", "vendor/", "/docs.js", "./docs.js", "vendor/../docs.js", "../docs.py", "DOCS.JS"),
        *("vendor//swagger-ui.css", "vendor\\swagger-ui.css", "docs.js\0", "vendor/refresh.sh", "vendor/VERSION"),
        "nowhere.js",
    ],
)
def test_no_other_path_leads_anywhere(path: str) -> None:
    assert static_file(path) is None


def test_a_changed_file_has_another_tag() -> None:
    tags = {file.etag for file in static_files().values()} | {docs_page().etag}
    assert len(tags) == len(static_files()) + 1
    assert all(re.fullmatch(r'"[0-9a-f]{32}"', tag) for tag in tags)


def test_nothing_is_asked_of_another_host() -> None:
    elsewhere = r"https?:(?!//www\.w3\.org/2000/svg')"
    for page in (docs_page().content.decode(), console_page().content.decode()):
        assert re.findall(rf"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|{elsewhere}", page) == []
    policy = dict(SECURITY_HEADERS)["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert ("x-frame-options", "DENY") in SECURITY_HEADERS
    script = static_file("docs.js")
    assert script is not None
    assert b"validatorUrl: null" in script.content


def test_the_vendored_files_carry_their_licence_and_version() -> None:
    vendor = ROOT / "vendor"
    assert re.fullmatch(r"swagger-ui-dist 5\.\d+\.\d+\n", (vendor / "VERSION").read_text())
    assert "Apache License" in (vendor / "LICENSE").read_text()

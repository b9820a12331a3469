"""The console behind a real proxy that signs people in, set up as the console itself says to who has no identity."""

import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import MISSING, watched
from tests.console.scene import set_up
from tests.support.api import soon

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
AROUND = """
daemon off;
user {user};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(NGINX is None, reason="not installed: nginx"),
]


@contextmanager
def proxied(directory: Path, location: str) -> Iterator[str]:
    """nginx with a location that it was told of; where it answers."""
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = pwd.getpwuid(os.getuid()).pw_name  # who alone may read the directories of a test
    (directory / "nginx.conf").write_text(AROUND.format(directory=directory, port=port, location=location, user=user))
    command = [NGINX, "-p", str(directory), "-c", str(directory / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in soon():
            assert process.poll() is None, (directory / "error.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_who_has_no_identity_is_told_how_to_get_one_and_it_works(browser: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 - it is not installed everywhere

    roles = {"auth_enabled": "true", "auth_identity_role_map": "ada:Admin"}
    with set_up(tmp_path / "server", identity="ada", **roles) as scene:
        with watched(browser, scene.server.url) as page:
            page.goto("/")
            expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
            told = page.locator("pre").first.inner_text()
        gate = scene.gates["proxied"]
        passwords = tmp_path / "passwords"
        passwords.write_text("ada:{PLAIN}lovelace\n")
        location = told.replace("http://127.0.0.1:8787", scene.server.url)
        location = re.sub(r"(auth_basic_user_file +)\S+;", rf"\1{passwords};", location)
        known = {"username": "ada", "password": "lovelace"}
        with proxied(tmp_path, location) as url, watched(browser, url, http_credentials=known) as page:
            page.goto("/")
            expect(page.locator(".who")).to_have_text(re.compile("ada.*Admin"))
            expect(page.locator('.pulse[data-state="live"]')).to_be_visible()
            page.get_by_role("button", name="Start a run …", exact=True).click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_label("Input", exact=True).fill("tell proxied one two")
            for label, value in (("Provider", "local-exec"), ("Model", "script")):
                dialog.get_by_label(label).fill(value)
            dialog.get_by_role("button", name="Start a run", exact=True).click()
            expect(page.locator(".writing pre")).to_have_text("one ")  # while the model writes: nothing is kept back
            for _ in ("one", "two"):
                gate.release()
            expect(page.get_by_role("heading", level=1).locator(".status")).to_have_text("completed")
            run_id = page.url.rpartition("/")[2]
            assert scene.api.get(f"/runs/{run_id}/explain")["causes"][0]["actor"] == "ada"

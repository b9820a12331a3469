"""The console behind a real proxy that signs people in."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import LIVE, expect
from tests.console.scene import set_up
from tests.support.nginx import MISSING as WITHOUT_NGINX
from tests.support.nginx import NGINX, free_port, location, nginx
from tests.support.vouched import VOUCHED

SITE = """location / {{
    auth_basic           "Athena";
    auth_basic_user_file {passwords};
    proxy_pass           {server};
    proxy_http_version   1.1;
    proxy_set_header     Host $http_host;
    proxy_set_header     Connection "";
    proxy_buffering      off; # the page is a stream
    proxy_set_header     x-athena-identity $remote_user;
    proxy_set_header     x-athena-proxy-secret "{secret}";
    proxy_set_header     x-athena-scope-sessions "";
    proxy_set_header     x-athena-scope-runs "";
    proxy_set_header     x-athena-scope-personas "";
    proxy_set_header     x-athena-scope-global "";
}}"""
pytestmark = [*IN_A_BROWSER, pytest.mark.skipif(NGINX is None, reason=WITHOUT_NGINX)]


def test_a_proxy_signs_people_in(browser: Any, tmp_path: Path) -> None:
    roles = {"auth_identity_role_map": "ada:Admin"} | VOUCHED
    with set_up(tmp_path / "server", identity="ada", **roles) as scene:
        with watched(browser, scene.server.url) as page:
            page.goto("/")
            expect(page.get_by_role("heading", name="Log in to Athena")).to_be_visible()
            page.get_by_text("Sign in through a proxy instead").click()
            expect(page.get_by_text("docs/how-to/nginx.md")).to_be_visible()
        gate = scene.gates["proxied"]
        passwords = tmp_path / "passwords"
        passwords.write_text("ada:{PLAIN}lovelace\n")
        site = location(
            port := free_port(),
            SITE.format(passwords=passwords, server=scene.server.url, secret=VOUCHED["auth_proxy_secret"]),
        )
        known = {"username": "ada", "password": "lovelace"}
        with (
            nginx(tmp_path, port, site) as url,
            watched(browser, url, http_credentials=known) as page,
        ):
            page.goto("/")
            expect(page.locator(".who")).to_have_text(re.compile("ada.*Admin"))
            expect(page.get_by_role("button", name="Log out")).to_have_count(0)
            expect(page.locator(LIVE)).to_be_visible()
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

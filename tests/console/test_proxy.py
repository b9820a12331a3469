"""The console behind a real proxy that signs people in, set up as the console itself says to who has no identity."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import MISSING, watched
from tests.console.scene import set_up
from tests.support.nginx import MISSING as WITHOUT_NGINX
from tests.support.nginx import NGINX, free_port, location, nginx

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(NGINX is None, reason=WITHOUT_NGINX),
]


def test_the_instructions_for_a_missing_identity_work(browser: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 - it is not installed everywhere

    roles = {"auth_enabled": "true", "auth_identity_role_map": "ada:Admin"}
    with set_up(tmp_path / "server", identity="ada", **roles) as scene:
        with watched(browser, scene.server.url) as page:
            page.goto("/")
            expect(page.get_by_role("heading", name="Log in to Athena")).to_be_visible()
            page.get_by_text("Sign in through a proxy instead").click()
            told = page.locator("pre").first.inner_text()
        gate = scene.gates["proxied"]
        passwords = tmp_path / "passwords"
        passwords.write_text("ada:{PLAIN}lovelace\n")
        content = told.replace("http://127.0.0.1:8787", scene.server.url)
        content = re.sub(r"(auth_basic_user_file +)\S+;", rf"\1{passwords};", content)
        site = location(port := free_port(), content)
        known = {"username": "ada", "password": "lovelace"}
        with (
            nginx(tmp_path, port, site) as url,
            watched(browser, url, http_credentials=known) as page,
        ):
            page.goto("/")
            expect(page.locator(".who")).to_have_text(re.compile("ada.*Admin"))
            expect(page.get_by_role("button", name="Log out")).to_have_count(0)
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

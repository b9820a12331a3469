"""The TypeScript client over restarts of the server: every event once and in order, one run for each call."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.console.browser import MISSING as NO_BROWSER
from tests.console.browser import chromium
from tests.support.api import soon
from tests.support.node import Project
from tests.support.server import Server

pytestmark = pytest.mark.heavy

CALLS = 60
FOLLOW = """
import { Athena } from "@projectathena/client";

const athena = new Athena({ baseUrl: process.env.URL ?? "" });
const calls = Number(process.env.CALLS);
const started: string[] = [];
async function call(): Promise<void> {
  for (let index = 0; index < calls; index++) started.push((await athena.run(`hello ${index}`)).runId);
}
const called = call();
const ids: string[] = [];
let completed = 0;
for await (const event of athena.events()) {
  ids.push(event.id);
  if (event.type === "run.completed") console.error(++completed);
  if (completed === calls) break;
}
await called;
console.log(JSON.stringify({ ids, started }));
"""
PAGE = """<!doctype html><title>A page</title><script type="module">
import { Athena } from "/client/index.js";
window.ids = [];
window.started = [];
window.begin = async (url, calls) => {
  const athena = new Athena({ baseUrl: url });
  await athena.getCapabilities({ deadlineMs: 0 });
  window.call = async () => {
    for (let index = 0; index < calls; index++) window.started.push((await athena.run(`hello ${index}`)).runId);
  };
  void window.call();
  void (async () => {
    for await (const event of athena.events()) window.ids.push(event.id);
  })();
};
</script>"""


def restarts(server: Server) -> Iterator[None]:
    """Yield before each restart: one by SIGTERM, one after SIGKILL."""
    port = int(server.url.rpartition(":")[2])
    for end in (server.stop, server.kill):
        yield
        end()
        server.start(port)


def check(server: Server, ids: list[str], started: list[str]) -> None:
    events = server.api.events()
    assert ids == [event["id"] for event in events][: len(ids)]
    created = [event["runId"] for event in events if event["type"] == "run.created"]
    assert sorted(started) == sorted(created), "each call started one run"


def test_in_node(project: Project, server: Server) -> None:
    assert project.build(follow=FOLLOW) == ""
    with project.start("follow", URL=server.url, CALLS=str(CALLS)) as process:
        assert process.stderr is not None
        for _ in restarts(server):
            for _ in range(CALLS // 3):
                assert process.stderr.readline(), "it ended"
        output, errors = process.communicate(timeout=110)
    assert process.returncode == 0, errors
    found = json.loads(output)
    assert len(found["started"]) == CALLS
    check(server, found["ids"], found["started"])


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve files of a directory under an origin of their own."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as files:
        thread = Thread(target=files.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{files.server_port}"
        finally:
            files.shutdown()
            thread.join()


@pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
def test_in_a_page_of_another_origin(project: Project, tmp_path: Path) -> None:
    place = tmp_path / "pages"
    (project.client / "dist").rename(project.client / "client")
    place.mkdir()
    (project.client / "client").rename(place / "client")
    (place / "index.html").write_text(PAGE, "utf-8")
    with serving(place) as origin, chromium() as browser:
        with Server(tmp_path / "closed") as server:
            page = browser.new_page()
            page.goto(origin)
            begin = "([url, calls]) => begin(url, calls).catch((error) => error.code)"
            assert page.evaluate(begin, [server.url, CALLS]) == "UNREACHABLE", "its origin is not allowed"
        with Server(tmp_path / "open", allowed_origins=origin) as server:
            page = browser.new_page()
            page.goto(origin)
            assert page.evaluate(begin, [server.url, CALLS]) is None
            for part, _ in enumerate(restarts(server), 1):
                page.wait_for_function(f"started.length >= {part * CALLS // 3}")
            page.wait_for_function(f"started.length === {CALLS}", timeout=60_000)
            head = len(server.api.events())
            for _ in soon():
                if page.evaluate("ids.length") >= head:
                    break
            check(server, page.evaluate("ids"), page.evaluate("started"))

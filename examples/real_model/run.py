"""A run of a real small model, and its records in Athena: transcript, usage and events.

Starts the model server and a temporary Athena server, and stops both at the end.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any
from urllib.parse import quote, urlencode

from examples.real_model.model_server import MODEL, missing_packages, model_server

WORKSPACE = Path(__file__).resolve().parents[2]
START_SECONDS = 30
STOP_SECONDS = 30
REQUEST_SECONDS = 120


@contextmanager
def athena_server(model_url: str) -> Iterator[str]:
    """Run an Athena server whose default model is the one at ``model_url``. Yield its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as state:
        settings = {
            "ATHENA_STATE_DIR": state,
            "ATHENA_WORKSPACE_ROOT": str(WORKSPACE),
            "ATHENA_DEFAULT_PROVIDER": "openai",
            "ATHENA_DEFAULT_MODEL": MODEL,
            "ATHENA_OPENAI_BASE_URL": f"{model_url}/v1",
            "ATHENA_RUNTIME_RUN_TIMEOUT_MS": str(REQUEST_SECONDS * 1000),
        }
        command = [sys.executable, "-m", "athena_cli", "api", "serve", "--port", str(port)]
        log = Path(state, "server.txt")
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=WORKSPACE, env=os.environ | settings, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_until_alive(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_alive(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server responds. Exit with its output if it does not."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/livez", timeout=START_SECONDS).close()
            return
        except urllib.error.URLError:
            time.sleep(0.05)
    sys.exit(f"the Athena server did not start:\n{log.read_text()}")


def call(method: str, url: str, body: object = None) -> Any:
    """Send one request. Return the ``data`` of the response, or exit with the error."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: HTTP {error.code}: {error.read().decode(errors='replace')}")


def show(title: str, lines: Iterator[str]) -> None:
    """Print a heading and indented lines."""
    print(f"\n{title}", indent("\n".join(lines), "  "), sep="\n")


def main() -> None:
    """Ask the model for a summary of the README, and print the recorded result."""
    if missing := missing_packages():
        sys.exit(f"not installed: {', '.join(missing)}; see examples/real_model/README.md")
    with model_server() as model_url, athena_server(model_url) as url:
        api = f"{url}/api/v1"
        directive = {"input": "Summarise this in one sentence.", "contextRefs": ["file:README.md#L1-L20"]}
        directive_id = call("POST", f"{api}/directives", directive)["id"]
        result = call("POST", f"{api}/runs", {"directiveId": directive_id})
        run_id, session_id = result["runId"], result["sessionId"]
        run = call("GET", f"{api}/runs/{quote(run_id)}")
        entries = call("GET", f"{api}/sessions/{quote(session_id)}/transcript")["items"]
        events = call("GET", f"{api}/events?{urlencode({'runId': run_id})}")["events"]

    print(f"{run['runId']} {run['status']}, {run['provider']} {run['model']}, session {run['sessionId']}")
    show("Transcript", (f"{entry['role']}: {entry['content']}" for entry in entries))
    show("Usage", (f"{name}: {count}" for name, count in (run.get("usage") or {"not reported": ""}).items()))
    show("Events", (f"{event['createdAt']} {event['type']} {json.dumps(event['payload'])}" for event in events))


if __name__ == "__main__":
    main()

"""A DBOS application, in its own environment: every POST enqueues a workflow that does nothing."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from dbos import DBOS  # type: ignore[import-not-found]

THREADS = 16
threads = ThreadPoolExecutor(THREADS)
port, url = int(sys.argv[1]), sys.argv[2]
DBOS(config={"name": "bench", "system_database_url": url, "run_admin_server": False, "log_level": "WARNING"})


@DBOS.workflow()  # type: ignore[untyped-decorator]
def nothing(text: str) -> str:
    """Return the argument."""
    return text


def put(text: str) -> str:
    """Enqueue one workflow."""
    return str(DBOS.enqueue_workflow("bench", nothing, text).workflow_id)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Respond once the workflow is stored."""
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    made = "ready"
    if scope["method"] == "POST":
        made = await asyncio.get_running_loop().run_in_executor(threads, put, content.decode())
    body = b'{"id":"%b"}' % made.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


DBOS.launch()
DBOS.register_queue("bench")
uvicorn.run(app, port=port, log_level="warning", access_log=False, lifespan="off")

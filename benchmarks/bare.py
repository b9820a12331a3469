"""The ceiling of memory and start-up: a minimal application with Starlette and the standard library's SQLite.

``python -m benchmarks.bare PORT DIRECTORY`` serves it. It imports nothing of Athena, to measure only its own memory.
"""

import sqlite3
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def bare(directory: Path) -> Starlette:
    """Return an application that appends to a table."""
    connection = sqlite3.connect(directory / "event.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS event (position INTEGER PRIMARY KEY, data BLOB NOT NULL)")

    async def head(request: Request) -> JSONResponse:
        (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM event").fetchone()
        return JSONResponse({"position": position})

    async def append(request: Request) -> JSONResponse:
        cursor = connection.execute("INSERT INTO event (data) VALUES (?)", (await request.body(),))
        return JSONResponse({"position": cursor.lastrowid})

    return Starlette(routes=[Route("/readyz", head), Route("/events", append, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(bare(Path(sys.argv[2])), port=int(sys.argv[1]), log_level="warning", access_log=False)

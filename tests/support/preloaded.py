"""Imports for the processes that tests fork: all commands, and what they and servers import when they run."""

import gc
import importlib
import pkgutil

import athena_cli
import athena_client
from athena_core.domain import EVENTS
from athena_core.log.codec import Codec

LATE = (
    *("anyio._backends._asyncio", "apscheduler.executors.asyncio", "concurrent.futures.thread", "encodings.idna"),
    *("h11", "httpcore2", "truststore", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvloop"),
)
"""What libraries import with their first use."""

for package in (athena_cli, athena_client):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
for name in LATE:
    importlib.import_module(name)
Codec(EVENTS)

gc.collect()
gc.freeze()

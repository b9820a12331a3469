"""Follow the events with httpx-sse."""

import json
import sys
import time

import httpx
import httpx_sse

last = "0"
while True:
    try:
        with (
            httpx.Client(base_url=sys.argv[1], timeout=60, trust_env=False) as client,
            httpx_sse.connect_sse(client, "GET", "/api/v1/events/stream", headers={"last-event-id": last}) as source,
        ):
            for frame in source.iter_sse():
                last, record = frame.id, json.loads(frame.data)["data"]  # a frame without data is an error
                if frame.event == record.get("type"):
                    print(last, flush=True)
    except httpx.TransportError:
        time.sleep(0.1)

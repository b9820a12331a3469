"""Follow the events with sseclient-py."""

import http.client
import json
import sys
import time
import urllib.request

import sseclient

last = "0"
while True:
    try:
        request = urllib.request.Request(f"{sys.argv[1]}/api/v1/events/stream", headers={"last-event-id": last})
        with urllib.request.urlopen(request, timeout=60) as answer:
            for frame in sseclient.SSEClient(iter(lambda: answer.read1(1 << 16), b"")).events():
                last, record = frame.id or last, json.loads(frame.data)["data"]
                if frame.event == record.get("type"):
                    print(last, flush=True)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException):
        time.sleep(0.1)

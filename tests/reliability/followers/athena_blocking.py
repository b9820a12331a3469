"""Follow the events with our blocking client."""

import sys

from athena_client import Athena

with Athena(sys.argv[1]) as client:
    for event in client.events():
        print(event.id, flush=True)

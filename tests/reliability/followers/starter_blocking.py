"""Start runs with our blocking client: URL, the name of the mark, and the first part of each mark."""

import sys
from itertools import count

from athena_client import Athena

url, name, prefix = sys.argv[1:]
with Athena(url) as client:
    for number in count():
        mark = f"{prefix}-{number}"
        if number % 2:
            run_id = client.start(mark, metadata={name: mark}).id
        else:
            run_id = client.run(mark, metadata={name: mark}).run_id
        print(mark, run_id, flush=True)

"""Start runs with our blocking client: URL, the name of the mark, and the first part of each mark."""

import sys
from itertools import count

from athena_client import Athena

url, name, prefix = sys.argv[1:]
with Athena(url) as client:
    for number in count():
        mark = f"{prefix}-{number}"
        answer = client.create_run(input=mark, metadata={name: mark}, respond_async=bool(number % 2))
        print(mark, answer.run_id, flush=True)

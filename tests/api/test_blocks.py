"""The event loop is held up by no route and by no input: the watchdog measures each of them."""

from collections import defaultdict
from pathlib import Path
from urllib.parse import quote_from_bytes, urlencode

import msgspec
import pytest

from athena_api.app import PAGES
from athena_api.operation import PREFIX
from athena_api.operations import OPERATIONS
from athena_core.watchdog import Block, Watchdog
from benchmarks.history import write
from tests.api.examples import EXAMPLES
from tests.fuzz.corpus import kept
from tests.fuzz.targets import WRITES, call, plane
from tests.scale import sized
from tests.support.inside import Inside

EVENTS = sized(5_000, 20_000, 150_000)
ROUNDS = 3
"""How often all is asked. The shortest of the three counts, as a busy machine lengthens some."""
BLOCK_SECONDS_MAX = 0.2
"""Ten times what is aimed at."""


class Noting(Watchdog):
    """A watchdog that probes all the time and keeps every block."""

    def __init__(self) -> None:
        super().__init__(idle_seconds=0.001, block_seconds=0.001)
        self.found: list[Block] = []

    def _note(self, block: Block) -> None:
        self.found.append(block)


def targets() -> list[tuple[str, str, bytes]]:
    """The requests to every route that ends, and to those that the kept inputs of the fuzzer name."""
    found = [("GET", page, b"") for page in (*PAGES, "/static/docs.js", "/static/vendor/swagger-ui-bundle.js")]
    for row in OPERATIONS:
        example = EXAMPLES[row.id]
        path = PREFIX + example.path + (f"?{urlencode(example.query)}" if example.query else "")
        if not row.stream:
            found.append((row.method, path, msgspec.json.encode(example.body or {}) if row.method != "GET" else b""))
        if row.paging is not None and not row.stream:
            found.append((row.method, f"{path}{'&' if '?' in path else '?'}limit=500", b""))
    for data in kept("request"):
        name, _, body = data.partition(b"\n")
        row_named = WRITES.get(name.decode("latin-1"))
        if row_named is not None:
            found.append((row_named.method, PREFIX + EXAMPLES[row_named.id].path, body))
    found += [("GET", f"{PREFIX}/memory/search?query={quote_from_bytes(data)}", b"") for data in kept("search")]
    return found


def asked(inside: Inside, requests: list[tuple[str, str, bytes]]) -> list[Block]:
    """Ask all, one after another, and return every block meanwhile."""
    dog = Noting()

    async def begin() -> None:
        dog.start()

    inside.call(begin)
    try:
        for method, path, body in requests:
            answer = inside.call(call, inside.app, method, path, body, (b"prefer", b"respond-async"))
            assert answer.status != 500, (method, path, answer)
    finally:
        dog.close()
    return dog.found


@pytest.mark.heavy
@pytest.mark.timeout(sized(300, 600, 3_600))
def test_no_route_and_no_input_holds_up_the_event_loop(tmp_path: Path) -> None:
    write(tmp_path / "state", EVENTS, short=False)
    requests = targets()
    worst: dict[str, list[Block]] = defaultdict(list)
    with plane(tmp_path, memory_enabled="true") as inside:
        for _ in range(ROUNDS):
            longest: dict[str, Block] = {}
            for block in asked(inside, requests):
                longest[block.operation] = max(block, longest.get(block.operation, block))
            for operation, block in longest.items():
                worst[operation].append(block)
    always = sorted((min(blocks) for blocks in worst.values() if len(blocks) == ROUNDS), reverse=True)
    for block in always[:5]:
        print(f"{block.seconds * 1000:.1f} ms ({block.cpu_seconds * 1000:.1f} of CPU): {block.operation} {block.place}")
    print(f"{len(requests)} requests, each {ROUNDS} times, over {EVENTS:,} events")
    assert all(block.seconds <= BLOCK_SECONDS_MAX for block in always), always[:5]

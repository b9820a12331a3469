"""The event loop is held up by no route and by no input: the watchdog measures each of them."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import msgspec
import pytest
from msgspec.structs import replace

from athena_api.endpoint.operation import PREFIX
from athena_api.operations import OPERATIONS
from athena_api.pages import PAGES
from athena_api.streams.lines import LINES_TYPE
from athena_core.decider import Outcome
from athena_core.domain import session
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.run import TranscriptAppended
from athena_core.domain.session import SessionCreated
from athena_core.event import Fact
from athena_core.system.watchdog import LoopBlock, Watchdog
from athena_core.values import BODY_BYTES_MAX
from benchmarks.history import run_events, write
from tests.api.examples import EXAMPLES
from tests.fuzz.corpus import kept
from tests.fuzz.targets import WRITES, call, plane
from tests.scale import sized
from tests.support.inside import Inside
from tests.support.records import META, opened_log

EVENTS = sized(5_000, 20_000, 150_000)
ROUNDS = 3
"""How often all is asked. The shortest of the three counts, as a busy machine lengthens some."""
CPU_SECONDS_MAX = 0.02
"""The longest block, in CPU time of the loop's thread, because a busy machine lengthens blocks but not this."""

LARGE_ITEMS, LARGE_CHARS = sized(100, 400, 400), 12_000
"""How many large directives and runs of a session there are, and the characters of each."""
FIELD_BYTES = BODY_BYTES_MAX - 4_096
LARGE_TEXT = 'a "text"\n' * (FIELD_BYTES // 12)
LAST = "the last words"
LARGE_PAGES = ("/runs?limit=500&include=output&sessionId=large", "/sessions/large/transcript?limit=500")
STREAMS = {
    f"{PREFIX}/events/stream": b"event: caught-up",
    f"{PREFIX}/events/stream?types=run.completed": b"event: caught-up",
    f"{PREFIX}/sessions/large/transcript/stream": LAST.encode(),
}
"""Streams, and the bytes at their head."""
LINES = (f"{PREFIX}/events?form=lines", f"{PREFIX}/events?types=run.completed&form=lines")
"""Paths that are asked for lines."""


class Noting(Watchdog):
    """A watchdog that probes without pause and keeps the longest block of each request, by CPU time."""

    def __init__(self) -> None:
        super().__init__(probe_seconds=0.001, block_seconds=0.001)
        self.request = 0
        self.found: dict[int, LoopBlock] = {}

    def note(self, block: LoopBlock) -> None:
        longest = self.found.get(self.request)
        if longest is None or longest.cpu_seconds < block.cpu_seconds:
            self.found[self.request] = block


def largest(body: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a body with each of its fields in turn as large as a body may be."""
    for name, value in body.items():
        many: Any = LARGE_TEXT
        if isinstance(value, list) and value:
            many = value * (FIELD_BYTES // len(msgspec.json.encode(value)))
        elif isinstance(value, dict):
            each = len(msgspec.json.encode(value)) + 10
            many = {f"name{number}": value for number in range(FIELD_BYTES // each)}
        yield msgspec.json.encode({**body, name: many})


def targets() -> list[tuple[str, str, bytes]]:
    """Return requests to every route, and those in the fuzzer's corpus."""
    found = [("GET", page, b"") for page in (*PAGES, "/static/docs.js", "/static/vendor/swagger-ui-bundle.js")]
    for row in OPERATIONS:
        example = EXAMPLES[row.id]
        path = PREFIX + example.path + (f"?{urlencode(example.query)}" if example.query else "")
        if not row.stream:
            found.append((row.method, path, msgspec.json.encode(example.body or {}) if row.method != "GET" else b""))
            found += [(row.method, path, body) for body in largest(example.body or {})]
        if row.paging is not None and not row.stream:
            found.append((row.method, f"{path}{'&' if '?' in path else '?'}limit=500", b""))
    found += [("GET", path, b"") for path in (*STREAMS, *LINES, *(PREFIX + page for page in LARGE_PAGES))]
    for data in kept("request"):
        name, _, body = data.partition(b"\n")
        row_named = WRITES.get(name.decode("latin-1"))
        if row_named is not None:
            found.append((row_named.method, PREFIX + EXAMPLES[row_named.id].path, body))
    found += [("GET", f"{PREFIX}/memory/search?query={quote_from_bytes(data)}", b"") for data in kept("search")]
    return found


def add_large(state_dir: Path) -> None:
    """Write large directives, and a session of runs with long answers."""
    made = SessionCreated(session_id="large")
    facts = [Fact(stream=session.stream("large"), event=made, session_id="large")]
    for number in range(LARGE_ITEMS):
        run_id, directive_id = f"run_large_{number}", f"dir_large_{number}"
        text = f"{number} " * (LARGE_CHARS // len(f"{number} "))
        said = LAST if number == LARGE_ITEMS - 1 else text
        directive = DirectiveCreated(directive_id=directive_id, has_context_refs=False, has_metadata=False, input=text)
        facts.append(Fact(stream=directive_id, event=directive))
        for event in run_events("large", directive_id, "exe_large"):
            answers = isinstance(event, TranscriptAppended) and event.role == "assistant"
            large = replace(event, chars=len(said), content=said) if answers else event
            facts.append(Fact(stream=run_id, event=large, session_id="large", run_id=run_id))
    with opened_log(state_dir) as log:
        log.submit_in_thread(lambda reader, context: Outcome(facts=tuple(facts)), META)


def asked(inside: Inside, requests: list[tuple[str, str, bytes]]) -> dict[int, LoopBlock]:
    """Send all requests one after another. Return the longest block during each."""
    dog = Noting()

    async def begin() -> None:
        dog.start()

    inside.call(begin)
    try:
        for dog.request, (method, path, body) in enumerate(requests):
            until = STREAMS.get(path, b"")
            headers = (b"prefer", b"respond-async"), (b"accept", LINES_TYPE.encode() if path in LINES else b"*/*")
            ask = partial(call, inside.app, method, path, body, *headers, until=until)
            answer = inside.call(ask)
            assert answer.status != 500, (method, path, answer)
            assert until in answer.body
    finally:
        dog.close()
    return dog.found


@pytest.mark.heavy
@pytest.mark.timeout(sized(600, 600, 3_600))
def test_no_route_and_no_input_holds_up_the_event_loop(tmp_path: Path) -> None:
    write(tmp_path / "state", EVENTS)
    add_large(tmp_path / "state")
    requests = targets()
    with plane(tmp_path, memory_enabled="true") as inside:
        rounds = [asked(inside, requests) for _ in range(ROUNDS)]
    always = [
        (min(one[number].cpu_seconds for one in rounds), *requests[number][:2], rounds[-1][number])
        for number in range(len(requests))
        if all(number in one for one in rounds)
    ]
    always.sort(reverse=True)
    for cpu_seconds, method, path, block in always[:12]:
        print(f"{cpu_seconds * 1000:.1f} ms of CPU: {method} {path}, {block.operation} {block.place}")
    print(f"{len(requests)} requests, each {ROUNDS} times, over {EVENTS:,} events")
    assert always, "the watchdog found not one block of a millisecond"
    assert always[0][0] <= CPU_SECONDS_MAX, always[:5]

"""The scenario of access tokens: the cost of a request with one token in force, and with ten thousand."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import DECIDERS, EVENTS
from athena_core.domain.token import EXPIRES_AFTER_MS, TokenCreated
from athena_core.event import Fact, Meta
from athena_core.log.codec import Codec
from athena_core.log.engine import open_store
from athena_core.log.writer import Log
from athena_core.services.access.token_text import hash_of, id_in
from athena_core.values import Role
from benchmarks.identity import GUARDED
from benchmarks.load import IDENTITY, token_text
from benchmarks.report import Section
from benchmarks.scenarios import Bench, settled

CLIENTS = 16
FEW, MANY = 1, 10_000
COST = 1.10
TRANSACTION_TOKENS = 1_000


def access_tokens(bench: Bench) -> list[Section]:
    """Measure the same requests with a header, with one token in force, and with ten thousand that take turns."""
    header, few, twin, many = "header", f"{FEW} token", f"{FEW} token, twin", f"{MANY:,} tokens"
    servers = {}
    for name, number in {
        "header": FEW,
        f"{FEW} token": FEW,
        f"{FEW} token, twin": FEW,
        f"{MANY:,} tokens": MANY,
    }.items():
        directory = with_tokens(bench.place("tokens"), number)
        servers[name] = bench.server("athena", directory, settings={"executor": "off", **GUARDED})
        settled(servers[name])
    sections: list[Section] = []
    for title, paths, anew in (
        ("`GET /api/v1/caller`, {} clients, tokens", ["/api/v1/caller"], False),
        ("`GET /api/v1/runs?limit=1`, {} clients, tokens, each request new", ["/api/v1/runs?limit=1"], True),
    ):
        section = Section(f"access-tokens-{len(sections)}", title.format(CLIENTS), "requests/s", {}, [], [])
        section.measure(
            bench.rounds,
            {
                name: bench.load(
                    server,
                    "asked",
                    CLIENTS,
                    paths=paths,
                    anew=anew,
                    tokens=0 if name == header else MANY if name == many else FEW,
                )
                for name, server in servers.items()
            },
        )
        label = f"CPU time each: {many} / {few}"
        section.ratio(many, few, figure="cpu_us", label=label, at_most=COST)
        section.ratio(few, header, figure="cpu_us", label=f"CPU time each: {few} / {header}")
        section.ratio(few, twin, figure="cpu_us", label=f"A/A, CPU time each: {few} / its twin")
        sections.append(section)
    sections[-1].notes.append("Each request of the load sends the next token, so with 10,000 none is repeated soon.")
    bench.stop()
    return sections


def with_tokens(directory: Path, number: int) -> Path:
    """Write a log with tokens in force, whose texts ``token_text`` returns."""
    ids, clock = SystemIds(), SystemClock()
    log = Log(open_store(directory, None, ids), Codec(EVENTS), DECIDERS, clock=clock, ids=ids)
    log.start()
    source = _facts(number, clock.now())
    while page := tuple(islice(source, TRANSACTION_TOKENS)):

        def record(reader: Reader, context: Context, page: tuple[Fact, ...] = page) -> Outcome:
            return Outcome(facts=page)

        log.submit_in_thread(record, Meta(actor="local", correlation=ids.trace()))
    log.close()
    return directory


def _facts(number: int, now: int) -> Iterator[Fact]:
    for text in map(token_text, range(number)):
        token_id = id_in(text)
        assert token_id is not None
        created = TokenCreated(
            token_id=token_id,
            identity=IDENTITY,
            role=Role.OPERATOR,
            expires_at_ms=now + EXPIRES_AFTER_MS,
            sha256=hash_of(text),
            by=IDENTITY,
        )
        yield Fact(stream=token_id, event=created)


ACCESS_TOKENS: dict[str, Callable[[Bench], list[Section]]] = {"access-tokens": access_tokens}

"""The scenario of identity: the cost of identity, roles and request limits."""

from collections.abc import Callable

from benchmarks.history import written
from benchmarks.load import IDENTITY
from benchmarks.report import Section
from benchmarks.scenarios import Bench, settled

CLIENTS = 16
COST = 1.10
GUARDED = {
    "auth_enabled": "true",
    "auth_identity_role_map": ",".join([f"{IDENTITY}:Operator", *(f"other-{number}:Viewer" for number in range(100))]),
    "requests_per_second": "1000000",
}
"""Identity by header, roles enforced, requests counted; no limit is reached."""


def identity(bench: Bench) -> list[Section]:
    """Measure the same requests with and without authentication."""
    sections = []
    for kind, title in (("directives", "`POST /api/v1/directives`"), ("events", "`GET /api/v1/events`")):
        servers = []
        for settings in ({}, {}, GUARDED):
            directory = written(bench.place("identity"), bench.size.feed_events) if kind == "events" else None
            servers.append(bench.server("athena", directory, settings={"executor": "off", **settings}))
            settled(servers[-1])
        names = ("off", "off, twin", "on")
        section = Section(f"identity-{kind}", f"{title}, {CLIENTS} clients, identity", "requests/s", {}, [], [])
        section.measure(
            bench.rounds,
            {
                name: bench.load(server, "directives" if kind == "directives" else "events", CLIENTS)
                for name, server in zip(names, servers, strict=True)
            },
        )
        section.ratio("on", "off", figure="cpu_us", label="CPU time each: on / off", at_most=COST)
        section.ratio("off", "off, twin", figure="cpu_us", label="A/A, CPU time each: off / its twin")
        sections.append(section)
        bench.stop()
    sections[-1].notes.append(
        "On: identity by header, roles enforced, requests counted per identity. Both get the same bytes; the limits of "
        "size and time are always on."
    )
    return sections


IDENTITIES: dict[str, Callable[[Bench], list[Section]]] = {"identity": identity}

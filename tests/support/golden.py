"""Golden states: planes as earlier releases left them when they were killed, with the answers of those releases.

A state is a folder ``tests/samples/state-VERSION``, made once by the code of that version and never rewritten. A
program that made one runs only with that code, so none is kept here. In commit 83c6256, ``make_state_0_1.py`` stands
beside the states; in commit e52186e, ``make_state_0_2.py`` does, from which the program of the next state can start.

``state-0.2`` holds the whole of release 0.2, each event type of it. Partial states were made while 0.2 was built:
``state-0.2-asks`` (asks, permission rules and a halt), ``state-0.2-tokens`` (tokens, sessions, groups and credentials
by name), ``state-0.2-workspaces`` (workspaces and sandboxes of runs), ``state-0.2-agents`` (runs of outside agents) and
``state-0.2-mcp`` (MCP servers and runs that use them).

=================  ==================================================================================================
``state.tar.xz``   the state directory of a server that was killed, and its workspace
``dump.sql.xz``    the same in PostgreSQL, as statements that every supported version takes
``log.anchor``     the anchor of the log at that moment
``*.bundle.gz``    slices of the log that the release exported
``expected.json``  what the release served: ids, hashes, keyed answers, and the ids of what was left open
=================  ==================================================================================================
"""

import gzip
import lzma
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg

from athena_core.clock import milliseconds
from tests.support.api import Json

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


class Expected(NamedTuple):
    """The release's own answers about the state; ``pairs`` are ids of an event and of the one after it.

    ``tokens`` are the texts of tokens by name, which no state holds.
    """

    events: int
    last_recorded_at: int
    first: str
    last: str
    pairs: list[list[str]]
    ids_sha256: str
    payloads_sha256: str
    types: list[str]
    redacted_run: str
    roles: str
    keyed: list[Json]
    open: dict[str, str]
    runs: list[str]
    runs_cursor: str
    tokens: dict[str, str]


class GoldenState(NamedTuple):
    folder: Path

    @property
    def expected(self) -> Expected:
        found: Json = msgspec.json.decode((self.folder / "expected.json").read_bytes())
        return Expected(
            events=found["events"],
            last_recorded_at=milliseconds(found["lastRecordedAt"]),
            first=found["first"],
            last=found["last"],
            pairs=found["pairs"],
            ids_sha256=found["idsSha256"],
            payloads_sha256=found["payloadsSha256"],
            types=found["types"],
            redacted_run=found["redactedRun"],
            roles=found["roles"],
            keyed=found["keyed"],
            open=found["open"],
            runs=found["runs"],
            runs_cursor=found["runsCursor"],
            tokens=found.get("tokens", {}),
        )

    def unpack(self, directory: Path) -> None:
        with lzma.open(self.folder / "state.tar.xz") as file, tarfile.open(fileobj=file) as archive:
            archive.extractall(directory, filter="tar")

    def restore(self, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(lzma.decompress((self.folder / "dump.sql.xz").read_bytes()))

    def bundles(self, directory: Path) -> list[Path]:
        found = []
        for packed in sorted(self.folder.glob("*.bundle.gz")):
            path = directory / packed.stem
            path.write_bytes(gzip.decompress(packed.read_bytes()))
            found.append(path)
        return found

    def anchor(self) -> bytes:
        return (self.folder / "log.anchor").read_bytes()


STATES = [GoldenState(path) for path in sorted(SAMPLES.glob("state-*"))]


def name_of(state: Any) -> str:
    return str(state.folder.name) if isinstance(state, GoldenState) else str(state)

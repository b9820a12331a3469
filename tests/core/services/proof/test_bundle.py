"""Bundles: a missing, changed, cut or too large one does not verify; unproven parts are named."""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.domain import run
from athena_core.errors import ConfigError
from athena_core.event import Position
from athena_core.log.anchor import Anchor
from athena_core.log.chain import LEAF_COLUMNS, ChainBroken, leaf
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.protocols import Row
from athena_core.services.proof import bundle
from athena_core.services.proof.bundle import LINE_BYTES_MAX, BundleProof, BundleScope, export, prove, read_lines
from tests.scale import some_quick
from tests.support.events.run import COMPLETED, CREATED, LEASED, SAID, STARTED
from tests.support.forged_log import FILLER, Forge
from tests.support.golden import SAMPLES

RUN, SESSION, ALL = BundleScope(run_id="run_1"), BundleScope(session_id=CREATED.session_id), BundleScope(after=0)
OTHER = replace(CREATED, session_id="other")


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    """Write a log: run 1 from position 2 to 8, with other events between, and an open run 2."""
    made = Forge(tmp_path)
    made.add("plane", FILLER)
    made.add("run_1", CREATED, LEASED)
    made.add("plane", FILLER)
    made.add("run_1", STARTED, SAID)
    made.add("run_2", OTHER)
    made.add("run_1", COMPLETED)
    made.add("run_2", LEASED, STARTED)
    made.add("plane", FILLER)
    yield made
    made.store.close()


@pytest.fixture
def reader(forge: Forge) -> Iterator[SqliteReader]:
    found = SqliteReader(forge.store.path, forge.store.log_id)
    yield found
    found.close()


def exported(reader: SqliteReader, scope: BundleScope = RUN, **how: Any) -> list[bytes]:
    return list(export(reader, scope, redact=how.pop("redact", False), **how))


def broken(lines: list[bytes], words: str = "", **how: Any) -> None:
    """Fail unless a bundle is refused with these words."""
    with pytest.raises(ChainBroken) as refused:
        prove(lines, **how)
    assert words in str(refused.value)


def changed(line: bytes, **members: Any) -> bytes:
    return json.dumps(json.loads(line) | members).encode() + b"\n"


def hidden(lines: list[bytes], reader: SqliteReader, position: Position) -> list[bytes]:
    """Return a bundle in which the event of a position is behind its true leaf."""
    row = reader.row(position)
    assert row is not None
    place = next(number for number, line in enumerate(lines) if b'{"row":{"position":%d,' % position in line)
    part = json.dumps({"leaves": [leaf(row[:LEAF_COLUMNS]).hex()]}).encode() + b"\n"
    return [*lines[:place], part, *lines[place + 1 :]]


def cut(lines: list[bytes], keep: int) -> list[bytes]:
    """Return the first lines of a bundle, ended as if that was the whole."""
    last = json.loads(lines[keep - 1])["row"]
    end = {"end": last["position"], "chain": last["chain"]}
    return [*lines[:keep], json.dumps(end).encode() + b"\n"]


def test_a_bundle_of_a_run_that_ended_is_complete(reader: SqliteReader) -> None:
    proof = prove(exported(reader))
    assert (proof.complete, proof.first, proof.last, proof.events, proof.skipped) == (True, 2, 8, 5, 2)
    assert [notice for notice in proof.notices if "Completeness" in notice] == []


@pytest.mark.parametrize("position", [2, 3, 5, 6])
def test_a_missing_event_of_a_run_does_not_verify_even_behind_its_true_leaf(
    position: Position, reader: SqliteReader
) -> None:
    broken(hidden(exported(reader), reader, position), "is missing")


def test_the_end_of_a_run_cannot_be_hidden(reader: SqliteReader) -> None:
    lines = hidden(exported(reader), reader, 8)
    broken(lines, "is marked as complete")
    proof = prove([changed(lines[0], complete=False), *lines[1:]])
    assert not proof.complete
    assert "Completeness is not proven: the bundle ends at position 8, before the end of the run." in proof.notices


@pytest.mark.parametrize("scope", [RUN, SESSION, ALL])
def test_a_cut_end_does_not_verify(scope: BundleScope, reader: SqliteReader) -> None:
    lines = exported(reader, scope)
    keep = max(number for number, line in enumerate(lines[:-2]) if b'"row"' in line) + 1
    broken(cut(lines, keep), "the end does not match")
    broken(lines[:-1], "last line is missing")


def test_a_bundle_of_an_open_run_says_so(reader: SqliteReader) -> None:
    proof = prove(exported(reader, BundleScope(run_id="run_2")))
    assert not proof.complete
    assert "Completeness is not proven: the bundle ends at position 10, before the end of the run." in proof.notices


@pytest.mark.parametrize(
    ("scope", "words"),
    [(SESSION, "events of the session may have been left out"), (ALL, "the log may continue after position 11")],
)
def test_a_bundle_of_a_session_or_a_range_says_that_completeness_is_not_proven(
    scope: BundleScope, words: str, reader: SqliteReader
) -> None:
    lines = exported(reader, scope)
    assert json.loads(lines[0])["complete"] is False
    proof = prove(lines)
    assert not proof.complete
    assert any(words in notice for notice in proof.notices)


def test_a_range_has_no_gap_and_begins_where_it_says(reader: SqliteReader) -> None:
    broken(hidden(exported(reader, ALL), reader, 4), "an event is missing: a bundle of this scope")
    broken(exported(reader, BundleScope(after=3))[:1] + exported(reader, BundleScope(after=4))[1:])
    lines = exported(reader, BundleScope(after=4))
    broken([changed(lines[0], scope={"after": 3}), *lines[1:]], "does not begin at the start of its scope")


def test_an_event_of_another_scope_does_not_verify(reader: SqliteReader) -> None:
    lines = exported(reader, ALL)
    broken([changed(lines[0], scope={"runId": "run_1"}), *lines[1:]], "does not belong to the scope")


@pytest.mark.parametrize("to", [8, 9, 11])
def test_a_bundle_reaches_a_kept_anchor(to: Position, reader: SqliteReader) -> None:
    row = reader.row(to)
    assert row is not None
    kept = Anchor(log_id=reader.log_id, position=to, chain=row.chain.hex())
    lines = exported(reader, to=to)
    proof = prove(lines, anchors=[kept])
    assert (proof.complete, proof.last, proof.chain, proof.compared) == (True, to, kept.chain, (to,))
    assert proof.notices == ()
    broken(lines, "differs from the kept anchor", anchors=[Anchor(log_id=kept.log_id, position=to, chain="0" * 64)])
    broken(lines, "belongs to log", anchors=[Anchor(log_id="0" * 16, position=to, chain=kept.chain)])
    broken(exported(reader, to=6), "export again, with --to", anchors=[kept])


def test_an_anchor_inside_and_one_before_a_bundle_are_compared(reader: SqliteReader) -> None:
    anchors = [
        Anchor(log_id=reader.log_id, position=row.position, chain=row.chain.hex()) for row in reader.rows(0, 100)
    ]
    proof = prove(exported(reader), anchors=anchors)
    assert proof.compared == tuple(range(1, 9))


def test_a_slice_ends_at_the_requested_position(reader: SqliteReader) -> None:
    proof = prove(exported(reader, to=5))
    assert (proof.complete, proof.last, proof.events) == (False, 5, 3)
    with pytest.raises(ConfigError, match="--to: the log ends at position 11"):
        exported(reader, to=12)
    with pytest.raises(ConfigError, match="the scope has no events up to position 1"):
        exported(reader, to=1)


def test_bundles_of_release_0_1_verify_with_a_notice() -> None:
    found = sorted((SAMPLES / "state-0.1").glob("*.bundle.gz"))
    assert len(found) == 4
    for path in found:
        with gzip.open(path) as file:
            proof = prove(read_lines(file))
        assert proof.notices[0].startswith("Format 1 of release 0.1 proves less"), path.name
        assert not proof.complete


def test_a_bundle_cannot_be_made_older_to_prove_more_easily(reader: SqliteReader) -> None:
    lines = hidden(exported(reader), reader, 5)
    head = json.loads(lines[0]) | {"bundle": 1}
    del head["complete"]
    broken([json.dumps(head).encode(), *lines[1:]], "is missing")
    broken([changed(lines[0], bundle=1), *lines[1:]], "does not have the fields of its format")
    broken([changed(lines[0], bundle=3), *lines[1:]], "does not have the fields of its format")
    broken([changed(lines[0], bundle=4), *lines[1:]], "format 4")


DEEP = b"[" * 1_000_000
WORSE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "deep first line": lambda lines: [DEEP, *lines[1:]],
    "deep member of the first line": lambda lines: [lines[0][:-2] + b',"x":' + DEEP, *lines[1:]],
    "deep line": lambda lines: [lines[0], DEEP, *lines[1:]],
    "deep member": lambda lines: [lines[0], b'{"row":' + DEEP, *lines[1:]],
    "a chain that is none": lambda lines: [changed(lines[0], chain="x" * 64), *lines[1:]],
    "a short chain": lambda lines: [changed(lines[0], chain="00"), *lines[1:]],
    "a number too large": lambda lines: [changed(lines[0], head=2**80), *lines[1:]],
    "a position below zero": lambda lines: [changed(lines[0], after=-1), *lines[1:]],
    "no leaves": lambda lines: [lines[0], b'{"leaves":[]}\n', *lines[1:]],
    "short leaves": lambda lines: [lines[0], b'{"leaves":["00"]}\n', *lines[1:]],
    "two kinds in a line": lambda lines: [
        lines[0],
        lines[1][:-2] + b',"end":1,"chain":"%s"}' % (b"0" * 64),
        *lines[2:],
    ],
    "an unknown member": lambda lines: [lines[0], lines[1][:-2] + b',"more":1}', *lines[2:]],
    "half a surrogate": lambda lines: [lines[0], lines[1].replace(b'"data":"', b'"data":"\\ud800'), *lines[2:]],
    "not UTF-8": lambda lines: [lines[0], lines[1].replace(b'"data":"', b'"data":"\xff'), *lines[2:]],
    "a column of another type": lambda lines: [
        lines[0],
        lines[1].replace(b'"version":1', b'"version":"1"'),
        *lines[2:],
    ],
    "nothing": lambda lines: [],
    "more events than its first line says": lambda lines: [changed(lines[0], head=3), *lines[1:]],
}


@pytest.mark.parametrize("case", some_quick(WORSE, 4))
def test_an_invalid_bundle_is_refused(case: str, reader: SqliteReader) -> None:
    broken(WORSE[case](exported(reader)))


def test_a_bundle_without_end_is_refused_at_a_limit(reader: SqliteReader) -> None:
    lines = exported(reader)
    leaves = (b'{"leaves":["%s"]}\n' % (b"0" * 64) for _ in count())
    taken: list[bytes] = []

    def endless() -> Iterator[bytes]:
        yield lines[0]
        for line in leaves:
            taken.append(line)
            yield line

    with pytest.raises(ChainBroken, match="continues beyond position 8"):
        prove(endless())
    assert len(taken) == 8


def test_a_line_has_a_limit() -> None:
    class Endless(io.RawIOBase):
        asked = 0

        def readline(self, limit: int | None = -1, /) -> bytes:
            assert limit is not None
            self.asked = max(self.asked, limit)
            return b"[" * limit

    file = Endless()
    with pytest.raises(ChainBroken, match=f"line 1 is longer than {LINE_BYTES_MAX} bytes"):
        list(islice(read_lines(file), 2))
    assert file.asked == LINE_BYTES_MAX + 1


def test_a_row_that_no_bundle_can_hold_is_named(forge: Forge, reader: SqliteReader) -> None:
    forge.execute("UPDATE log SET data = x'ff' WHERE position = 5")
    with pytest.raises(ChainBroken, match="position 5: the payload or the text is not UTF-8"):
        exported(reader)
    forge.execute("DELETE FROM log WHERE position = 4")
    with pytest.raises(ChainBroken, match="position 4: the row is missing from the log"):
        exported(reader)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), scope=st.sampled_from([RUN, SESSION, ALL]))
def test_under_any_change_of_its_lines_a_bundle_proves_only_recorded_events(
    data: st.DataObject, scope: BundleScope, reader: SqliteReader
) -> None:
    recorded = {row.position: row for row in reader.rows(0, 100)}
    lines = exported(reader, scope)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        line = bytearray(lines[place])
        match data.draw(st.sampled_from(["lose", "repeat", "swap", "flip", "cut", "insert"])):
            case "lose":
                del lines[place]
            case "repeat":
                lines.insert(place, lines[place])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[place], lines[other] = lines[other], lines[place]
            case "flip" if line:
                spot = data.draw(st.integers(0, len(line) - 1))
                line[spot] ^= 1 << data.draw(st.integers(0, 6))
                lines[place] = bytes(line)
            case "cut":
                lines[place] = bytes(line[: data.draw(st.integers(0, len(line)))])
            case _:
                lines.insert(place, data.draw(st.binary(max_size=40)))
        if not lines:
            break
    seen: list[Row] = []
    try:
        proof: BundleProof | None = prove(lines, seen.append)
    except ChainBroken:
        proof = None
    assert all(row == recorded[row.position] for row in seen)
    if proof is not None:
        assert proof.chain == recorded[proof.last].chain.hex()
        assert proof.complete <= (scope is RUN)


def test_the_number_of_the_format_is_written(reader: SqliteReader) -> None:
    assert json.loads(exported(reader)[0])["bundle"] == bundle.SLICE == 2
    assert run.RunCompleted.TYPE in {json.loads(line)["row"]["type"] for line in exported(reader) if b'"row"' in line}

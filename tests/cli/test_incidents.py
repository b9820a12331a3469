"""``athena export --incident``: one file of the time between two moments, which proves itself elsewhere."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from athena_cli.exit_codes import REFUSED
from athena_core.domain import EVENTS
from athena_core.log.chain import ChainBroken
from athena_core.log.codec import Codec
from athena_core.services.proof.bundle import BundleProof
from athena_core.services.proof.incident import PARTS, EventNames, prove_incident
from athena_core.values import DIFF_EVENTS_MAX, Role
from projections.engine.cursor import event_id, parse_cursor
from tests.cli.conftest import Here
from tests.cli.terminal import Result
from tests.scale import sized
from tests.support.api import Api, Json, Refused
from tests.support.gate import Gates
from tests.support.server import Server
from tests.support.token_server import TOKENS_ONLY, PutToken, put_token
from tests.support.workflow_builder import Builder

SESSIONS = ("mon", "tue", "wed")
SECRET = "the moon is made of cheese"


class Fleet:
    """A server after some random work, of which some failed and some is still open, and its Admin."""

    def __init__(self, server: Server, gates: Gates, admin: PutToken) -> None:
        self.server = server
        self.gates = gates
        self.admin = admin
        self.api = server.client(authorization=f"Bearer {admin.text}")
        self.marks: list[int] = []
        self.file: list[bytes] = []
        """The lines of the file about all work, once it was exported."""

    def work(self, draw: random.Random) -> None:
        """Do a random thing."""
        session = draw.choice(SESSIONS)
        match draw.choice(("run", "run", "fail", "fail", "directive", "policy", "hold", "queue", "halt")):
            case "run":
                self.api.run(f"hello {SECRET}", sessionId=session)
            case "fail":
                with pytest.raises(Refused, match="told to fail"):
                    self.api.run("fail", sessionId=session)
            case "directive":
                self.api.post("/directives", {"input": f"do {draw.random()}"})
            case "policy":
                self.api.put_policy(maxConcurrentRuns=draw.randrange(20, 99))
            case "hold":
                name = f"g{len(self.marks)}"
                gate = self.gates[name]
                run_id = self.api.start(gate.order, sessionId=name)["runId"]
                gate.arrival()
                if draw.random() < 0.5:
                    self.marks.append(self.api.head())
                    gate.release()
                    self.api.await_ending(run_id)
            case "queue":
                self.api.post("/work/enqueue", {"sessionId": session, "payload": "later", "mode": "collect"})
            case "halt":
                self.api.post("/halt", {"reason": "a look around"})
                self.api.http.delete("/halt").raise_for_status()
        self.marks.append(self.api.head())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("incidents")
    gates = Gates(directory / "gates")
    with Server(directory, **TOKENS_ONLY, **gates.settings) as server:
        made = Fleet(server, gates, put_token(server, "ann", Role.ADMIN))
        draw = random.Random(11)
        build = Builder(made.api)
        gated = build.workflow([{"id": "ship", "approval": {"message": "ship?"}}])
        for number in range(sized(quick=18, ci=40, full=80)):
            made.work(draw)
            if number in {6, 12}:
                build.run(gated)
        yield made
    gates.close()


@pytest.fixture
def athena(fleet: Fleet, here: Here) -> Callable[..., Result]:
    """Run a command beside the server, as its Admin if no other token is given."""

    def run(*words: str, **settings: str) -> Result:
        server = {"api_base_url": fleet.server.url, "cli_transport": "api", "token": fleet.admin.text}
        return here(*words, **{"state_dir": str(fleet.server.state_dir)} | server | settings)

    return run


@pytest.fixture
def whole(fleet: Fleet, athena: Callable[..., Result]) -> list[bytes]:
    """Return the lines of the file about all work."""
    fleet.file = fleet.file or exported(athena, f"{fleet.marks[2]}..{fleet.marks[-1]}")
    return fleet.file


def exported(athena: Callable[..., Result], interval: str, *words: str, **settings: str) -> list[bytes]:
    done = athena("export", "--incident", interval, *words, **settings)
    assert done.code == 0, done.err
    return done.out.encode().splitlines(keepends=True)


def prove(lines: list[bytes]) -> BundleProof:
    def names(log_id: str) -> EventNames:
        return EventNames(partial(event_id, log_id), lambda text: parse_cursor(text).position)

    return prove_incident(lines, names, Codec(EVENTS).decode)


def part(lines: list[bytes], name: str) -> Any:
    return json.loads(lines[PARTS.index(name) - len(PARTS) - 1])["value"]


def rows(lines: list[bytes]) -> list[Json]:
    return [json.loads(line)["row"] for line in lines if line.startswith(b'{"row":')]


def forged(lines: list[bytes], name: str, change: Callable[[Any], None]) -> list[bytes]:
    """Return a file with a changed part and a corrected hash."""
    value = part(lines, name)
    change(value)
    place = PARTS.index(name) - len(PARTS) - 1
    made = [*lines]
    made[place] = json.dumps({"part": name, "value": value}).encode() + b"\n"
    digest = hashlib.sha256(b"".join(made[:-1])).hexdigest()
    return [*made[:-1], json.dumps({"sha256": digest}).encode() + b"\n"]


def test_files_of_random_intervals_verify_and_say_what_the_api_says(
    fleet: Fleet, athena: Callable[..., Result]
) -> None:
    draw = random.Random(5)
    for _ in range(sized(quick=2, ci=12, full=40)):
        start, end = sorted(draw.sample(fleet.marks, 2))
        lines = exported(athena, f"{start}..{end}")
        proof = prove(lines)
        assert (proof.first, proof.last, proof.events, proof.complete) == (start + 1, end, end - start, True)
        assert [row["position"] for row in rows(lines)] == list(range(start + 1, end + 1))
        pages = list(fleet.api.pages("/diff", **{"from": start, "to": end, "limit": 7, "counts": "true"}))
        diff = part(lines, "diff")
        assert (diff["from"], diff["to"], diff["counts"]) == tuple(pages[0][name] for name in ("from", "to", "counts"))
        assert diff["items"] == [item for page in pages for item in page["items"]]
        check_open_and_policy(fleet.api, lines, start, end)


def check_open_and_policy(api: Api, lines: list[bytes], start: int, end: int) -> None:
    for name, position in (("from", start), ("to", end)):
        listed = part(lines, "open")[name]
        runs = [run for run in api.items("/runs", asOf=position, limit=500) if "finishedAt" not in run]
        assert {one["id"]: one["status"] for one in listed if one["kind"] == "run"} == {
            run["runId"]: run["status"] for run in runs
        }
        asks = api.items("/asks", asOf=position)
        assert [one["id"] for one in listed if one["kind"] in {"ask", "approval"}] == [ask["id"] for ask in asks]
        queues = api.items("/work/queues", asOf=position)
        assert [one["id"] for one in listed if one["kind"] == "queue"] == [queue["sessionId"] for queue in queues]
        assert part(lines, "policy")[name] == api.get("/policy", asOf=position)


def test_each_run_that_failed_is_explained_as_the_api_does(fleet: Fleet, whole: list[bytes]) -> None:
    explained = part(whole, "explanations")
    failed = [row["stream"] for row in rows(whole) if row["type"] == "run.failed"]
    assert [one["runId"] for one in explained["items"]] == failed != []
    assert explained["items"] == [fleet.api.get(f"/runs/{one}/explain", asOf=fleet.marks[-1]) for one in failed]
    open_ = part(whole, "open")
    assert {one["kind"] for one in open_["to"]} >= {"run", "workflow-run", "approval", "queue"}


def test_the_report_counts_proven_and_claimed_facts(
    whole: list[bytes], tmp_path: Path, athena: Callable[..., Result]
) -> None:
    file = tmp_path / "incident"
    file.write_bytes(b"".join(whole))
    proof = athena("verify", "--bundle", str(file)).data
    derived = {one["name"]: one for one in proof["derived"]}
    causes = [cause for one in part(whole, "explanations")["items"] for cause in one["causes"]]
    assert derived["explanations"] == {"name": "explanations", "checked": len(causes), "claimed": 0}
    assert derived["policy"] == {"name": "policy", "checked": 2, "claimed": 0}
    assert derived["open"]["checked"] > 0 and derived["open"]["claimed"] > 0
    assert any(notice.startswith("What was open at the first moment is claimed") for notice in proof["notices"])


def test_one_flipped_bit_of_any_line_is_refused(whole: list[bytes]) -> None:
    draw = random.Random(2)
    places = [(number, draw.randrange(len(line))) for number, line in enumerate(whole)]
    for number in range(-len(PARTS) - 2, 0):
        places += [(number % len(whole), draw.randrange(len(whole[number]))) for _ in range(12)]
    for number, place in places:
        line = bytearray(whole[number])
        line[place] ^= 1 << draw.randrange(8)
        with pytest.raises(ChainBroken):
            prove([*whole[:number], bytes(line), *whole[number + 1 :]])


@pytest.mark.parametrize("left_out", range(1, len(PARTS) + 2))
def test_a_file_without_one_of_its_last_lines_is_refused(left_out: int, whole: list[bytes]) -> None:
    for lines in ([*whole[:-left_out], *whole[len(whole) - left_out + 1 :]], whole[:-left_out], [*whole, b"{}\n"]):
        with pytest.raises(ChainBroken):
            prove(lines)


def renamed(value: Any) -> None:
    value["items"][0]["id"] = "run_invented"


def hidden(value: Any) -> None:
    gone = value["items"].pop()
    counts = next(one for one in value["counts"] if one["kind"] == gone["kind"])
    counts["appeared" if "appeared" in gone else "changed"] -= 1


def ended(value: Any) -> None:
    item = next(one for one in value["items"] if one["kind"] == "run" and "ended" not in one)
    item["ended"] = item["last"]
    next(one for one in value["counts"] if one["kind"] == "run")["ended"] += 1


def still_open(value: Any) -> None:
    value["to"].append({"kind": "run", "id": "run_invented"})


def not_open(value: Any) -> None:
    value["to"].remove(next(one for one in value["to"] if one["kind"] == "workflow-run"))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("diff", renamed, "the events belong to another record than run_invented"),
        ("diff", hidden, "it does not name"),
        ("diff", ended, "the end of run_"),
        ("diff", lambda value: value["counts"][0].update(appeared=999), "its counts"),
        ("diff", lambda value: value["items"][0].update(events=999), "has other events"),
        ("diff", lambda value: value["items"][0]["last"].update(actor="eve"), "was recorded otherwise"),
        ("diff", lambda value: value["items"][0]["last"].update(type="run.invented"), "was recorded otherwise"),
        ("diff", lambda value: value["from"].update(position=1), "about other moments"),
        ("diff", lambda value: value["to"].update(createdAt="2020-01-01T00:00:00.000Z"), "its second moment"),
        ("open", still_open, "run run_invented was not open"),
        ("open", not_open, "workflow-run wfr_"),
        ("policy", lambda value: value["to"].update(maxConcurrentRuns=1), "not the last that was put in force"),
        ("policy", lambda value: value.update({"from": {"schemaVersion": 1}}), "not the one that was replaced first"),
        ("explanations", lambda value: value["items"].pop(0), "not about the runs that failed"),
        ("explanations", lambda value: value.update(omitted=1), "not about the runs that failed"),
        ("explanations", lambda value: value["items"][0]["causes"][0].update(actor="eve"), "was recorded otherwise"),
        ("explanations", lambda value: value["items"][0]["causes"][0].update(eventId="x"), "is not an event id"),
    ],
)
def test_a_changed_part_with_a_right_hash_is_refused(
    name: str, change: Callable[[Any], None], says: str, whole: list[bytes]
) -> None:
    assert prove(forged(whole, name, lambda value: None)).ok
    with pytest.raises(ChainBroken, match=says):
        prove(forged(whole, name, change))


def test_the_slice_goes_on_to_the_next_anchor_that_was_kept(
    fleet: Fleet, athena: Callable[..., Result], tmp_path: Path
) -> None:
    kept, file = tmp_path / "kept.anchors", tmp_path / "incident"
    interval = f"{fleet.marks[0]}..{fleet.marks[3]}"
    anchored = athena("anchor", "--to", str(kept)).data["position"]
    done = athena("export", "--incident", interval, "--out", str(file), anchor_to=str(kept))
    assert (done.code, done.err) == (0, "")
    proof = athena("verify", "--bundle", str(file), "--against", str(kept)).data
    assert (proof["compared"], proof["last"], proof["complete"]) == ([anchored], anchored, True)
    assert (proof["events"], proof["skipped"]) == (fleet.marks[3] - fleet.marks[0], anchored - fleet.marks[3])
    none = athena("export", "--incident", f"{fleet.marks[0]}..", "--out", str(file), anchor_to=str(tmp_path / "absent"))
    assert (none.code, "Warning: no anchor was read" in none.err) == (0, True)
    fleet.api.post("/directives", {"input": "later"})
    none = athena("export", "--incident", f"{fleet.marks[0]}..", "--out", str(file), anchor_to=str(kept))
    assert (none.code, "Warning: no anchor was kept since position" in none.err) == (0, True)


def test_moments_are_ids_positions_times_and_spans(fleet: Fleet, athena: Callable[..., Result]) -> None:
    page = fleet.api.get("/events", cursor=str(fleet.marks[0] - 1), limit=1)["events"][0]
    for start in (page["id"], str(fleet.marks[0]), page["createdAt"]):
        lines = exported(athena, f"{start}..{fleet.marks[4]}")
        assert prove(lines).first >= fleet.marks[0] + 1
    assert prove(exported(athena, "2d..")).first == 1


def test_a_redacted_event_stays_without_its_text(fleet: Fleet, athena: Callable[..., Result], tmp_path: Path) -> None:
    start = fleet.api.head()
    fleet.api.run("my name is Rosalind", sessionId="forgotten")
    run_id = fleet.api.start("fail", sessionId="forgotten")["runId"]
    fleet.api.await_ending(run_id)
    end = fleet.api.head()
    before = b"".join(exported(athena, f"{start}..{end}"))
    assert b"Rosalind" in before and b"told to fail" in before
    athena("redact", "--session", "forgotten", "--reason", "asked to forget")
    lines = exported(athena, f"{start}..{end}")
    assert b"Rosalind" not in b"".join(lines) and b"told to fail" not in b"".join(lines)
    assert prove(lines).without_text > 0
    assert prove(before.splitlines(keepends=True)).without_text == 0


def test_without_texts_no_sentence_quotes_one(fleet: Fleet, whole: list[bytes], athena: Callable[..., Result]) -> None:
    assert SECRET.encode() in b"".join(whole) and b"told to fail" in b"".join(whole)
    lines = exported(athena, f"{fleet.marks[2]}..{fleet.marks[-1]}", "--redact")
    assert SECRET.encode() not in b"".join(lines) and b"told to fail" not in b"".join(lines)
    proof = prove(lines)
    assert (proof.ok, proof.redacted, proof.events) == (True, True, fleet.marks[-1] - fleet.marks[2])


def test_a_token_for_one_session_gets_a_file_of_that_session(fleet: Fleet, athena: Callable[..., Result]) -> None:
    token = put_token(fleet.server, "ann", Role.ADMIN, scope={"sessions": ("mon",)})
    start, end = fleet.marks[2], fleet.marks[-1]
    lines = exported(athena, f"{start}..{end}", token=token.text)
    proof = prove(lines)
    seen = [event for event in fleet.api.events(sessionId="mon") if start < parse_cursor(event["id"]).position <= end]
    assert {row["session_id"] for row in rows(lines)} == {"mon"}
    assert [event_id(proof.log_id, row["position"], bytes.fromhex(row["chain"])) for row in rows(lines)] == [
        event["id"] for event in seen
    ]
    assert (proof.complete, proof.events + proof.skipped) == (False, end - start)
    text = b"".join(lines).decode()
    assert all(f'"{other}"' not in text for other in ("tue", "wed", "g2"))
    assert set(part(lines, "open")["kinds"]) <= {"run", "ask", "queue"}
    assert any("may have been left out" in notice for notice in proof.notices)


@pytest.mark.parametrize(
    ("role", "scope", "says"),
    [
        (Role.VIEWER, None, "has the role Viewer"),
        (Role.OPERATOR, {"sessions": ("mon",)}, "has the role Operator"),
        (Role.ADMIN, {"personas": ("ada",)}, "AUTHZ_DENIED"),
    ],
)
def test_who_may_not_read_everything_in_it_gets_no_file(
    role: Role, scope: Any, says: str, fleet: Fleet, athena: Callable[..., Result], tmp_path: Path
) -> None:
    token = put_token(fleet.server, "ann", role, scope=scope)
    done = athena("export", "--incident", "1..", "--out", str(tmp_path / "file"), token=token.text)
    assert (done.code, says in done.err, list(tmp_path.glob("file*"))) == (REFUSED, True, []), done.err


@pytest.mark.parametrize(
    ("interval", "says"),
    [
        ("nonsense", "is not an interval; give FROM..TO"),
        ("..5", "is not an interval"),
        ("5..4", "FROM is position 5, which lies after TO, position 4; swap them"),
        ("5..5", "both moments are position 5"),
        ("5..99999", "99999 lies beyond position"),
        ("yesterday..", "--incident: 'yesterday' is neither a cursor nor a time"),
    ],
)
def test_an_interval_that_is_none_is_refused(interval: str, says: str, athena: Callable[..., Result]) -> None:
    done = athena("export", "--incident", interval)
    assert (done.code, says in done.err) == (2, True), done.err


def test_an_end_before_the_interval_is_refused(athena: Callable[..., Result]) -> None:
    done = athena("export", "--incident", "2..9", "--to", "8")
    assert (done.code, "lies before the end of the interval, 9" in done.err) == (2, True), done.err


def test_an_interval_that_is_too_large_is_refused(
    athena: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DIFF_EVENTS_MAX >= 100_000
    monkeypatch.setattr("athena_core.values.DIFF_EVENTS_MAX", 5)
    done = athena("export", "--incident", "2..9")
    assert (done.code, "and an incident has at most 5" in done.err) == (2, True), done.err


def test_the_server_must_serve_the_log_that_is_read(
    fleet: Fleet, athena: Callable[..., Result], runs_before: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs_before, tmp_path / "other")
    done = athena("export", "--incident", "2..9", state_dir=str(tmp_path / "other"))
    assert (done.code, "has another log than ATHENA_STATE_DIR" in done.err) == (1, True), done.err


def test_no_server_is_needed(here: Here, runs_before: Path, tmp_path: Path) -> None:
    shutil.copytree(runs_before, tmp_path / "state" / "log")
    lines = exported(partial(here, state_dir=str(tmp_path / "state" / "log"), cli_transport="local"), "3..20")
    assert prove(lines).events == 17
    assert all(one["position"] - two["position"] == 1 for two, one in pairwise(rows(lines)))

"""Races for dead letters, and drains on servers that are killed: one verb wins, nothing is lost or done twice."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import pytest

from athena_core.clock import SystemClock
from athena_core.domain import dead_letter, queue, run
from athena_core.event import Event, Recorded
from athena_core.services.proof import verify as verifying
from tests.reliability.history import opened, rows_of
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support.api import Api, Refused, soon
from tests.support.records import CODEC, wired
from tests.support.server import Server

ROUNDS = sized(3, 10, 500)
CALLERS = 20
KILLS = sized(2, 10, 200)
KILLS_OF_ONE_LOG = 20
DRAIN_SECONDS_MAX = 0.4
SESSIONS = 6
ITEMS = sized(2, 5, 5)

MODEL = "read -r line; sleep 0.01; echo done"  # a drain of some items is often killed during a run


# Requeue against discard


@pytest.mark.heavy
@pytest.mark.timeout(3_600)
def test_one_of_parallel_requeues_and_discards_of_a_letter_wins(tmp_path: Path) -> None:
    wins: Counter[str] = Counter()
    rng = random.Random(fresh_seed("letters"))
    with Server(tmp_path / "server", work_max_attempts="1", local_provider_cmd="/bin/false") as server:
        with ThreadPoolExecutor(CALLERS) as pool:
            for number in range(ROUNDS):
                letter_id = dead(server.api, f"s{number}")
                wins[race(server.api, pool, rng, letter_id)] += 1
        history = told_by(server.state_dir)
    print(dict(wins))
    decided = Counter(one.stream for one in history if one.type in {"a2a.dlq.requeued", "a2a.dlq.discarded"})
    assert set(decided.values()) == {1}
    assert len(decided) == ROUNDS
    back = [one.event for one in history if isinstance(one.event, queue.WorkEnqueued) and one.event.dead_letter_id]
    assert len(back) == wins["requeue"]
    verified(server.state_dir)


def dead(api: Api, session_id: str) -> str:
    api.post("/work/enqueue", {"sessionId": session_id, "payload": "look", "mode": "followup"})
    with pytest.raises(Refused, match="PROVIDER_ERROR"):
        api.post(f"/work/{session_id}/drain", {"provider": "local-exec"})
    (letter,) = api.items("/a2a/dlq", sessionId=session_id)
    return str(letter["id"])


def race(api: Api, pool: ThreadPoolExecutor, rng: random.Random, letter_id: str) -> str:
    """Call both verbs at once, many times. Return the verb that won."""
    barrier = threading.Barrier(CALLERS)

    def call(verb: str) -> tuple[str, int, bool]:
        barrier.wait()
        answer = api.send(f"/a2a/dlq/{letter_id}/{verb}")
        return verb, answer.status_code, answer.status_code == 200 and answer.json()["data"]["updated"]

    verbs = ["requeue", "discard"] * (CALLERS // 2)
    rng.shuffle(verbs)
    answers = list(pool.map(call, verbs))
    ((winner, _, _),) = [one for one in answers if one[2]]
    assert Counter((verb, status) for verb, status, _ in answers) == {
        (verb, 200 if verb == winner else 409): CALLERS // 2 for verb in ("requeue", "discard")
    }
    return winner


# Killed drains


@pytest.mark.heavy
@pytest.mark.timeout(3_600)
def test_a_drain_that_is_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = fresh_seed("drains")
    caught = 0
    for first in range(0, KILLS, KILLS_OF_ONE_LOG):
        life = Life(tmp_path / f"life-{first}", seed + first)
        try:
            for _ in range(first, min(first + KILLS_OF_ONE_LOG, KILLS)):
                life.cycle()
            life.finish()
        finally:
            life.server.kill()
        caught += life.caught
        verified(life.server.state_dir)
    print(f"{caught} of {KILLS} kills came in the middle of a drain")
    assert caught or KILLS < 10, "no drain was killed: the load does not reach what it is there for"


class Life:
    """A state directory, the servers that are killed on it, and their acknowledgements."""

    def __init__(self, directory: Path, seed: int) -> None:
        directory.mkdir()
        (directory / "model.sh").write_text(MODEL)
        model = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(directory / "model.sh")}
        self.server = Server(directory, work_max_attempts="100", default_provider="local-exec", **model)
        self.rng = random.Random(seed)
        self.acknowledged: set[str] = set()
        self.caught = 0
        self._count = 0
        self.server.start()

    def cycle(self) -> None:
        """Enqueue, drain, kill at some moment, start again."""
        for _ in range(ITEMS):
            for session in range(SESSIONS):
                self._enqueue(f"s{session}")
        with ThreadPoolExecutor(SESSIONS + 1) as pool:
            for session in range(SESSIONS):
                pool.submit(self._drain, f"s{session}")
            pool.submit(self._enqueue_until_it_dies)
            time.sleep(self.rng.uniform(0.0, DRAIN_SECONDS_MAX))
            self.server.kill()
        self.caught += drains_at_work(self.server.state_dir)
        self.server.start()

    def _enqueue(self, session_id: str) -> None:
        self._count += 1
        mode = self.rng.choice(("followup", "collect"))
        body = {"sessionId": session_id, "payload": f"item {self._count}", "mode": mode}
        self.server.api.post("/work/enqueue", body)
        self.acknowledged.add(f"item {self._count}")

    def _enqueue_until_it_dies(self) -> None:
        with suppress(httpx2.TransportError):
            while True:
                self._enqueue(f"s{self.rng.randrange(SESSIONS)}")

    def _drain(self, session_id: str) -> None:
        with suppress(httpx2.TransportError):
            self.server.api.post(f"/work/{session_id}/drain", {})

    def finish(self) -> None:
        """Wait until everything is done, then judge."""
        api = self.server.api
        for session in range(SESSIONS):
            for _ in soon():
                if api.post(f"/work/s{session}/drain", {})["status"] == "ok":
                    break
        self.server.stop()
        self.server.check()
        history = told_by(self.server.state_dir)
        assert all(not state.items and state.drain is None for state in queues(history).values())
        judge_work(history, self.acknowledged)


def told_by(state_dir: Path) -> list[Recorded[Event]]:
    """Return the history of a state directory, read without the server."""
    return [CODEC.decode(row) for row in rows_of(state_dir / "log.db")[1]]


def drains_at_work(state_dir: Path) -> bool:
    """Return whether a stopped server left a drain. Its guard says so; reading the whole history takes longest."""
    reader = opened(state_dir / "log.db")
    try:
        return any(kind == "drain" for kind, _, _ in reader.guards())
    finally:
        reader.close()


def queues(history: Sequence[Recorded[Event]]) -> dict[str, queue.QueueState]:
    found: dict[str, queue.QueueState] = {}
    for one in history:
        if one.stream.startswith("work:"):
            found[one.stream] = queue.evolve(found.get(one.stream, queue.DECIDER.initial), one.event)
    return found


def judge_work(history: Sequence[Recorded[Event]], acknowledged: set[str]) -> None:
    """Fail unless each item was acknowledged once, by a run that completed, and was given to no run after that."""
    said = {one.event.item_id: one.event.payload for one in history if isinstance(one.event, queue.WorkEnqueued)}
    done: Counter[str] = Counter()
    completed: set[str] = set()
    told: dict[str, str] = {}
    for one in history:
        match one.event:
            case run.RunCompleted():
                completed.add(one.stream)
            case run.TranscriptAppended(role="user", content=str(content)):
                told[one.stream] = content
            case queue.WorkBatchStarted() as batch:
                assert not any(done[item_id] for item_id in batch.item_ids), f"position {one.position}: done before"
            case queue.WorkItemDrained() as item:
                done[item.item_id] += 1
                assert item.run_id in completed, f"position {one.position}: the run had not completed"
                assert (said[item.item_id] or "") in told[item.run_id].split(queue.PAYLOAD_SEPARATOR)
            case dead_letter.DeadLetterAdded():
                raise AssertionError(f"position {one.position}: nothing failed, and yet it was given up")
    assert acknowledged <= set(said.values()), "an acknowledged item is not in the log"
    assert done == Counter(dict.fromkeys(said, 1)), "an item was lost or done twice"
    assert len(set(said.values())) == len(said)


def verified(state_dir: Path) -> None:
    with wired(state_dir) as parts, closing(parts.log.reader()) as reader:
        meta = {"format": "1", "log_id": parts.log.log_id}
        *_, last = verifying.verify(reader, CODEC, SystemClock(), meta=meta)
    assert last.report is not None
    assert last.report.violations == ()

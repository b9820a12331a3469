"""Make ``tests/samples/state-0.2-asks``: a plane with asks and a halt, as it was left when it was killed.

The program ran once, with the commit that ``expected.json`` names and with no other, beside PostgreSQL 15::

    python -m tests.samples.make_state_0_2_asks tests/samples/state-0.2-asks

The files that it wrote are never rewritten: they stand for what installations hold.
"""
# mypy: ignore-errors
# It is written against one commit; later releases may rename what it imports.

import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import traceback
from pathlib import Path

from athena_core.clock import SystemClock, milliseconds
from athena_core.event import Meta
from athena_core.services.erasure import redaction
from tests.support import postgres
from tests.support.api import soon
from tests.support.inside import Inside
from tests.support.model import Profile, call, turn_of
from tests.support.stub import standing

ROOT = Path(__file__).resolve().parents[2]
ROLES = "ada:Admin,olga:Operator,vera:Viewer"
BEGINNING = milliseconds("2026-02-02T09:00:00Z")
DAY_MS = 86_400_000
GUARDS = {"ask", "halt", "lease", "permission-rule", "slot", "turn", "waiting"}
QUESTION = call("ask_user", question="Which branch?")
CHOICE = call("ask_user", question="Which one?", options=["main", "next"])


def choose(asked):
    """Return the next turn: one call, which the input names, then the answer."""
    messages = asked.body["messages"]
    said = next(str(one["content"]) for one in reversed(messages) if one["role"] == "user").removeprefix("user: ")
    if messages[-1]["role"] == "tool":
        return turn_of("all done", 2)
    steps = {"which branch": QUESTION, "which one": CHOICE}
    return turn_of(steps.get(said) or call("shell", command=["/bin/sh", "-c", f"echo {said} >> effects.txt"]), 1)


class Story:
    """The history of the plane, in one process."""

    def __init__(self, directory, model):
        offset = BEGINNING - SystemClock().now()
        clock = SystemClock(wall=lambda: SystemClock().now() + offset)
        self.notes_file = directory / "notes.json"
        (directory / "workspace").mkdir()
        self.plane = Inside(
            directory,
            clock,
            workspace_root=str(directory / "workspace"),
            openai_base_url=model + "/v1",
            openai_api_key="none",
            scheduler="off",
            auth_enabled="true",
            auth_identity_role_map=ROLES,
            authz_mode="enforce",
        )
        self.plane.start()

    def send(self, method, path, body=None, who="ada", **headers):
        answer = self.plane.ask(method, path, body, x_athena_identity=who, **headers)
        data = answer.json()
        assert data["ok"], (method, path, body, data)
        return data["data"]

    def profile(self, name, **asks):
        body = Profile(tools=("files", "shell", "ask_user"), approval="ask", asks=asks).body | {"displayName": name}
        return self.send("POST", "/harness-profiles", body)["id"]

    def begin(self, said, profile, session):
        body = {"input": said, "harnessProfileId": profile, "sessionId": session}
        return self.send("POST", "/runs", body, who="olga", prefer="respond-async")["runId"]

    def until(self, run_id, holds):
        for _ in soon():
            run = self.send("GET", f"/runs/{run_id}")
            if holds(run):
                return run
        raise AssertionError(run_id)

    def asked(self, said, profile, session):
        """Return the id of a run that asks, and its ask."""
        run_id = self.begin(said, profile, session)
        for _ in soon():
            asks = self.send("GET", f"/asks?status=open&runId={run_id}")["items"]
            if asks:
                return run_id, asks[0]
        raise AssertionError(run_id)

    def parked(self, said, profile, session):
        run_id, ask = self.asked(said, profile, session)
        self.until(run_id, lambda run: run["status"] == "paused")
        return run_id, ask

    def answer(self, ask, **body):
        return self.send("POST", f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], **body})

    def answered(self, said, profile, session, **body):
        """Return the id of a run that asked, was answered, and ended."""
        run_id, ask = self.asked(said, profile, session)
        self.answer(ask, **body)
        self.until(run_id, lambda run: run["status"] in {"completed", "failed", "cancelled"})
        return run_id

    def erase(self, run_id):
        """Erase every text of a run."""
        plane = self.plane.app.plane

        async def redact():
            rows = [row for row in plane.reader.stream(run_id) if row.text is not None]
            found = redaction.ErasableText(tuple(rows), (), frozenset())
            await redaction.redact(plane.log, plane.reader, found, "asked", Meta(actor="ada", correlation="c"))

        self.plane.call(redact)

    def tell(self):
        holding, parking = self.profile("Holding", holdMs=600_000), self.profile("Parking", holdMs=0)
        brief = self.profile("Brief", holdMs=0, expiresAfterMs=1_000)
        hasty = self.profile("Hasty", holdMs=600_000, expiresAfterMs=1_000, onExpiry="cancel")
        first = self.answered("first", holding, "first", optionId="allow")
        self.answered("refused", parking, "refused", optionId="deny", note="not today")
        edited = {"command": ["/bin/sh", "-c", "echo instead >> effects.txt"]}
        self.answered("edited", parking, "edited", optionId="allow", editedArguments=edited)
        self.answered("which branch", parking, "branch", values={"answer": "main"})
        self.answered("which one", holding, "one", optionId="2")
        over = [self.begin("late", brief, "late"), self.begin("late", hasty, "hasty")]
        for run_id in over:
            self.until(run_id, lambda run: run["status"] in {"completed", "cancelled"})
        self.answered("always", holding, "always", optionId="allow", remember="profile", rememberForMs=300 * DAY_MS)
        again = self.begin("always", holding, "again")
        self.until(again, lambda run: run["status"] == "completed")
        self.answered("often", holding, "often", optionId="allow", remember="session", rememberForMs=300 * DAY_MS)
        rules = self.send("GET", "/permission-rules")["items"]
        revoked = next(rule for rule in rules if rule["scope"] == "session")
        self.send("DELETE", f"/permission-rules/{revoked['id']}")
        retried = self.send("POST", f"/runs/{first}/retry", {"input": "always"}, who="olga", prefer="respond-async")
        self.until(retried["runId"], lambda run: run["status"] == "completed")
        self.erase(first)
        other, _ = self.parked("other", parking, "other")
        self.parked("many", parking, "many")
        many = {"filter": {"sessionId": "many"}, "reason": "the nightly one", "dryRun": False}
        self.send("POST", "/runs/cancel", many)
        parked, waits = self.parked("parked", parking, "parked")
        in_line, wanted = self.parked("in line", parking, "in-line")
        later, unheard = self.parked("later", parking, "later")
        keyed = {"input": "keyed", "harnessProfileId": parking, "sessionId": "keyed"}
        key = {"idempotency_key": "run-old", "prefer": "respond-async"}
        first_answer = self.plane.ask("POST", "/runs", keyed, x_athena_identity="ada", **key)
        held, holds = self.asked("held", holding, "held")
        self.send("PUT", "/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 1}, "auditComment": "one"})
        self.answer(wanted, optionId="allow")
        self.until(in_line, lambda run: run["waiting"]["reason"] == "concurrency")
        self.send("POST", "/halt", {"reason": "the agent is wrong"}, who="olga")
        self.answer(unheard, optionId="allow")
        self.until(later, lambda run: run["waiting"]["reason"] == "halted")
        page = self.send("GET", "/runs?limit=3")
        runs = page["items"] + self.send("GET", f"/runs?limit=500&cursor={page['nextCursor']}")["items"]
        notes = {
            "redactedRun": first,
            "agentRun": parked,
            "runs": [run["runId"] for run in runs],
            "runsCursor": page["nextCursor"],
            "keyed": [
                {
                    "who": "ada",
                    "method": "POST",
                    "path": "/runs",
                    "key": "run-old",
                    "body": keyed,
                    "status": first_answer.status_code,
                    "answer": first_answer.json()["data"],
                }
            ],
            "open": {
                "parked": parked,
                "parkedAsk": waits["id"],
                "inLine": in_line,
                "later": later,
                "held": held,
                "heldAsk": holds["id"],
                "keyed": first_answer.json()["data"]["runId"],
                "other": other,
                "holding": holding,
                "retried": retried["runId"],
            },
        }
        self.notes_file.write_text(json.dumps(notes))


def phase(directory):
    with standing(choose) as stub:
        try:
            Story(directory, stub.url).tell()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)


# Around it


def athena(state, *words, **settings):
    """Run a command on a state directory. Return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    given = {"ATHENA_STATE_DIR": str(state)} | {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
    line = [sys.executable, "-m", "athena_cli", *words]
    environment = kept | {"PYTHONPATH": str(ROOT)} | given
    return subprocess.run(line, cwd=state.parent, env=environment, check=True, stdout=subprocess.PIPE).stdout


def copied(directory, name):
    """Return a copy of the state, to run commands on."""
    there = directory / name
    shutil.copytree(directory / "state", there / "state")
    return there / "state"


def feed(directory):
    """Return the whole feed as it is served, without a row more."""
    state = copied(directory, "for-feed")
    athena(state, "replay")
    events, cursor = [], "0"
    while True:
        words = ["events", "list", "--limit", "500", "--cursor", cursor, "--transport", "local", "-o", "json"]
        page = json.loads(athena(state, *words))
        events += page["events"]
        if not page["events"] or "nextCursor" not in page:
            return events
        cursor = page["nextCursor"]


def dump(directory, out):
    """Move the state to a database, and dump it as statements that any PostgreSQL takes."""
    state = copied(directory, "for-postgres")
    with postgres.cluster() as cluster, cluster.database() as url:
        athena(state, "move", "--to", url, database_url="")
        program = postgres.binaries() / "pg_dump"
        line = [program, "--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=50", url]
        text = subprocess.run(list(map(str, line)), check=True, stdout=subprocess.PIPE).stdout.decode()
    unwanted = re.compile(
        r"^(\\(un)?restrict .*|SET (transaction_timeout|idle_in_transaction_session_timeout|"
        r"default_table_access_method) = .*|SELECT pg_catalog.set_config\('search_path'.*)\n",
        re.M,
    )
    out.write_bytes(lzma.compress(unwanted.sub("", text).encode(), preset=9 | lzma.PRESET_EXTREME))


def pack(directory, out):
    """Pack the state as the killed process left it, and its workspace."""
    buffer = io.BytesIO()

    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = BEGINNING // 1000
        return None if entry.name.endswith("-shm") else entry

    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("state", "workspace"):
            archive.add(directory / name, name, filter=plain)
    out.write_bytes(lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def main(out):
    """Make the whole state."""
    directory = Path(tempfile.mkdtemp(prefix="athena-state-0.2-asks-"))
    code = subprocess.run([sys.executable, "-m", __spec__.name, "--phase", str(directory)], cwd=ROOT, check=False)
    assert code.returncode == -signal.SIGKILL, code
    events = feed(directory)
    notes = json.loads((directory / "notes.json").read_text())
    report = json.loads(athena(copied(directory, "for-verify"), "verify", "-o", "json"))
    assert report["head"] == len(events), report
    with sqlite3.connect(copied(directory, "for-guards") / "log.db") as log:
        guards = {kind for (kind,) in log.execute("SELECT kind FROM guard")}
    assert guards >= GUARDS, GUARDS - guards
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pack(directory, out / "state.tar.xz")
    shutil.copy(directory / "state" / "log.anchor", out / "log.anchor")
    state, path = copied(directory, "for-bundles"), directory / "run.bundle"
    athena(state, "export", "--run", notes["agentRun"], "--out", str(path))
    (out / "run.bundle.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    dump(directory, out / "dump.sql.xz")
    ids = "".join(f"{event['id']}\n" for event in events)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    expected = {
        "commit": commit.decode().strip(),
        "lastRecordedAt": events[-1]["createdAt"],
        "events": len(events),
        "first": events[0]["id"],
        "last": events[-1]["id"],
        "pairs": [[events[number - 1]["id"], events[number]["id"]] for number in (1, 50, len(events) // 2)],
        "idsSha256": hashlib.sha256(ids.encode()).hexdigest(),
        "payloadsSha256": hashlib.sha256(json.dumps([event["payload"] for event in events]).encode()).hexdigest(),
        "types": sorted({event["type"] for event in events}),
        "redactedRun": notes["redactedRun"],
        "roles": ROLES,
        "keyed": notes["keyed"],
        "open": notes["open"],
        "runs": notes["runs"],
        "runsCursor": notes["runsCursor"],
    }
    (out / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for path in sorted(out.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    if sys.argv[1] == "--phase":
        phase(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]).absolute())

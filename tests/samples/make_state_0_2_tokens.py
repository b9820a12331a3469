"""Make ``tests/samples/state-0.2-tokens``: a plane with tokens and sessions, as it was left when it was killed.

The program ran once, with the commit that ``expected.json`` names and with no other, beside PostgreSQL 15::

    python -m tests.samples.make_state_0_2_tokens tests/samples/state-0.2-tokens

The files that it wrote are never rewritten: they stand for what installations hold. The tokens in ``expected.json``
belong to the sample, and open nothing else.
"""
# mypy: ignore-errors
# It is written against one commit; later releases may rename what it imports.

import gzip
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from athena_core.clock import FixedDate, milliseconds
from athena_core.event import Meta
from athena_core.services.erasure import redaction
from tests.samples.make_state_0_2_asks import ROOT, athena, copied, dump, feed, pack
from tests.support.api import soon
from tests.support.inside import Inside
from tests.support.keyed_api import credentials_file, keyed
from tests.support.model import acting, call

ROLES = "ada:Admin,olga:Operator,vera:Viewer,ci:Operator,api-token:Operator"
API_TOKEN = "the-token-in-the-settings-of-the-sample"
BEGINNING = milliseconds("2026-03-02T09:00:00Z")
HOUR_MS = 3_600_000
PROFILE = {
    "displayName": "Caller of an API",
    "version": "v1",
    "config": {"provider": "openai", "model": "gpt-5-mini", "tools": ["http"], "credentials": ["vault"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0},
    "allowedEgress": [{"host": "127.0.0.1"}],
    "toolPolicies": {"http": {"methods": ["GET"]}},
}
SECRET = "a-secret-of-the-sample"


class Story:
    """The history of the plane, in one process."""

    def __init__(self, directory, api, model):
        self.clock = FixedDate(BEGINNING)
        self.notes_file = directory / "notes.json"
        (directory / "workspace").mkdir()
        vault = {"header": "Authorization: Bearer {secret}", "hosts": [f"127.0.0.1:{api.port}"], "secret": SECRET}
        credentials = credentials_file(directory, vault=vault | {"private": True})
        self.plane = Inside(
            directory,
            self.clock,
            workspace_root=str(directory / "workspace"),
            openai_base_url=model.url,
            openai_api_key="none",
            scheduler="off",
            auth_enabled="true",
            auth_identity_role_map=ROLES,
            auth_group_role_map="platform:Admin,support:Operator",
            auth_api_token=API_TOKEN,
            credentials_file=str(credentials),
            requests_per_second="10000",
            authz_mode="enforce",
        )
        self.plane.start()
        self.texts = {}

    def send(self, method, path, body=None, **headers):
        if "authorization" not in headers:
            headers = {"x_athena_identity": "ada", **headers}
        answer = self.plane.ask(method, path, body, **headers)
        data = answer.json()
        assert data["ok"], (method, path, body, data)
        return data["data"]

    def create(self, name, **fields):
        made = self.send("POST", "/tokens", {"identity": "ci", "role": "Operator", **fields})
        self.texts[name] = made["token"]
        return made["tokenId"]

    def log_in(self, name, token):
        """Open a session with a token. Return its id."""
        answer = self.plane.ask("POST", "/login", authorization=f"Bearer {token}")
        assert answer.json()["ok"], answer.text
        self.texts[name] = answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
        return answer.json()["data"]["tokenId"]

    def erase(self, stream):
        """Erase every text of a stream."""
        plane = self.plane.app.plane

        async def redact():
            rows = [row for row in plane.reader.stream(stream) if row.text is not None]
            found = redaction.ErasableText(tuple(rows), (), frozenset())
            await redaction.redact(plane.log, plane.reader, found, "asked", Meta(actor="ada", correlation="c"))

        self.plane.call(redact)

    def tell(self):
        left = {
            "valid": self.create("valid", note="Nightly build", scope={"sessions": ["nightly", "weekly"]}),
            "erased": self.create("erased", note="The laptop of somebody"),
            "released": self.create("released", expiresAfterMs=60_000),
            "revoked": self.create("revoked"),
        }
        left["endedSession"] = self.log_in("endedSession", self.texts["revoked"])
        left["superseded"] = self.log_in("superseded", self.texts["valid"])
        for _ in range(20):
            left["session"] = self.log_in("session", self.texts["valid"])
        left["loggedOut"] = self.log_in("loggedOut", self.texts["erased"])
        cookie = f"athena_session={self.texts['loggedOut']}"
        self.plane.ask("POST", "/logout", cookie=cookie, origin="http://plane").raise_for_status()
        left["apiSession"] = self.log_in("apiSession", API_TOKEN)
        self.send("DELETE", f"/tokens/{left['revoked']}")
        self.erase(left["erased"])
        profile = self.send("POST", "/harness-profiles", PROFILE)["id"]
        bearer = {"authorization": f"Bearer {self.texts['valid']}"}
        for number in range(3):
            self.send("POST", "/runs", {"input": f"hello {number}", "sessionId": "nightly"}, **bearer)
        said = {"input": "hello again", "harnessProfileId": profile, "sessionId": "other"}
        other = self.send("POST", "/runs", said, x_athena_identity="olga")["runId"]
        grouped = {"x_athena_identity": "gina", "x_forwarded_groups": "support,platform"}
        self.send("POST", "/directives", {"input": "Sort the open tickets."}, **grouped)
        self.erase(other)
        again = {"input": "call it", "harnessProfileId": profile, "sessionId": "another"}
        self.send("POST", "/runs", again, x_athena_identity="olga")
        for number in range(13):
            wrong = f"Bearer {self.texts['valid'][:-1]}{'-' if number % 2 else '_'}"
            assert self.plane.ask("GET", "/caller", authorization=wrong).status_code in {401, 429}
        for _ in soon():
            if self.send("GET", "/events?types=authn.failed&cursor=0")["events"]:
                break
        self.clock.advance(HOUR_MS)
        body = {"identity": "vera", "role": "Viewer", "note": "Keyed"}
        headers = {"x_athena_identity": "ada", "idempotency_key": "token-old"}
        self.plane.ask("POST", "/tokens", body, **headers)
        keyed = self.plane.ask("POST", "/tokens", body, **headers)
        left["expired"] = self.create("expired", expiresAfterMs=60_000)
        self.clock.advance(HOUR_MS)
        self.send("POST", "/directives", {"input": "Sort the closed tickets."})
        page = self.send("GET", "/runs?limit=3")
        runs = page["items"] + self.send("GET", f"/runs?limit=500&cursor={page['nextCursor']}")["items"]
        one = {"who": "ada", "method": "POST", "path": "/tokens", "key": "token-old", "body": body}
        notes = {
            "redactedRun": other,
            "runs": [run["runId"] for run in runs],
            "runsCursor": page["nextCursor"],
            "keyed": [one | {"status": keyed.status_code, "answer": keyed.json()["data"]}],
            "open": left,
            "tokens": self.texts | {"settings": API_TOKEN},
        }
        for _ in soon():
            if self.send("GET", f"/tokens/{left['valid']}").get("lastUsedAt"):
                break
        self.plane.call(self.plane.app.plane.tokens.flush)
        self.notes_file.write_text(json.dumps(notes))


def phase(directory):
    with keyed(f"Bearer {SECRET}") as api, acting((call("http", url=f"{api.url}/items"), "done")) as model:
        try:
            Story(directory, api, model).tell()
            assert set(api.carried) == {f"Bearer {SECRET}"}, api.carried
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)


def main(out):
    """Make the whole state."""
    directory = Path(tempfile.mkdtemp(prefix="athena-state-0.2-tokens-"))
    code = subprocess.run([sys.executable, "-m", __spec__.name, "--phase", str(directory)], cwd=ROOT, check=False)
    assert code.returncode == -signal.SIGKILL, code
    events = feed(directory)
    notes = json.loads((directory / "notes.json").read_text())
    report = json.loads(athena(copied(directory, "for-verify"), "verify", "-o", "json"))
    assert report["head"] == len(events), report
    types = {event["type"] for event in events}
    assert types >= {"token.created", "token.revoked", "authn.failed", "rbac.groups.changed"}, types
    carried = [event["payload"].get("credentials") for event in events if event["type"] == "tool.called"]
    assert carried == [["vault"], ["vault"]], carried
    causes = {event["payload"].get("cause") for event in events if event["type"] == "token.revoked"}
    assert causes == {"requested", "expiry", "superseded"}, causes
    with sqlite3.connect(copied(directory, "for-guards") / "log.db") as log:
        guards = {kind for (kind,) in log.execute("SELECT kind FROM guard")}
    assert guards >= {"token", "groups"}, guards
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pack(directory, out / "state.tar.xz")
    shutil.copy(directory / "state" / "log.anchor", out / "log.anchor")
    state, path = copied(directory, "for-bundles"), directory / "run.bundle"
    athena(state, "export", "--run", notes["runs"][-1], "--out", str(path))
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
        "pairs": [[events[number - 1]["id"], events[number]["id"]] for number in (1, 40, len(events) // 2)],
        "idsSha256": hashlib.sha256(ids.encode()).hexdigest(),
        "payloadsSha256": hashlib.sha256(json.dumps([event["payload"] for event in events]).encode()).hexdigest(),
        "types": sorted(types),
        "roles": ROLES,
        **notes,
    }
    (out / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for path in sorted(out.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    if sys.argv[1] == "--phase":
        phase(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]).absolute())

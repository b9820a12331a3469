"""Moves of callers: requests of all kinds, drawn from the chance of a step."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from athena_api.operations import OPERATIONS
from tests.api.examples import EXAMPLES
from tests.simulation.servers import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.simulation.plane import Plane

ID = re.compile(r"\b([a-z]+)_(?:unknown\b|[0-9A-HJKMNP-TV-Z]{26})")
"""An id in an example or an answer, with its kind."""

Act = Callable[["Plane", Any], Coroutine[Any, Any, None]]


class Move(NamedTuple):
    """A move, and its weight in the mean history."""

    act: Act
    weight: float


MOVES: dict[str, Move] = {}


def move(weight: float) -> Callable[[Act], Act]:
    """Register a move under the name of its function."""

    def register(act: Act) -> Act:
        MOVES[act.__name__] = Move(act, weight)
        return act

    return register


def profile(name: str, approval: str = "allow", **fields: Any) -> dict[str, Any]:
    config = {"provider": "mock", "model": "mock-model", "tools": ["shell", "ask_user"]} | fields.pop("config", {})
    return {
        "displayName": name,
        "version": "v1",
        "config": config,
        "policies": {"timeoutMs": 600_000, "retryLimit": 2, "budgetUsd": 1.0} | fields.pop("policies", {}),
        "toolPolicies": {"shell": {"commands": [["touch"]], "approval": approval}},
        **fields,
    }


PROFILES = [
    profile("free"),
    profile("parks", "ask", asks={"holdMs": 0, "expiresAfterMs": 120_000}),
    profile("holds", "ask", asks={"holdMs": 60_000, "expiresAfterMs": 300_000, "notRequester": True}),
    profile("cancels", "ask", asks={"holdMs": 5_000, "expiresAfterMs": 20_000, "onExpiry": "cancel"}),
    profile("for admins", "ask", asks={"holdMs": 600_000, "role": "Admin"}),
    profile("paid", config={"provider": "openai", "model": "gpt-4o"}, policies={"budgetUsd": 0.01}),
    profile("hurried", policies={"timeoutMs": 3_000, "retryLimit": 1}),
]
ROLES = dict(ada="Admin", root="Admin", olga="Operator", otto="Operator", vera="Viewer", viktor="Viewer")
CALLERS = ("ada", "root", "olga", "olga", "otto", "otto", "vera", "viktor")
OVERLAPS = ("skip", "buffer-one", "buffer-latest", "buffer-all", "cancel-other", "terminate-other", "allow-all")
SESSIONS = ("red", "green", "blue", "white")
TEXTS = ("input", "payload", "text", "reason")
"""Fields of bodies with any text."""
NAMED = (*SESSIONS, "queued", "timed", "s1", "s2", "ann")
"""Names of sessions, queues, schedules and personas."""


class Spoilt(NamedTuple):
    """The parts of a request that replace its own."""

    headers: Mapping[str, str | None] = {}
    query: Mapping[str, Any] = {}


UNPROVEN: dict[str, str | None] = {"x-athena-proxy-secret": None, "x-athena-identity": None}
NOUNS = sorted({one.tag for one in OPERATIONS})
SPOILT = (
    Spoilt({"x-athena-proxy-secret": "wrong"}),
    Spoilt({"x-athena-identity": ""}),
    Spoilt({"x-athena-identity": "system:me"}),
    Spoilt({"host": "elsewhere.example"}),
    Spoilt({"origin": "https://elsewhere.example"}),
    Spoilt({"authorization": "Bearer ath_wrong"}),
    Spoilt(UNPROVEN),
    Spoilt(UNPROVEN | {"authorization": "Bearer ath_wrong"}),
    Spoilt({"x-athena-scope-sessions": "red"}),
    Spoilt({"if-match": '"0"'}),
    Spoilt(query={"cursor": "wrong"}),
    Spoilt(query={"minPosition": 10**9}),
    Spoilt(query={"asOf": 10**9}),
    Spoilt(query={"limit": -1}),
)
"""Spoilt requests: each has an error of its own, at least for some operations."""
SPOILT_BODIES: tuple[dict[str, Any], ...] = (
    {"wrong": True},
    {"provider": "none"},
    {"harnessProfileId": "Careful"},
    {"subjectHash": "0" * 64, "dryRun": False},
    {"input": "long " * 10_000},
    {"input": "x" * 2_000_000},
)


def script(plane: "Plane", chance: Any) -> str:
    """Draw what a run does."""

    def word() -> str:
        kind = chance.random()
        if kind < 0.45:
            return f"e:{plane.name('t')}"
        if kind < 0.55:
            return f"e:{plane.name('t')}+e:{plane.name('t')}"
        if kind < 0.62:
            return "q"
        if kind < 0.68:
            return "c"
        if kind < 0.8:
            return f"w:{chance.choice((1, 5, 30))}+e:{plane.name('t')}"
        return str(chance.choice(("u:5000+e:" + plane.name("t"), "r+e:" + plane.name("t"), "x", "hello")))

    return " ".join(word() for _ in range(chance.choice((0, 1, 1, 2, 3)))) or "hello"


def run_body(plane: "Plane", chance: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"input": script(plane, chance), "sessionId": chance.choice(SESSIONS)}
    if chance.random() < 0.3:
        body["sessionId"] = plane.name("alone")
    if chance.random() < 0.9:
        body["harnessProfileId"] = chance.choice(plane.known["profile"])
    if chance.random() < 0.6:
        body["sessionStrategy"] = chance.choice(("enqueue", "enqueue", "reject", "interrupt"))
    if chance.random() < 0.1 and plane.oracle.runs:
        body["parentRunId"] = chance.choice(list(plane.oracle.runs))
    return body


def profile_id(plane: "Plane", name: str) -> str:
    """Return the id of a profile by its name in ``PROFILES``."""
    return plane.known["profile"][[one["displayName"] for one in PROFILES].index(name)]


def some_run(plane: "Plane", chance: Any, status: str | None = None) -> str:
    found = [run.run_id for run in plane.oracle.runs.values() if status in (None, run.status)]
    return str(chance.choice(found[-12:])) if found else "run_unknown"


async def keyed(plane: "Plane", chance: Any, method: str, path: str, body: Any, caller: str, **query: Any) -> Any:
    """Send a request with a key of its own in half of the cases; repeat it at once in some."""
    key = plane.name("key") if chance.random() < 0.5 else ""
    headers = {"prefer": "respond-async"} if chance.random() < 0.3 else {}
    answer = await plane.ask(chance, method, path, body, caller, key, headers=headers, **query)
    if key and chance.random() < 0.2:
        await plane.ask(chance, method, path, body, caller, key, **query)
    return answer


@move(24)
async def create_run(plane: "Plane", chance: Any) -> None:
    await keyed(plane, chance, "POST", "/runs", run_body(plane, chance), chance.choice(CALLERS))


@move(16)
async def answer_ask(plane: "Plane", chance: Any) -> None:
    asks = plane.oracle.asks if chance.random() < 0.1 else plane.oracle.open_asks
    if not asks:
        return
    ask_id = chance.choice(list(asks))
    ask = asks[ask_id]
    shown = ask.shown if chance.random() < 0.95 else "0" * 64
    body: dict[str, Any] = {"subjectHash": shown}
    if ask.kind == "tool-permission":
        body["optionId"] = chance.choice(("allow", "allow", "deny"))
        if body["optionId"] == "allow" and chance.random() < 0.3:
            body["remember"] = chance.choice(("run", "session", "profile"))
            body["rememberForMs"] = chance.choice((60_000, 600_000))
        elif chance.random() < 0.2:
            body["editedArguments"] = {"command": ["touch", plane.name("edited")]}
    elif ask.kind == "choice":
        body["optionId"] = chance.choice(("1", "2", "decline"))
    else:
        body |= chance.choice(({"optionId": "decline"}, {"optionId": "answer", "values": {"answer": "main"}}))
    await keyed(plane, chance, "POST", f"/asks/{ask_id}/answer", body, chance.choice(CALLERS))


@move(3)
async def answer_many(plane: "Plane", chance: Any) -> None:
    items = [
        {"askId": ask_id, "subjectHash": ask.shown, "optionId": "deny"}
        for ask_id, ask in list(plane.oracle.open_asks.items())[:5]
        if ask.kind == "tool-permission"
    ]
    body: dict[str, Any] = {"items": items} if items and chance.random() < 0.6 else {"filter": {}, "optionId": "deny"}
    await keyed(plane, chance, "POST", "/asks/answer", body, chance.choice(CALLERS))


@move(8)
async def cancel_run(plane: "Plane", chance: Any) -> None:
    run_id = some_run(plane, chance)
    body = {"reason": "enough"}
    await keyed(plane, chance, "POST", f"/run-control/by-run/{run_id}/cancel", body, chance.choice(CALLERS))


@move(4)
async def bulk(plane: "Plane", chance: Any) -> None:
    """Cancel or retry many, with a key."""
    act = chance.choice(("cancel", "retry", "retry"))
    found: dict[str, Any] = {"sessionId": chance.choice(SESSIONS)} if chance.random() < 0.7 else {}
    if act == "retry" and chance.random() < 0.5:
        found["status"] = chance.choice(("failed", "cancelled", "completed"))
    if not found:
        found = {"status": "failed"}
    await keyed(plane, chance, "POST", f"/runs/{act}", {"filter": found}, chance.choice(("ada", "olga", "vera")))


@move(5)
async def retry_run(plane: "Plane", chance: Any) -> None:
    body = {"input": script(plane, chance)} if chance.random() < 0.3 else {}
    await keyed(plane, chance, "POST", f"/runs/{some_run(plane, chance)}/retry", body, chance.choice(CALLERS))


@move(3)
async def resume_run(plane: "Plane", chance: Any) -> None:
    if chance.random() < 0.5:  # one that soon has no budget
        paid = {"input": "u:5000 hello", "sessionId": plane.name("paid")}
        paid["harnessProfileId"] = profile_id(plane, "paid")
        await plane.ask(chance, "POST", "/runs", paid, "ada", headers={"prefer": "respond-async"})
        await asyncio.sleep(3.0)
    run_id = some_run(plane, chance, "paused")
    await keyed(plane, chance, "POST", f"/runs/{run_id}/resume", {"budgetUsd": 1}, chance.choice(CALLERS))


@move(6)
async def repeat(plane: "Plane", chance: Any) -> None:
    """Repeat a keyed request on any server: half of them bulk requests."""
    known = [one for one in plane.answered if plane.wall() / 1000 - one[6] < 22 * 3600]
    many = [one for one in known if one[1] in ("/runs/cancel", "/runs/retry", "/asks/answer")]
    if known:
        method, path, body, caller, key, *_ = chance.choice(many if many and chance.random() < 0.5 else known)
        if chance.random() < 0.9:
            await plane.ask(chance, method, path, body, caller, key)
        elif (other := {name: f"{value}!" if name in TEXTS else value for name, value in body.items()}) != body:
            answer = await plane.ask(chance, method, path, other, caller, headers={"idempotency-key": key})
            if answer is not None and answer.status < 300:
                plane.fail("repeat", f"{method} {path} {key} with another body: {answer.status} {answer.data}")


@move(2)
async def halt(plane: "Plane", chance: Any) -> None:
    body: dict[str, Any] = {"reason": "wrong prices"}
    if chance.random() < 0.3:
        body["cancelRunning"] = True
    await keyed(plane, chance, "POST", "/halt", body, chance.choice(("ada", "olga", "vera")))


@move(4)
async def lift(plane: "Plane", chance: Any) -> None:
    await plane.ask(chance, "DELETE", "/halt", None, chance.choice(("ada", "root", "olga")))


@move(3)
async def policy(plane: "Plane", chance: Any) -> None:
    body: dict[str, Any] = {"schemaVersion": 1}
    if chance.random() < 0.6:
        body["maxConcurrentRuns"] = chance.choice((1, 2, 4))
    if chance.random() < 0.3:
        scope = chance.choice(("session", "provider", "harness-profile"))
        body["limits"] = [{"scope": scope, "max": 1, "strategy": chance.choice(("reject", "enqueue"))}]
    if chance.random() < 0.2:
        body["costBudgetDailyUsd"] = chance.choice((0.001, 0.1))
    await plane.ask(chance, "PUT", "/policy", {"policy": body, "auditComment": "as drawn"}, "ada")


@move(1)
async def revoke_rule(plane: "Plane", chance: Any) -> None:
    live = [one for one in plane.oracle.permissions if one not in plane.oracle.revoked]
    if live:
        await plane.ask(chance, "DELETE", f"/permission-rules/{chance.choice(live)}", None, chance.choice(CALLERS))


@move(6)
async def schedule(plane: "Plane", chance: Any) -> None:
    """Write, run, pause or remove a schedule."""
    name = chance.choice(("s1", "s2"))
    caller = chance.choice(("ada", "olga", "otto"))
    act = chance.choice(("put", "put", "put", "run", "run", "pause", "resume", "disable", "enable", "delete", "tick"))
    if act == "put":
        body = {
            "sessionId": chance.choice(("timed", "red")),
            "input": script(plane, chance),
            "harnessProfileId": chance.choice(plane.known["profile"]),
            "everyMinutes": chance.choice((1, 5)),
            "overlapPolicy": chance.choice(OVERLAPS),
            "catchUpWindowSeconds": 600,
        }
        if chance.random() < 0.5:
            del body["overlapPolicy"]
        await plane.ask(chance, "PUT", f"/schedules/{name}", body, caller)
    elif act == "delete":
        await plane.ask(chance, "DELETE", f"/schedules/{name}", None, caller)
    elif act == "tick":
        await plane.ask(chance, "POST", "/schedules/tick", {}, caller)
    else:
        await keyed(plane, chance, "POST", f"/schedules/{name}/{act}", {}, caller)


@move(4)
async def queue(plane: "Plane", chance: Any) -> None:
    """Enqueue work, or drain a queue."""
    session = chance.choice(("queued", "red"))
    if chance.random() < 0.6:
        mode = chance.choice(("followup", "collect"))
        body = {"sessionId": session, "payload": script(plane, chance), "mode": mode}
        await keyed(plane, chance, "POST", "/work/enqueue", body, chance.choice(CALLERS))
    else:
        await keyed(plane, chance, "POST", f"/work/{session}/drain", {}, chance.choice(CALLERS))


@move(4)
async def message(plane: "Plane", chance: Any) -> None:
    """Send a message, or decide about dead letters."""
    act, caller = chance.random(), chance.choice(("ada", "olga", "vera"))
    if act < 0.6:
        body = {"fromPersona": "ann", "toPersona": chance.choice(("ann", "bob")), "payload": script(plane, chance)}
        if chance.random() < 0.3:
            body["payload"] = "x"
        await keyed(plane, chance, "POST", "/a2a/messages", body, caller)
        return
    letters = await plane.ask(chance, "GET", "/a2a/dlq", None, caller)
    if letters is not None and letters.status == 200 and letters.data["items"]:
        letter = chance.choice(letters.data["items"])["id"]
        for verb in chance.choice((("requeue",), ("discard",), ("discard", "restore"))):
            await keyed(plane, chance, "POST", f"/a2a/dlq/{letter}/{verb}", {}, caller)
    if chance.random() < 0.3:
        begun = await keyed(plane, chance, "POST", "/a2a/dlq/redrive", {"filter": {}}, caller)
        if begun is not None and begun.status < 300:
            then = chance.choice(("GET", "DELETE"))
            await plane.ask(chance, then, f"/a2a/dlq/redrive/{begun.data['id']}", None, caller)


@move(5)
async def workflow(plane: "Plane", chance: Any) -> None:
    """Create a workflow of two steps with or without an approval between them, and start it."""
    caller = chance.choice(("ada", "olga", "otto"))
    made = plane.known["workflow"]
    if len(made) < 3:
        words = [script(plane, chance) for _ in range(2)]
        found = [await plane.ask(chance, "POST", "/directives", {"input": one}, caller) for one in words]
        if any(one is None or one.status >= 300 for one in found):
            return
        first, second = ({"directiveId": one.data["id"], "id": f"step{n}"} for n, one in enumerate(found) if one)
        first["harnessProfileId"] = chance.choice(plane.known["profile"][:3])
        steps, edges = [first, second], [{"from": "step0", "to": "step1"}]
        if chance.random() < 0.6:
            steps.append({"id": "gate", "approval": {"message": "go?", "expiresAfterMs": 300_000}})
            edges = [{"from": "step0", "to": "gate"}, {"from": "gate", "to": "step1"}]
        body = {"definition": {"steps": steps, "dependencies": edges}}
        answer = await plane.ask(chance, "POST", "/workflows", body, caller)
        if answer is not None and answer.status < 300:
            made.append(answer.data["id"])
    if made:
        await keyed(plane, chance, "POST", f"/workflows/{chance.choice(made)}/run", {}, caller)


@move(5)
async def approve(plane: "Plane", chance: Any) -> None:
    waiting = list(plane.oracle.approvals())
    if waiting:
        run_id, step_id, shown = chance.choice(waiting)
        path = f"/workflows/run/{run_id}/steps/{step_id}/{chance.choice(('approve', 'approve', 'reject'))}"
        await keyed(plane, chance, "POST", path, {"subjectHash": shown}, chance.choice(("ada", "olga", "vera")))


@move(2)
async def steer_workflow(plane: "Plane", chance: Any) -> None:
    if plane.oracle.workflows:
        run_id = chance.choice(list(plane.oracle.workflows))
        verb = chance.choice(("cancel", "resume"))
        await keyed(plane, chance, "POST", f"/workflows/run/{run_id}/{verb}", {}, chance.choice(("ada", "olga")))


@move(2)
async def memory(plane: "Plane", chance: Any) -> None:
    if chance.random() < 0.6 or not plane.known["note"]:
        answer = await keyed(plane, chance, "POST", "/memory", {"text": plane.name("kiwi ")}, chance.choice(CALLERS))
        if answer is not None and answer.status < 300:
            plane.known["note"].append(answer.data["id"])
    else:
        note = chance.choice(plane.known["note"])
        await plane.ask(chance, "DELETE", f"/memory/{note}", None, chance.choice(CALLERS))


@move(8)
async def call(plane: "Plane", chance: Any) -> None:
    """Send examples of the operations of a noun."""
    noun = chance.choice(NOUNS)
    rows = [one for one in OPERATIONS if one.tag == noun]
    for _ in range(12):
        await send_example(plane, chance, chance.choice(rows))


async def send_example(plane: "Plane", chance: Any, operation: Any) -> None:
    """Send the example of an operation about records that were seen, as it is or spoilt."""

    def seen(found: re.Match[str]) -> str:
        known = plane.known[found[1]][-5:]
        return str(chance.choice(known)) if known and chance.random() < 0.9 else found[0]

    example = EXAMPLES[operation.id]
    path = ID.sub(seen, example.path).replace("/unknown", f"/{chance.choice(NAMED)}")
    body = json.loads(ID.sub(seen, json.dumps(example.body)))
    query: dict[str, Any] = dict(example.query or {}) if chance.random() < 0.5 else {}
    if body and chance.random() < 0.2:
        body |= chance.choice(SPOILT_BODIES)
    spoilt = chance.choice(SPOILT) if chance.random() < 0.2 else Spoilt()
    if chance.random() < 0.1 and plane.known["secret"]:
        token = {"authorization": f"Bearer {chance.choice(plane.known['secret'])}"}
        spoilt = Spoilt(UNPROVEN | token)
    answer = await plane.ask(
        *(chance, operation.method, path, body),
        "ada" if chance.random() < 0.5 else chance.choice(CALLERS),
        headers=spoilt.headers,
        seconds=chance.choice((1.0, 30.0)) if operation.stream else PATIENCE_SECONDS,
        **{**query, **spoilt.query},
    )
    if answer is not None and answer.status < 300 and operation.id == "createToken":
        plane.known["secret"].append(answer.data["token"])


@move(4)
async def look_back(plane: "Plane", chance: Any) -> None:
    """Read a run now, and later as it was then."""
    path = f"/runs/{some_run(plane, chance)}"
    now = await plane.ask(chance, "GET", path, None, "ada")
    if now is None or now.status != 200:
        return
    position = now.headers["athena-position"]
    then = await plane.ask(chance, "GET", path, None, "ada", asOf=position)
    if then is not None and then.status == 200 and then.data != now.data:
        changed = {name for name in now.data | then.data if now.data.get(name) != then.data.get(name)}
        plane.fail("past", f"{path} at {position}: {sorted(changed)}")


class Follower:
    """A client that replays the feed with cursors."""

    def __init__(self, caller: str, limit: int, types: str | None) -> None:
        self.caller, self.limit, self.types = caller, limit, types
        self.cursor: str | None = None
        self.seen: list[str] = []
        self._lock = asyncio.Lock()

    async def page(self, plane: "Plane", chance: Any) -> bool:
        async with self._lock:
            return await self._page(plane, chance)

    async def _page(self, plane: "Plane", chance: Any) -> bool:
        query: dict[str, Any] = {"cursor": self.cursor, "limit": self.limit, "types": self.types}
        answer = await plane.ask(chance, "GET", "/events", None, self.caller, **query)
        if answer is None or answer.status != 200:
            return False
        self.seen += [item["id"] for item in answer.data["events"]]
        self.cursor = answer.data.get("cursor") or self.cursor
        return bool(answer.data["events"])

    async def finish(self, plane: "Plane") -> None:
        while await self.page(plane, plane.chance):
            pass
        known = plane.oracle.position if self.types is None else plane.oracle.events[self.types]
        if len(set(self.seen)) < len(self.seen) or len(self.seen) != known:
            plane.fail("feed", f"{self.caller} saw {len(set(self.seen))} of {known} events ({self.types})")


@move(4)
async def follow(plane: "Plane", chance: Any) -> None:
    if len(plane.followers) < 2:
        plane.followers.append(Follower("ada", chance.choice((1, 7, 50)), chance.choice((None, "run.created"))))
    await chance.choice(plane.followers).page(plane, chance)

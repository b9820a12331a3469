"""Motifs: short directed histories of the kinds that hid faults before, each a move with its own draws."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation import faults
from tests.simulation.moves import CALLERS, MOVES, OVERLAPS, SESSIONS, move, profile_id, script, some_run

if TYPE_CHECKING:
    from tests.simulation.plane import Plane

ASYNC = {"prefer": "respond-async"}
ASKING = ("parks", "holds", "cancels", "for admins")
CALM_SECONDS = 75.0


async def until(find: Callable[[], Any], seconds: float, every: float = 0.5) -> Any:
    """Return the first true value within a time, or the last other one."""
    for _ in range(int(seconds / every)):
        if found := find():
            return found
        await asyncio.sleep(every)
    return find()


async def begin(plane: "Plane", chance: Any, words: str, caller: str = "ada", key: str = "", **fields: Any) -> str:
    """Start a run, and return its id without waiting for its end; an empty one if it was refused."""
    body = {"input": words, "sessionId": plane.name("motif"), "harnessProfileId": profile_id(plane, "free")} | fields
    answer = await plane.ask(chance, "POST", "/runs", body, caller, key, headers=ASYNC)
    return str(answer.data["runId"]) if answer is not None and answer.status < 300 else ""


async def asked(plane: "Plane", run_id: str, seconds: float = 20.0) -> str:
    """Return the ask that a run waits for."""
    asks = plane.oracle.open_asks
    return str(await until(lambda: next((one for one, ask in asks.items() if ask.run_id == run_id), ""), seconds))


async def decide(plane: "Plane", chance: Any, ask_id: str, caller: str, **fields: Any) -> Any:
    known = plane.oracle.asks.get(ask_id)
    body = {"subjectHash": known.shown if known else "0" * 64, "optionId": "allow"} | fields
    return await plane.ask(chance, "POST", f"/asks/{ask_id}/answer", body, caller)


def ended(plane: "Plane", run_id: str) -> bool:
    return run_id not in plane.oracle.open_runs()


# Asks and permission rules


@move(1.5)
async def rule_elsewhere(plane: "Plane", chance: Any) -> None:
    """Allow a call for later runs, and make it again: under another profile, by another person, or too late."""
    session, word = plane.name("ruled"), plane.name("again")
    first = chance.choice(ASKING)
    second = chance.choice((first, *ASKING))
    run_id = await begin(
        plane, chance, f"e:{word}", "olga", sessionId=session, harnessProfileId=profile_id(plane, first)
    )
    ask_id = await asked(plane, run_id)
    scope, millis = chance.choice(("session", "session", "profile")), chance.choice((30_000, 600_000))
    answer = await decide(plane, chance, ask_id, "ada", remember=scope, rememberForMs=millis)
    if answer is None or answer.status >= 300:
        return
    await until(lambda: ended(plane, run_id), 20)
    await asyncio.sleep(chance.choice((0.0, 1.0, 45.0)))
    if chance.random() < 0.2:
        await revoke_newest(plane, chance)
    caller = chance.choice(("olga", "ada", "otto"))
    run_id = await begin(
        plane, chance, f"e:{word}", caller, sessionId=session, harnessProfileId=profile_id(plane, second)
    )
    if ask_id := await asked(plane, run_id, 5.0):
        await decide(plane, chance, ask_id, "root", optionId=chance.choice(("allow", "deny")))


async def revoke_newest(plane: "Plane", chance: Any) -> None:
    for rule_id in list(plane.oracle.permissions)[-1:]:
        await plane.ask(chance, "DELETE", f"/permission-rules/{rule_id}", None, "ada")


@move(1.5)
async def held_in_a_halt(plane: "Plane", chance: Any) -> None:
    """Let a run hold its ask, halt, answer, and lift the halt."""
    name = chance.choice(("holds", "for admins", "parks"))
    words = f"e:{plane.name('held')} e:{plane.name('then')}"
    run_id = await begin(plane, chance, words, "olga", harnessProfileId=profile_id(plane, name))
    ask_id = await asked(plane, run_id)
    await plane.ask(chance, "POST", "/halt", {"reason": "look first"}, "ada")
    await asyncio.sleep(chance.choice((0.0, 0.1, 3.0)))
    await decide(plane, chance, ask_id, "root", optionId=chance.choice(("allow", "allow", "deny")))
    await asyncio.sleep(chance.choice((1.0, 10.0)))
    await plane.ask(chance, "DELETE", "/halt", None, "ada")


@move(1)
async def two_answers(plane: "Plane", chance: Any) -> None:
    """Answer one ask twice at once, at any servers, while others of the same turn wait."""
    words = "+".join(f"e:{plane.name('both')}" for _ in range(chance.choice((1, 2))))
    run_id = await begin(plane, chance, words, "olga", harnessProfileId=profile_id(plane, chance.choice(ASKING)))
    ask_id = await asked(plane, run_id)
    tries = (("ada", "allow"), ("root", "deny"), ("root", "allow"))
    await asyncio.gather(
        *(decide(plane, chance, ask_id, who, optionId=option) for who, option in chance.sample(tries, 2))
    )
    if ask_id := await asked(plane, run_id, 1.0):
        await decide(plane, chance, ask_id, "root", optionId=chance.choice(("allow", "deny")))


@move(1.5)
async def expire(plane: "Plane", chance: Any) -> None:
    """Let an ask expire, while clocks are set, servers end or commits fail just then."""
    name = chance.choice(("parks", "cancels"))
    run_id = await begin(plane, chance, f"e:{plane.name('late')}", harnessProfileId=profile_id(plane, name))
    if not (ask_id := await asked(plane, run_id)):
        return
    left = (plane.oracle.asks[ask_id].event.expires_at_ms - plane.wall()) / 1000
    what = chance.choice(("set back", "set back", "crash", "fail", "nothing"))
    if what == "set back":
        await asyncio.sleep(left * chance.random())
        for server in plane.servers.values():
            server.clock.set_by_ms -= chance.choice((1, 1, 30))
    elif what == "fail":
        await asyncio.sleep(left - 0.01)
        faults.fail_commits(plane, 1)
    elif what == "crash":
        await asyncio.sleep(left - chance.random())
        await faults.crash(plane, chance)
    await asyncio.sleep(max(left, 0))


@move(1)
async def who_requested(plane: "Plane", chance: Any) -> None:
    """Let one person write a schedule or start a parent, and another begin its run; both try to answer it."""
    author, other = chance.sample(("ada", "root", "olga"), 2)
    profile, words = profile_id(plane, "holds"), f"e:{plane.name('whose')}"
    name, runs = plane.name("whose"), set(plane.oracle.runs)
    if chance.random() < 0.7:
        body = {"sessionId": name, "input": words, "harnessProfileId": profile, "everyMinutes": 5}
        await plane.ask(chance, "PUT", f"/schedules/{name}", body, author)
        await plane.ask(chance, "POST", f"/schedules/{name}/run", {}, other, headers=ASYNC)
        found = [one for one, run in plane.oracle.runs.items() if one not in runs and run.session == name]
        if chance.random() < 0.5:
            await plane.ask(chance, "PUT", f"/schedules/{name}", body | {"everyMinutes": 7}, other)
    else:
        parent = await begin(plane, chance, "w:20", author)
        found = [await begin(plane, chance, words, other, parentRunId=parent, harnessProfileId=profile)]
    ask_id = await asked(plane, found[0] if found else "")
    for who in (author, other, "root"):
        await decide(plane, chance, ask_id, who)
    await plane.ask(chance, "DELETE", f"/schedules/{name}", None, author)


# Second times


@move(1)
async def bulk_again(plane: "Plane", chance: Any) -> None:
    """Repeat a bulk request after other runs of its filter have ended or begun."""
    session, act = plane.name("many"), chance.choice(("retry", "retry", "cancel"))
    await begin(plane, chance, chance.choice(("x", "hello")), sessionId=session)
    await begin(plane, chance, "w:4", sessionId=session)
    await asyncio.sleep(chance.choice((1.0, 2.0)))
    body = {"filter": {"sessionId": session}} | ({"reason": "all"} if act == "cancel" else {})
    key = plane.name("key")
    await plane.ask(chance, "POST", f"/runs/{act}", body, "ada", key)
    await begin(plane, chance, "hello", sessionId=session)
    await asyncio.sleep(chance.choice((1.0, 8.0)))
    await plane.ask(chance, "POST", f"/runs/{act}", body, "ada", key)


@move(2)
async def again_after(plane: "Plane", chance: Any) -> None:
    """Send a keyed request, let something happen to the servers, and send it again."""
    caller, key = chance.choice(("ada", "olga")), plane.name("again")
    method, path, body = chance.choice(
        (
            ("POST", "/runs", {"input": script(plane, chance), "sessionId": plane.name("once")}),
            ("POST", "/work/enqueue", {"sessionId": "queued", "payload": plane.name("kept"), "mode": "followup"}),
            ("POST", "/a2a/messages", {"fromPersona": "ann", "toPersona": "bob", "payload": plane.name("said")}),
            ("POST", "/runs/retry", {"filter": {"sessionId": chance.choice(SESSIONS)}}),
            ("POST", "/runs/cancel", {"filter": {"sessionId": chance.choice(SESSIONS)}, "reason": "again"}),
            ("POST", f"/runs/{some_run(plane, chance)}/retry", {}),
            ("POST", "/schedules/s1/run", {}),
            ("POST", "/work/queued/drain", {}),
        )
    )
    await plane.ask(chance, method, path, body, caller, key)
    what = chance.choice(("restart", "crash", "wait", "next day", "two days", "nothing"))
    if what == "restart":
        await faults.restart(plane, chance)
    elif what == "crash":
        await faults.crash(plane, chance)
    elif what in ("next day", "two days"):
        plane.jump(20 * 3600 if what == "next day" else 50 * 3600)
    await asyncio.sleep(chance.choice((0.0, 5.0, 100.0)))
    await plane.ask(chance, method, path, body, caller, key)


@move(1)
async def two_at_once(plane: "Plane", chance: Any) -> None:
    """Send two requests at once, with one key or with two, to any servers."""
    session = plane.name("pair")
    method, path, body = chance.choice(
        (
            ("POST", "/runs", {"input": script(plane, chance), "sessionId": session}),
            ("POST", "/runs", {"input": "w:5", "sessionId": session, "sessionStrategy": "reject"}),
            ("POST", "/runs", {"input": "w:5", "sessionId": session, "sessionStrategy": "interrupt"}),
            ("POST", "/work/enqueue", {"sessionId": "queued", "payload": plane.name("kept"), "mode": "followup"}),
            ("POST", "/work/queued/drain", {}),
            ("POST", "/schedules/s1/run", {}),
            ("POST", f"/runs/{some_run(plane, chance)}/retry", {}),
            ("POST", "/runs/retry", {"filter": {"sessionId": chance.choice(SESSIONS)}}),
        )
    )
    keys = chance.choice((("same",) * 2, ("one", "two")))
    names = {name: plane.name(name) for name in keys}
    await asyncio.gather(*(plane.ask(chance, method, path, body, "ada", names[name]) for name in keys))


@move(0.7)
async def next_day(plane: "Plane", chance: Any) -> None:
    """Set all clocks ahead, past budgets of the day, deadlines, slots and keys."""
    plane.jump(chance.choice((3_600, 24 * 3600, 26 * 3600, 50 * 3600)))
    await asyncio.sleep(CALM_SECONDS)


# Servers


@move(1.5)
async def end_a_server_within(plane: "Plane", chance: Any) -> None:
    """End, stop or freeze a server while it executes, in a halt or not."""
    words = f"w:{chance.choice((2, 20))}+e:{plane.name('within')} w:3 e:{plane.name('after')}"
    run_ids = [await begin(plane, chance, words) for _ in range(chance.choice((1, 3)))]
    await asyncio.sleep(chance.uniform(0.0, 3.0))
    if chance.random() < 0.6:
        await plane.ask(chance, "POST", "/halt", {"reason": "within"}, "ada")
    await chance.choice((faults.crash, faults.restart, faults.freeze))(plane, chance)
    await asyncio.sleep(chance.choice((5.0, CALM_SECONDS)))
    await plane.ask(chance, "DELETE", "/halt", None, "ada")
    await until(lambda: all(ended(plane, run_id) for run_id in run_ids), 60)


@move(1.5)
async def admitted_in_a_halt(plane: "Plane", chance: Any) -> None:
    """Halt while runs wait in line, free their places, and lift the halt."""
    session = plane.name("line")
    if limited := chance.random() < 0.5:
        body = {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 1}, "auditComment": "one"}
        await plane.ask(chance, "PUT", "/policy", body, "ada")
    first = await begin(plane, chance, "w:5", sessionId=session)
    others = [await begin(plane, chance, f"e:{plane.name('line')}", sessionId=session) for _ in range(2)]
    if chance.random() < 0.7:  # just when the next one was admitted, perhaps as its server ends
        second = plane.oracle.runs.get(others[0])
        await asyncio.sleep(4.5)
        await until(lambda: second is None or second.status != "queued", 1.5, 0.0002)
        for server in chance.sample(plane.up(), len(plane.up()))[1:] if chance.random() < 0.7 else ():
            plane.troubled(faults.LEASE_SECONDS)
            server.crash()
        await plane.ask(chance, "POST", "/halt", {"reason": "line"}, "ada")
    else:
        await plane.ask(chance, "POST", "/halt", {"reason": "line"}, "ada")
        await plane.ask(chance, "POST", f"/run-control/by-run/{first}/cancel", {"reason": "room"}, "ada")
    for name in [one.name for one in plane.servers.values() if one.dead]:
        await plane.bring_up(name)
    if chance.random() < 0.3:
        await faults.restart(plane, chance)
    if limited and chance.random() < 0.5:
        body = {"policy": {"schemaVersion": 1}, "auditComment": "many"}
        await plane.ask(chance, "PUT", "/policy", body, "ada")
    await asyncio.sleep(chance.choice((1.0, 12.0, CALM_SECONDS)))
    await plane.ask(chance, "DELETE", "/halt", None, "ada")
    await until(lambda: all(ended(plane, run_id) for run_id in others), 30)
    await plane.ask(chance, "PUT", "/policy", {"policy": {"schemaVersion": 1}, "auditComment": "many"}, "ada")


@move(1)
async def new_leader(plane: "Plane", chance: Any) -> None:
    """End the server that leads, or freeze it, while its reactors have work."""
    leaders = [one for one in plane.up() if one.plane.reactors.leads]
    if leaders:
        await begin(plane, chance, "w:3 hello")
        await chance.choice((faults.end_one, faults.stop_one, faults.freeze_one))(plane, chance, leaders[0])
    await asyncio.sleep(CALM_SECONDS)


@move(1)
async def fail_within(plane: "Plane", chance: Any) -> None:
    """Let one commit fail while a run executes, a message is delivered, or a workflow goes on."""
    body = {"fromPersona": "bob", "toPersona": "ann", "payload": f"e:{plane.name('sent')}"}
    await plane.ask(chance, "POST", "/a2a/messages", body, "ada", headers=ASYNC)
    await begin(plane, chance, f"w:1+e:{plane.name('fails')} w:1")
    await asyncio.sleep(chance.choice((0.0, 0.05, 0.3, 1.2, 2.5)))
    faults.fail_commits(plane, chance.choice((1, 1, 2, 5)))


@move(1.5)
async def work(plane: "Plane", chance: Any) -> None:
    """Enqueue work twice, drain it, and cancel its run, halt, end a server or drain again meanwhile."""
    session, payload = plane.name("work"), chance.choice(("w:10", "x", f"e:{plane.name('work')}"))
    body = {"sessionId": session, "payload": payload, "mode": chance.choice(("followup", "collect"))}
    for item in (body, body, body | {"payload": "hello"}):
        await plane.ask(chance, "POST", "/work/enqueue", item, chance.choice(("ada", "olga")))
    drain = f"/work/{session}/drain"
    await plane.ask(chance, "POST", drain, {}, "ada", headers=ASYNC)
    what = chance.choice(("cancel", "cancel", "halt", "crash", "fail", "drain"))
    if what == "cancel":
        for run_id in [one for one, run in plane.oracle.runs.items() if run.session == session]:
            await plane.ask(chance, "POST", f"/run-control/by-run/{run_id}/cancel", {"reason": "no"}, "ada")
    elif what == "halt":
        await plane.ask(chance, "POST", "/halt", {"reason": "work"}, "ada")
        await asyncio.sleep(12.0)
        await plane.ask(chance, "DELETE", "/halt", None, "ada")
    elif what == "crash":
        await faults.crash(plane, chance)
    elif what == "fail":
        faults.fail_commits(plane, 1)
    await asyncio.sleep(chance.choice((0.5, 15.0)))
    for _ in range(chance.choice((1, 3))):
        await plane.ask(chance, "POST", drain, {}, "olga", headers=ASYNC)
        await asyncio.sleep(2.0)


# Families, schedules and workflows


@move(1.5)
async def cancel_a_parent(plane: "Plane", chance: Any) -> None:
    """Cancel a run, interrupt it or halt with ``cancelRunning``, while its children and theirs are open."""
    session = plane.name("family")
    parent = await begin(plane, chance, "w:30", sessionId=session)
    asking = profile_id(plane, chance.choice(("free", "parks", "holds")))
    child = await begin(plane, chance, f"e:{plane.name('child')} w:30", parentRunId=parent, harnessProfileId=asking)
    await begin(plane, chance, "w:5 w:30", parentRunId=child or parent)
    await asyncio.sleep(chance.choice((0.0, 2.0)))
    how = chance.choice(("cancel", "cancel", "interrupt", "halt", "bulk"))
    if how == "cancel":
        await plane.ask(chance, "POST", f"/run-control/by-run/{parent}/cancel", {"reason": "all"}, "ada")
    elif how == "interrupt":
        await begin(plane, chance, "hello", sessionId=session, sessionStrategy="interrupt")
    elif how == "bulk":
        body = {"filter": {"sessionId": session}, "reason": "all"}
        await plane.ask(chance, "POST", "/runs/cancel", body, "ada", plane.name("key"))
    else:
        await plane.ask(chance, "POST", "/halt", {"reason": "all", "cancelRunning": True}, "ada")
        await plane.ask(chance, "DELETE", "/halt", None, "ada")
    await asyncio.sleep(CALM_SECONDS)


@move(1.5)
async def slots_over_a_halt(plane: "Plane", chance: Any) -> None:
    """Let slots be due while a run of their schedule goes on, through a halt, a new leader or a new day."""
    name, overlap = plane.name("slots"), chance.choice(OVERLAPS)
    body = {
        "sessionId": plane.name("timed"),
        "input": chance.choice(("w:150", "w:30", "hello", "x")),
        "harnessProfileId": profile_id(plane, "free"),
        "everyMinutes": 1,
        "overlapPolicy": overlap,
        "catchUp": chance.choice(("none", "latest", "all")),
        "catchUpWindowSeconds": 600,
    }
    await plane.ask(chance, "PUT", f"/schedules/{name}", body, chance.choice(("ada", "olga")))
    await asyncio.sleep(chance.choice((65.0, 130.0)))
    what = chance.choice(("halt", "halt", "leader", "jump", "run", "nothing"))
    if what == "halt":
        await plane.ask(chance, "POST", "/halt", {"reason": "slots"}, "ada")
        await asyncio.sleep(chance.choice((30.0, 130.0)))
        await plane.ask(chance, "DELETE", "/halt", None, "ada")
    elif what == "leader":
        await new_leader(plane, chance)
    elif what == "jump":
        plane.jump(chance.choice((300, 24 * 3600)))
    elif what == "run":
        await plane.ask(chance, "POST", f"/schedules/{name}/run", {}, "ada", headers=ASYNC)
    await asyncio.sleep(chance.choice((65.0, 190.0)))
    await plane.ask(chance, "DELETE", f"/schedules/{name}", None, "ada")


@move(1.5)
async def approve_over_a_restart(plane: "Plane", chance: Any) -> None:
    """Approve a step after a restart, in a halt, too late or twice at once, or cancel and resume the run."""
    first = await plane.ask(chance, "POST", "/directives", {"input": f"e:{plane.name('step')}"}, "ada")
    if first is None or first.status >= 300:
        return
    one = {"directiveId": first.data["id"]}
    steps = [
        one | {"id": "before", "harnessProfileId": profile_id(plane, "free")},
        {"id": "gate", "approval": {"message": "go?", "expiresAfterMs": chance.choice((60_000, 300_000))}},
        one | {"id": "after", "harnessProfileId": profile_id(plane, chance.choice(("free", "parks")))},
    ]
    edges = [{"from": "before", "to": "gate"}, {"from": "gate", "to": "after"}]
    made = await plane.ask(chance, "POST", "/workflows", {"definition": {"steps": steps, "dependencies": edges}}, "ada")
    if made is None or made.status >= 300:
        return
    started = await plane.ask(chance, "POST", f"/workflows/{made.data['id']}/run", {}, "ada", headers=ASYNC)
    if started is None or started.status >= 300:
        return
    known = set(plane.oracle.workflows)
    flow = next((one for one in known if plane.oracle.workflows[one].of == made.data["id"]), "")
    found = await until(lambda: [one for one in plane.oracle.approvals() if one[0] == flow], 30)
    if not found:
        return
    _, step, shown = found[0]
    for what in chance.sample(("restart", "halt", "cancel", "leader", "late"), chance.choice((0, 1, 2))):
        if what in ("restart", "leader"):
            await (faults.restart if what == "restart" else new_leader)(plane, chance)
        else:
            await steer(plane, chance, flow, what)
    approve = f"/workflows/run/{flow}/steps/{step}/approve"
    reject = f"/workflows/run/{flow}/steps/{step}/reject"
    paths = chance.choice(((approve,), (approve, approve), (approve, reject)))
    await asyncio.gather(*(plane.ask(chance, "POST", path, {"subjectHash": shown}, "root") for path in paths))
    await asyncio.sleep(5.0)
    await plane.ask(chance, "DELETE", "/halt", None, "ada")
    await asyncio.sleep(CALM_SECONDS)
    if chance.random() < 0.5:
        await plane.ask(chance, "POST", f"/workflows/run/{flow}/resume", {}, "ada", headers=ASYNC)


async def steer(plane: "Plane", chance: Any, flow: str, what: str) -> None:
    """Halt, cancel a workflow run, or let its approval expire."""
    if what == "halt":
        await plane.ask(chance, "POST", "/halt", {"reason": "gate"}, "ada")
    elif what == "cancel":
        await plane.ask(chance, "POST", f"/workflows/run/{flow}/cancel", {}, "ada")
    else:
        await asyncio.sleep(chance.choice((62.0, 200.0)))


# Reads


@move(4)
async def read_as_two(plane: "Plane", chance: Any) -> None:
    """Let two callers read the same, also with the entity tag of the other, and compare with an answer for one."""
    run_id = some_run(plane, chance)
    path, query = chance.choice(
        (
            ("/asks", {"answerable": "true"}),
            ("/asks", {"answerable": "true"}),
            ("/asks", {}),
            ("/runs", {"limit": "5"}),
            (f"/runs/{run_id}", {}),
            (f"/runs/{run_id}/explain", {}),
            ("/schedules", {}),
            ("/work/queues", {}),
            ("/workflows", {}),
            ("/permission-rules", {}),
            ("/caller", {}),
            ("/memory", {}),
        )
    )
    if not (up := plane.up()):
        return
    server = chance.choice(up)
    first, second = chance.sample(chance.choice((sorted(set(CALLERS)), ["olga", "otto"], ["ada", "root"])), 2)
    if chance.random() < 0.5 and path in ("/asks", "/runs", f"/runs/{run_id}"):
        query = query | {"asOf": str(plane.oracle.position)}
    one = await plane.ask(chance, "GET", path, None, first, server=server, **query)
    known = {"if-none-match": one.headers["etag"]} if one is not None and "etag" in one.headers else {}
    other = await plane.ask(chance, "GET", path, None, second, server=server, headers=known, **query)
    fresh = await plane.ask(chance, "GET", path, None, second, server=server, nth=plane.name("n"), **query)
    if one is None or other is None or fresh is None:
        return
    if other.headers.get("athena-position") != fresh.headers.get("athena-position"):
        return
    plane.marks["read as two"] += 1
    seen = one.data if other.status == 304 else other.data
    if other.status in (200, 304) and fresh.status == 200 and seen != fresh.data:
        plane.fail("other caller", f"{second} got {other.status} of {path} {query} as {first} had it")


NAMES = tuple(name for name, one in MOVES.items() if one.act.__module__ == __name__)
"""The moves of this module."""

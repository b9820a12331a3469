"""Messages and dead letters over HTTP: delivered, tried again, given up, put back or discarded, also in bulk."""

import json
from collections.abc import Iterator

import pytest

from tests.api.examples import PROFILE
from tests.support.api import Api, Json, Refused, refused_by, soon
from tests.support.gate import Gates
from tests.support.server import Server

HOPS_MAX = 2


@pytest.fixture(scope="module")
def agents(
    tmp_path_factory: pytest.TempPathFactory, shared_gates: Gates, shared_store: dict[str, str]
) -> Iterator[Server]:
    """A server on a workspace with personas, whose default model does what its input names."""
    settings = {"a2a_retry_ms": "1", "a2a_max_hops": str(HOPS_MAX)} | shared_gates.settings | shared_store
    server = Server(tmp_path_factory.mktemp("agents"), **settings)
    for name in ("ada", "bob", "carl", "dora", "eve"):
        define(server, name)
    with server:
        yield server


def define(server: Server, name: str, **fields: str) -> None:
    folder = server.workspace / "personas"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name, **fields}))


def send(api: Api, payload: object, *, to: str = "bob", **fields: str) -> Json:
    return dict(api.post("/a2a/messages", {"fromPersona": "ada", "toPersona": to, "payload": payload, **fields}))


def ended(api: Api, message_id: str) -> Json:
    """Return the message once it was delivered or given up."""
    for _ in soon():
        message = dict(api.get(f"/a2a/messages/{message_id}"))
        if message["status"] in {"completed", "failed"}:
            return message
    raise AssertionError


def failed(api: Api, **fields: str) -> Json:
    """Return the dead letter of a message that could not be delivered."""
    message = ended(api, send(api, "fail", **fields)["messageId"])
    return dict(api.get(f"/a2a/dlq/{message['deadLetterId']}"))


def test_a_message_is_delivered_into_the_session_of_its_persona(agents: Server) -> None:
    api = agents.api
    sent = send(api, "look at this", taskId="task-7")
    assert (sent["sessionId"], sent["hops"]) == ("persona-bob", 1)
    assert sent["status"] != "failed", "it may have been started before it was shown"
    message = ended(api, sent["messageId"])
    assert (message["status"], message["attempts"], message["taskId"]) == ("completed", 1, "task-7")
    run = api.get(f"/runs/{message['runId']}")
    assert (run["sessionId"], run["output"]) == ("persona-bob", "said: look at this")
    events = api.events(types="a2a.message.sent,a2a.message.started,a2a.message.completed", sessionId="persona-bob")
    assert [event["payload"]["status"] for event in events][-3:] == ["sent", "started", "completed"]
    assert {(event["payload"]["fromAgent"], event["payload"]["toAgent"]) for event in events} == {("ada", "bob")}
    assert [event["taskId"] for event in events][-3:] == ["task-7"] * 3
    assert [event.get("runId") for event in events][-2:] == [message["runId"]] * 2


def test_a_message_may_be_an_object(agents: Server) -> None:
    message = ended(agents.api, send(agents.api, {"do": ["it"]})["messageId"])
    assert message["payload"] == '{"do":["it"]}'


def test_the_run_of_a_message_has_the_profile_of_its_persona(agents: Server) -> None:
    api = agents.api
    profile_id = api.post("/harness-profiles", PROFILE | {"verificationPolicies": None})["id"]
    define(agents, "mocked", harnessProfileId=profile_id)
    message = ended(api, send(api, "hello", to="mocked")["messageId"])
    run = api.get(f"/runs/{message['runId']}")
    assert (run["harnessProfileId"], run["output"]) == (profile_id, "Echo: user: hello")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"fromPersona": "ada", "toPersona": "nobody", "payload": "x"}, "toPersona"),
        ({"fromPersona": "nobody", "toPersona": "bob", "payload": "x"}, "fromPersona"),
        ({"fromPersona": "ada", "toPersona": "..", "payload": "x"}, "toPersona"),
        ({"fromPersona": "ada", "toPersona": "bob", "payload": 7}, "payload"),
        ({"fromPersona": "ada", "toPersona": "bob", "payload": " "}, "payload"),
        ({"fromPersona": "ada", "toPersona": "bob", "payload": {}}, "payload"),
        ({"fromPersona": "ada", "toPersona": "bob", "payload": "x", "parentRunId": "run_unknown"}, "parentRunId"),
    ],
)
def test_an_invalid_message_is_refused(agents: Server, body: Json, field: str) -> None:
    before = agents.api.head()
    with pytest.raises(Refused) as refused:
        agents.api.post("/a2a/messages", body)
    assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
    assert field in str(refused.value)
    assert agents.api.head() == before


def test_a_message_that_cannot_be_delivered_is_tried_again_and_then_given_up(agents: Server) -> None:
    api = agents.api
    letter = failed(api, to="carl", stepId="step-1")
    assert (letter["sourcePersona"], letter["targetPersona"], letter["source"]) == ("ada", "carl", "a2a")
    assert (letter["reason"], letter["status"], letter["retryCount"]) == ("attempts-exhausted", "pending", 2)
    assert (letter["payload"], letter["error"]) == ({"text": "fail"}, letter["lastError"]["message"])
    assert len({attempt["runId"] for attempt in letter["attempts"]}) == 3
    kinds = "a2a.message.sent,a2a.message.started,a2a.message.failed"
    events = api.events(types=kinds, sessionId="persona-carl")
    assert [event["payload"]["status"] for event in events] == ["sent", "started", "started", "started", "failed"]
    assert [event["payload"].get("attempt") for event in events] == [None, 1, 2, 3, None]


def test_messages_that_lead_to_one_another_have_a_limit(agents: Server) -> None:
    api, run_id = agents.api, None
    for hops in range(1, HOPS_MAX + 1):
        sent = send(api, "look", **({} if run_id is None else {"parentRunId": run_id}))
        assert sent["hops"] == hops
        run_id = ended(api, sent["messageId"])["runId"]
    child = api.run("a child of nobody")["runId"]
    assert send(api, "look", parentRunId=child)["hops"] == 1
    message = send(api, "too far", parentRunId=run_id or "")
    assert (message["hops"], message["status"], message["attempts"]) == (HOPS_MAX + 1, "failed", 0)
    letter = api.get(f"/a2a/dlq/{message['deadLetterId']}")
    assert (letter["reason"], letter["attempts"], letter["payload"]) == ("hop-limit", [], {"text": "too far"})
    requeued = api.post(f"/a2a/dlq/{letter['id']}/requeue")["item"]
    assert ended(api, requeued["requeuedMessageId"])["hops"] == 1, "somebody looked at it, so it begins anew"


# Decisions about dead letters


def decide(api: Api, letter: Json, verb: str, note: str | None = None) -> Json:
    return dict(api.post(f"/a2a/dlq/{letter['id']}/{verb}", {"auditNote": note} if note else {}))


def test_a_requeue_puts_the_work_back_once(agents: Server) -> None:
    api = agents.api
    letter = failed(api)
    done = decide(api, letter, "requeue")
    assert (done["id"], done["status"], done["updated"]) == (letter["id"], "requeued", True)
    assert done["item"]["retryCount"] == letter["retryCount"] + 1
    again = decide(api, letter, "requeue")
    assert (again["status"], again["updated"]) == ("requeued", False)
    assert again["item"]["requeuedMessageId"] == done["item"]["requeuedMessageId"]
    for verb in ("discard", "restore"):
        assert refused_by(decide, api, letter, verb) == (409, "CONFLICT")
    message = ended(api, done["item"]["requeuedMessageId"])
    new = api.get(f"/a2a/dlq/{message['deadLetterId']}")
    assert (message["requeuedFrom"], new["requeuedFrom"], new["retryCount"]) == (letter["id"], letter["id"], 5)


def test_a_discard_leaves_a_note_and_can_be_taken_back(agents: Server) -> None:
    api = agents.api
    letter = failed(api)
    done = decide(api, letter, "discard", "no use")
    assert (done["status"], done["updated"], done["item"]["auditNote"]) == ("discarded", True, "no use")
    assert decide(api, letter, "discard")["updated"] is False
    assert refused_by(decide, api, letter, "requeue") == (409, "CONFLICT")
    assert letter["id"] in {item["id"] for item in api.items("/a2a/dlq", status="discarded")}
    restored = decide(api, letter, "restore", "it was of use")
    assert (restored["status"], restored["updated"], restored["item"]["decidedBy"]) == ("pending", True, "local")
    assert decide(api, letter, "restore")["updated"] is False
    assert decide(api, letter, "requeue")["updated"] is True
    kinds = [entry["details"]["decision"] for entry in api.items("/governance/audit-trail", kind="dead-letter")]
    assert kinds[:3] == ["requeued", "restored", "discarded"]


@pytest.mark.parametrize("verb", ["requeue", "discard", "restore"])
def test_nothing_is_decided_about_an_unknown_letter(agents: Server, verb: str) -> None:
    for unknown in ("dlq_unknown", "unknown"):
        assert refused_by(decide, agents.api, {"id": unknown}, verb) == (404, "NOT_FOUND")


# In bulk


def job(api: Api, job_id: str, status: str) -> Json:
    """Return a redrive once it has a status."""
    for _ in soon():
        found = dict(api.get(f"/a2a/dlq/redrive/{job_id}"))
        if found["status"] == status:
            return found
    raise AssertionError


def test_a_redrive_requeues_matching_letters_and_reports_each(agents: Server) -> None:
    api = agents.api
    define(agents, "many")
    letters = [failed(api, to="many") for _ in range(3)]
    decide(api, letters[0], "discard")
    define(agents, "many", harnessProfileId="hp_unknown")  # so that they come back as other letters at once
    wanted = {"targetPersona": "many"}
    before = api.head()
    dry = api.post("/a2a/dlq/redrive", {"filter": wanted, "dryRun": True})
    assert (dry["id"], dry["status"], dry["total"], api.head()) == (None, "dry-run", 2, before)
    with pytest.raises(Refused) as refused:
        api.post("/a2a/dlq/redrive", {"filter": {}, "subjectHash": "0" * 64})
    assert (refused.value.status, refused.value.error["code"]) == (409, "SUBJECT_CHANGED")
    shown = {"subjectHash": dry["subjectHash"]}
    started = api.post("/a2a/dlq/redrive", {"filter": wanted, "ratePerSecond": 500, **shown})
    assert (started["total"], started["ratePerSecond"], started["filter"]) == (2, 500, wanted)
    done = job(api, started["id"], "completed")
    assert (done["done"], done["requeued"], done["failed"], done["requestedBy"]) == (2, 2, 0, "local")
    assert [(one["deadLetterId"], one["result"]) for one in done["results"]] == [
        (letter["id"], "requeued") for letter in letters[1:]
    ]
    page = api.get(f"/a2a/dlq/redrive/{started['id']}", limit=1)
    assert (len(page["results"]), "nextCursor" in page) == (1, True)
    assert [item["status"] for item in api.items("/a2a/dlq", targetPersona="many")][:3] == [
        "discarded",
        "requeued",
        "requeued",
    ]

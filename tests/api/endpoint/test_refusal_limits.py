"""A flood of refusals over HTTP: stopped early, recorded once a second, nothing of it lost."""

from tests.conftest import Serve
from tests.support.api import Api, events_of, soon


def deny_until_limited(api: Api) -> tuple[int, int]:
    """Send requests that are denied until the flood limit stops them. Return how often each error came."""
    answers: list[str] = []
    for _ in soon():
        answer = api.send("/directives", {"input": "no"})
        answers.append(answer.json()["error"]["code"])
        if answer.status_code == 429:
            assert (answer.json()["error"]["retryable"], answer.headers["retry-after"]) == (True, "1")
        if answers.count("RATE_LIMITED") == 5:
            break
    assert set(answers) == {"AUTHZ_DENIED", "RATE_LIMITED"}
    return answers.count("AUTHZ_DENIED"), answers.count("RATE_LIMITED")


def test_refusals_are_recorded_one_by_one_or_counted(serve: Serve) -> None:
    server = serve(auth_enabled="true", auth_identity_role_map="ada:Admin", refusals_per_second="2")
    ada, vera = server.client("ada"), server.client("vera")
    denied, limited = deny_until_limited(vera)
    assert vera.get("/directives")["items"] == [], "what is allowed is answered"
    assert ada.post("/directives", {"input": "yes"})["id"], "and so is everybody else"
    counted = 0
    with ada.stream(types="requests.suppressed") as blocks:
        for event in events_of(blocks):
            assert event["payload"].pop("since") <= event["createdAt"]
            assert event["payload"] | {"count": 0} == {"count": 0, "subject": "vera", "operation": "directives.create"}
            counted += event["payload"]["count"]
            if counted >= limited:
                break
    assert counted == limited
    assert len(ada.events(types="authz.denied")) == denied
    kinds = [(item["kind"], item["target"]) for item in ada.items("/governance/audit-trail", actor="vera")]
    assert kinds.count(("denial", "directives.create")) == denied
    assert ("suppression", "directives.create") in kinds


def test_what_was_stopped_in_the_last_second_is_recorded_before_the_server_leaves(serve: Serve) -> None:
    server = serve(auth_enabled="true", auth_identity_role_map="ada:Admin", refusals_per_second="1")
    _, limited = deny_until_limited(server.client("vera"))
    server.stop()
    ada = server.start().client("ada")
    assert sum(event["payload"]["count"] for event in ada.events(types="requests.suppressed")) == limited

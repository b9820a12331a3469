"""Tokens over HTTP: their lives, their cookies, and the places where their text must not be."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_api.edge.fields import cleared_cookie, session_cookie
from athena_core import decider
from athena_core.clock import FixedDate, iso
from athena_core.domain.plane import STREAM, AuthnFailed
from athena_core.event import Meta
from tests.support.api import Json
from tests.support.inside import Inside

ROLES = "ada:Admin,otto:Operator,vera:Viewer"
BODY = {"identity": "otto", "role": "Operator", "note": "the canary of the note"}
SECRET = re.compile(r"ath_[0-9A-Z]{26}_[A-Za-z0-9_-]{43}")
ORIGIN = "http://plane"
DAY_MS = 86_400_000


class Door(Inside):
    """A plane that demands an identity, on a clock of its own."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.clock = FixedDate()
        settings = {"auth_enabled": "true", "auth_identity_role_map": ROLES, "scheduler": "off"} | settings
        super().__init__(directory, self.clock, **settings)

    def create(self, **changes: Any) -> Json:
        return dict(self.data("POST", "/tokens", BODY | changes, x_athena_identity="ada"))

    def log_in(self, token: str, **headers: str) -> httpx2.Response:
        answer = self.ask("POST", "/login", authorization=f"Bearer {token}", **headers)
        assert answer.status_code == 200, answer.text
        return answer

    def caller(self, **headers: str) -> tuple[int, Json]:
        answer = self.ask("GET", "/caller", **headers)
        content = answer.json()
        return answer.status_code, content.get("data") or content["error"]

    def record(self, token_id: str) -> Json:
        return dict(self.data("GET", f"/tokens/{token_id}", x_athena_identity="ada"))

    def listed(self, query: str = "") -> list[str]:
        page = self.data("GET", f"/tokens?{query}", x_athena_identity="ada")
        return [one["tokenId"] for one in page["items"]]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    inside = Door(tmp_path_factory.mktemp("door"), requests_per_second="1000")
    inside.start()
    yield inside
    inside.stop()


def cookie_in(answer: httpx2.Response) -> str:
    """Return the pair of name and value that the answer sets."""
    return str(answer.headers["set-cookie"]).partition(";")[0]


# A life


def test_a_token_works_until_it_is_revoked(door: Door) -> None:
    made = door.create(scope={"sessions": ["b", "a"]})
    assert SECRET.fullmatch(made["token"])
    assert (made["kind"], made["status"], made["createdBy"]) == ("token", "active", "ada")
    bearer = f"Bearer {made['token']}"
    status, caller = door.caller(authorization=bearer)
    assert (status, caller["identity"], caller["role"]) == (200, "otto", "Operator")
    assert caller["scope"] == {"sessions": ["a", "b"]}
    assert caller["token"] == {"tokenId": made["tokenId"], "session": False, "expiresAt": made["expiresAt"]}
    assert door.record(made["tokenId"])["lastUsedAt"]
    then = f"?asOf={door.app.plane.reader.head()}"
    past = door.data("GET", f"/tokens/{made['tokenId']}{then}", x_athena_identity="ada")
    (listed,) = door.data("GET", f"/tokens{then}", x_athena_identity="ada")["items"]
    assert (past["tokenId"], past.get("lastUsedAt"), listed) == (made["tokenId"], None, past), "no event has a use"
    revoked = door.data("DELETE", f"/tokens/{made['tokenId']}", x_athena_identity="ada")
    assert (revoked["status"], revoked["revokedBy"], "token" in revoked) == ("revoked", "ada", False)
    assert door.caller(authorization=bearer)[1]["code"] == "AUTH_TOKEN_INVALID"
    head = door.app.plane.reader.head()
    assert door.data("DELETE", f"/tokens/{made['tokenId']}", x_athena_identity="ada") == revoked
    assert door.app.plane.reader.head() == head


def test_a_session_lives_in_a_cookie_until_its_caller_logs_out(door: Door) -> None:
    made = door.create()
    answer = door.log_in(made["token"])
    attributes = str(answer.headers["set-cookie"]).split("; ")
    assert attributes[0].startswith("athena_session=ath_")
    assert attributes[1:] == ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=43200"]
    session = answer.json()["data"]
    assert (session["kind"], session["parentId"], session["createdBy"]) == ("session", made["tokenId"], "otto")
    assert not SECRET.search(answer.text), "scripts cannot read a cookie, and must not read it here"
    cookie = cookie_in(answer)
    status, caller = door.caller(cookie=cookie)
    assert (status, caller["token"]["session"], caller["token"]["tokenId"]) == (200, True, session["tokenId"])
    left = door.ask("POST", "/logout", cookie=cookie, origin=ORIGIN)
    assert left.json()["data"] == {"tokenId": session["tokenId"]}
    assert left.headers.get_list("set-cookie") == [
        "__Host-athena_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure",
        "athena_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
    ]
    assert door.caller(cookie=cookie)[0] == 401
    assert door.record(session["tokenId"])["revokedBy"] == "otto"
    assert door.caller(authorization=f"Bearer {made['token']}")[0] == 200


def test_a_session_ends_with_its_token(door: Door) -> None:
    made = door.create(expiresAfterMs=60_000)
    answer = door.log_in(made["token"])
    assert "Max-Age=60;" in answer.headers["set-cookie"] + ";"
    other = door.create()
    cookie = cookie_in(door.log_in(other["token"]))
    door.data("DELETE", f"/tokens/{other['tokenId']}", x_athena_identity="ada")
    assert door.caller(cookie=cookie)[0] == 401
    door.clock.advance(60_000)
    assert door.caller(cookie=cookie_in(answer))[0] == 401


@pytest.mark.parametrize("caller", ["header", "session"])
def test_only_a_token_opens_a_session(door: Door, caller: str) -> None:
    headers = {"x_athena_identity": "otto"}
    if caller == "session":
        text = cookie_in(door.log_in(door.create()["token"])).partition("=")[2]
        headers = {"authorization": f"Bearer {text}"}
    answer = door.ask("POST", "/login", **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CONFIG_ERROR")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("origin", "secure"), [("https://plane", True), ("http://plane", False)])
def test_the_cookie_of_a_page_with_https_is_bound_to_the_host(door: Door, origin: str, secure: bool) -> None:
    """A proxy may end TLS before the server."""
    cookie = str(door.log_in(door.create()["token"], origin=origin).headers["set-cookie"])
    assert (cookie.startswith("__Host-athena_session=ath_"), cookie.endswith("; Secure")) == (secure, secure)


def test_the_cookie_is_bound_to_the_host_with_tls() -> None:
    assert session_cookie("t", 60, tls=True) == (
        "__Host-athena_session=t; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
    )
    assert cleared_cookie(tls=True).startswith("__Host-athena_session=;")


# Repeated requests


def test_a_repeated_key_answers_the_record_without_the_token(door: Door) -> None:
    first, second = (
        door.ask("POST", "/tokens", BODY, x_athena_identity="ada", idempotency_key="once") for _ in range(2)
    )
    assert second.headers["idempotency-replayed"] == "true"
    assert {key: value for key, value in first.json()["data"].items() if key != "token"} == second.json()["data"]


def test_logins_count_as_requests_of_the_identity(tmp_path: Path) -> None:
    door = Door(tmp_path, requests_per_second="3")
    door.start()
    try:
        made = door.create()
        answers = [door.ask("POST", "/login", authorization=f"Bearer {made['token']}") for _ in range(8)]
        assert {answer.status_code for answer in answers} == {200, 429}
    finally:
        door.stop()


# Bad input


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"identity": "system:x"}, "identity"),
        ({"identity": "two words"}, "identity"),
        ({"identity": "x" * 129}, "identity"),
        ({"identity": "new\n"}, "identity"),
        ({"role": "None"}, "role"),
        ({"role": "Admin"}, "role"),
        ({"role": "operator"}, "role"),
        ({"identity": "nobody"}, "role"),
        ({"identity": "ada", "role": "Admin", "scope": {"runs": ["r"]}}, "scope"),
        ({"scope": {"sessions": []}}, "scope.sessions"),
        ({"scope": {"sessions": ["a b"]}}, "scope.sessions[0]"),
        ({"scope": {"runs": ["r"] * 257}}, "scope.runs"),
        ({"scope": {"queues": ["q"]}}, "scope.queues"),
        ({"expiresAfterMs": 59_999}, "expiresAfterMs"),
        ({"expiresAfterMs": 3_650 * DAY_MS + 1}, "expiresAfterMs"),
        ({"note": "x" * 1_001}, "note"),
        ({"identity": f"ath_{'0' * 26}_{'a' * 43}"}, "identity"),
        ({"token": "ath_mine"}, "token"),
    ],
)
def test_a_body_that_no_token_can_have_is_refused(door: Door, changes: Json, field: str) -> None:
    answer = door.ask("POST", "/tokens", BODY | changes, x_athena_identity="ada")
    assert answer.status_code == 400, answer.text
    (fault, *_) = answer.json()["error"]["details"]
    assert fault["field"] == field
    assert fault["remedy"]


# Access


@pytest.mark.parametrize("mode", ["observe", "soft-enforce", "enforce", "off"])
def test_only_admins_see_and_make_tokens_in_every_mode(tmp_path: Path, mode: str) -> None:
    door = Door(tmp_path, authz_mode=mode)
    door.start()
    try:
        token_id = door.create()["tokenId"]
        for name in ("otto", "vera"):
            for method, path in (
                ("POST", "/tokens"),
                ("GET", "/tokens"),
                ("GET", f"/tokens/{token_id}"),
                ("DELETE", f"/tokens/{token_id}"),
            ):
                answer = door.ask(method, path, BODY if method == "POST" else None, x_athena_identity=name)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AUTHZ_DENIED"), (name, method)
        assert door.record(token_id)["status"] == "active"
    finally:
        door.stop()


def test_tokens_are_listed_by_identity_kind_and_status(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.start()
    try:
        short = door.create(expiresAfterMs=60_000)
        revoked, other = door.create(), door.create(identity="vera", role="Viewer")
        door.data("DELETE", f"/tokens/{revoked['tokenId']}", x_athena_identity="ada")
        session = door.log_in(other["token"]).json()["data"]
        door.clock.advance(60_000)
        ids = {"short": short, "revoked": revoked, "other": other, "session": session}
        names = {record["tokenId"]: name for name, record in ids.items()}
        for query, expected in {
            "": ["session", "other", "revoked", "short"],
            "identity=otto": ["revoked", "short"],
            "status=active": ["session", "other"],
            "status=expired": ["short"],
            "status=revoked": ["revoked"],
            "kind=session": ["session"],
            "kind=token&identity=vera": ["other"],
        }.items():
            assert [names[one] for one in door.listed(query)] == expected, query
        page = door.data("GET", "/tokens?limit=3", x_athena_identity="ada")
        rest = door.data("GET", f"/tokens?cursor={page['nextCursor']}", x_athena_identity="ada")
        assert [names[one["tokenId"]] for one in page["items"] + rest["items"]] == list(reversed(ids))
        part = short["tokenId"][-8:]
        assert door.data("GET", f"/ids/{part}", x_athena_identity="ada")["items"] == [
            {"kind": "token", "id": short["tokenId"]}
        ]
    finally:
        door.stop()


# Text


def test_a_token_in_a_note_is_masked(door: Door) -> None:
    made = door.create(note=f"it replaces {door.create()['token']}")
    assert made["note"] == "it replaces ***"


def test_the_text_of_a_token_stands_nowhere(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.start()
    try:
        body = BODY | {"note": "n"}
        made = door.ask("POST", "/tokens", body, x_athena_identity="ada", idempotency_key="k").json()["data"]
        cookie = cookie_in(door.log_in(made["token"], idempotency_key="k"))
        secrets = [made["token"], cookie.partition("=")[2]]
        door.caller(authorization=f"Bearer {made['token']}")
        door.caller(cookie=cookie)
        door.caller(authorization=f"Bearer {made['token']}x")
        door.ask("GET", f"/runs/{made['token']}", authorization=f"Bearer {made['token']}")
        read = [
            door.ask("GET", path, x_athena_identity="ada").text
            for path in ("/events", "/governance/audit-trail", "/tokens", f"/tokens/{made['tokenId']}", "/admin/health")
        ]
        door.ask("POST", "/tokens", body, x_athena_identity="ada", idempotency_key="k")
        answers = [str(vars(door.app.plane.answer_cache)), door.log.decode()]
    finally:
        door.stop()
    files = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (text for full in secrets for text in (full, full[31:])):
        for place in (*read, *answers, *files):
            assert secret not in place


def test_an_erased_note_is_gone_and_its_token_still_works(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.start()
    try:
        made = door.create()
        plane = door.app.plane

        async def fail() -> None:
            for address in ("192.0.2.7", "192.0.2.8"):
                failed = AuthnFailed(count=3, code="AUTH_TOKEN_INVALID", since=iso(door.clock.now()), peer=address)
                await plane.log.submit(decider.record(STREAM, failed), Meta(actor="system:server", correlation="c"))

        door.call(fail)
        trail = door.ask("GET", "/governance/audit-trail?kind=authentication", x_athena_identity="ada").text
        assert "192.0.2.7" in trail
        door.erase()
        record = door.record(made["tokenId"])
        assert (record.get("note"), record["redacted"], record["status"]) == (None, True, "active")
        assert door.listed("status=active") == [made["tokenId"]]
        for path in ("/governance/audit-trail", "/tokens", "/events"):
            text = door.ask("GET", path, x_athena_identity="ada").text
            assert "canary" not in text
            assert "192.0.2" not in text
        entries = door.data("GET", "/governance/audit-trail?kind=authentication", x_athena_identity="ada")["items"]
        assert [(one["redacted"], one["details"]["count"]) for one in entries] == [(True, 3), (True, 3)]
        assert door.caller(authorization=f"Bearer {made['token']}")[0] == 200
        again = door.ask("POST", "/tokens", BODY, x_athena_identity="ada").json()["data"]
        assert again["note"] == BODY["note"]
    finally:
        door.stop()

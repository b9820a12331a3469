"""The table of operations: complete, listed, documented, and each role allowed exactly what it says."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import openapi_spec_validator
import pytest

from athena_api.operations import OPERATIONS, RECORDED_AS, ROLES
from athena_core.clock import SystemClock, SystemIds
from athena_core.errors import AuthzDeniedError
from athena_core.roles import Roster
from athena_core.services.access.access import Access
from athena_core.services.access.refusal_limits import RefusalLimits
from athena_core.values import Identity, Role
from tests.api.examples import EXAMPLES
from tests.api.listing import FOLDER, LISTINGS, REFRESH, openapi_document
from tests.support.records import META, opened_log
from tests.support.server import Server
from tests.support.vouched import VOUCHED

IDS = [row.id for row in OPERATIONS]
PEOPLE = {Role.NONE: "nemo", Role.VIEWER: "vera", Role.OPERATOR: "otto", Role.ADMIN: "ada"}
OPEN_WRITES = {"answerAsk", "answerAsks", "createRun", "getMemory", "logIn", "logOut", "retryRun", "runTemplate"}
"""Viewers may use these writes too; who started a run may answer its questions."""
ADMINS_ONLY = {"acceptClock", "getAuditTrail", "liftHalt", "putPolicy"} | {
    *("createToken", "getToken", "listTokens", "revokeToken"),
}


# The table itself


def test_every_operation_has_a_name_of_its_own() -> None:
    assert len(set(IDS)) == len(IDS)
    assert len({(row.method, row.path) for row in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("row", OPERATIONS, ids=IDS)
def test_every_operation_says_what_it_is_for_and_who_may_use_it(row: object) -> None:
    (found,) = [operation for operation in OPERATIONS if operation is row]
    assert found.summary.endswith(".")
    assert found.context
    assert found.roles
    assert found.id in ROLES


def test_every_operation_has_an_example_that_the_tests_below_send() -> None:
    assert set(EXAMPLES) == set(IDS)


def test_everybody_may_read_and_only_operators_and_admins_may_write() -> None:
    for row in OPERATIONS:
        if row.id in ADMINS_ONLY:
            assert row.roles == {Role.ADMIN}, row.id
            continue
        everybody = row.method == "GET" or row.id in OPEN_WRITES
        assert row.roles == (set(Role) - {Role.NONE} if everybody else {Role.OPERATOR, Role.ADMIN}), row.id


# What review sees


@pytest.mark.parametrize("name", LISTINGS)
def test_the_committed_listing_is_current(name: str) -> None:
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert committed == LISTINGS[name](), f"the API changed: run `{REFRESH}` and review the difference of {name}"


@pytest.mark.heavy
def test_the_document_is_valid_openapi() -> None:
    openapi_spec_validator.validate(openapi_document())


# Roles, over HTTP


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Server]:
    """A server with authentication."""
    roles = ",".join(f"{name}:{role}" for role, name in PEOPLE.items())
    settings = {**VOUCHED, "auth_identity_role_map": roles} | shared_store
    with Server(tmp_path_factory.mktemp("guarded"), **settings) as server:
        yield server


def test_a_denial_is_recorded_with_the_roles_that_were_needed(guarded: Server) -> None:
    """Which operation each role may use is judged by ``tests/api/endpoint/test_access.py``."""
    for role, operation in ((Role.NONE, "listRuns"), (Role.VIEWER, "createDirective"), (Role.OPERATOR, "putPolicy")):
        (row,) = [row for row in OPERATIONS if row.id == operation]
        request = {"json": EXAMPLES[operation].body} if row.method != "GET" else {}
        answer = guarded.client(PEOPLE[role]).http.request(row.method, EXAMPLES[operation].path, **request)  # type: ignore[arg-type]
        error, trace = answer.json()["error"], answer.headers["x-trace-id"]
        assert (answer.status_code, error["code"], error["retryable"]) == (403, "AUTHZ_DENIED", False)
        denied, violation = guarded.client("ada").events(traceId=trace)
        assert denied["type"] == "authz.denied"
        assert denied["payload"] == {
            "subject": PEOPLE[role],
            "role": role,
            "operation": RECORDED_AS[operation],
            "requiredRoles": sorted(row.roles),
            "denyReason": "ROLE_MISSING",
        }
        assert violation["type"] == "safety.violation"
        assert violation["payload"]["source"] == {
            "eventId": denied["id"],
            "traceId": trace,
            "type": "authz.denied",
            "createdAt": denied["createdAt"],
        }
        assert violation["payload"]["actor"] == {"subject": PEOPLE[role], "role": role}
        assert violation["payload"]["category"] == "authorization"


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/directives",
        "/api//v1/directives/",
        "/api/v1/./directives",
        "/API/V1/DIRECTIVES",
        "/api/v1/%64irectives",
        "/api/v1/directives;x",
        "/api/v1/runs/../directives",
    ],
)
def test_no_spelling_of_a_path_gets_around_the_roles(guarded: Server, path: str) -> None:
    with httpx2.Client(
        base_url=guarded.url,
        headers={"x-athena-identity": "vera"} | {"x-athena-proxy-secret": VOUCHED["auth_proxy_secret"]},
    ) as client:
        request = client.build_request("POST", "/", json=EXAMPLES["createDirective"].body)
        request.url = request.url.copy_with(raw_path=path.encode())
        assert client.send(request).status_code in {403, 404}


async def test_an_operation_that_the_map_does_not_name_is_denied_to_everybody(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        named = {name: roles for name, roles in ROLES.items() if name != "getCapabilities"}
        flood = RefusalLimits(log, SystemClock(), SystemIds(), 100)
        access = Access(log, named, Roster(enabled=True, roles={}, default=Role.VIEWER), flood)
        who = Identity(subject="ada", role=Role.ADMIN)
        with pytest.raises(AuthzDeniedError):
            await access.require(who, "getCapabilities", META)
        await access.require(who, "getAdminHealth", META)
        reader = log.reader()
        assert [row.type for row in reader.rows(0, 10)] == ["authz.denied", "safety.violation"]
        reader.close()

"""Names where ids are meant: one record is used, several are refused, none is an error with the nearest names."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from athena_api.endpoint.names import BULK, KINDS, NESTED
from tests.api.listing import openapi_document
from tests.support.api import Api, Json, Refused, opened, refused_by
from tests.support.server import Server

HARNESS = {
    "version": "v1",
    "config": {"provider": "mock", "model": "mock", "tools": ["none"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0},
}
ULID = "01KB2M8Q4T7V9X1Z3A5C6E8G0H"
ROLES = "ada:Admin,vera:Viewer,otto:Operator"


def create(api: Api, name: str) -> str:
    return str(api.post("/harness-profiles", {"displayName": name, **HARNESS})["id"])


def schedule(api: Api, name: str) -> Json:
    found: Json = api.post("/schedules", {"id": name, "input": "go", "sessionId": "s", "everyMinutes": 60})
    return found


def resolved(answer: httpx2.Response) -> str | None:
    opened(answer)
    found: str | None = answer.headers.get("athena-resolved")
    return found


@pytest.fixture(scope="module")
def profile(shared: Server) -> str:
    return create(shared.api, "Market  Analyst / ﬁrst")


@pytest.mark.parametrize(
    "name",
    [
        "Market  Analyst / ﬁrst",
        "market analyst / first",
        " MARKET ANALYST / FIRST ",
        "mar\u200bket analyst / first",
        "Ｍarket analyst / first",
    ],
)
def test_a_name_stands_for_the_id_in_path_filter_and_body(shared: Server, profile: str, name: str) -> None:
    api, said = shared.api, f"harnessProfileId={profile}"
    run = api.send("/runs", {"input": "hello", "harnessProfileId": name})
    assert resolved(run) == said
    listed = api.http.get("/runs", params={"harnessProfileId": name})
    assert resolved(listed) == said
    assert run.json()["data"]["runId"] in [one["runId"] for one in opened(listed)["items"]]
    retried = api.send(f"/runs/{run.json()['data']['runId']}/retry", {"harnessProfileId": name})
    assert resolved(retried) == said
    if name.isprintable():
        read = api.http.get(f"/harness-profiles/{quote(name, safe='')}")
        assert (resolved(read), opened(read)["id"]) == (said, profile)


def test_an_id_is_used_as_it_is(shared: Server, profile: str) -> None:
    listed = shared.api.http.get("/runs", params={"harnessProfileId": profile})
    assert resolved(listed) is None
    unknown = f"hp_{ULID}"
    assert shared.api.get("/runs", harnessProfileId=unknown) == {"items": []}


def test_a_name_that_looks_like_an_id_is_none(shared: Server) -> None:
    """An id always wins, so a record cannot take the place of another."""
    victim = create(shared.api, "victim")
    create(shared.api, victim)
    create(shared.api, f"hp_{ULID}")
    assert shared.api.get(f"/harness-profiles/{victim}")["displayName"] == "victim"
    assert refused_by(shared.api.get, f"/harness-profiles/hp_{ULID}") == (404, "NOT_FOUND")


def test_a_run_template_has_the_name_of_its_newest_version(shared: Server, profile: str) -> None:
    api, body = (
        shared.api,
        {"harnessProfileId": profile, "directiveTemplate": "Say {{what}}.", "defaultParams": {"what": "hi"}},
    )
    made = api.post("/run-templates", {**body, "displayName": "Greeting"})
    assert made["displayName"] == "Greeting"
    assert resolved(api.send("/templates/greeting/run", {})) == f"templateId={made['id']}"
    timed = {"id": "greets", "runTemplateId": "GREETING", "sessionId": "s", "everyMinutes": 60}
    assert api.post("/schedules", timed)["runTemplateId"] == made["id"]
    assert refused_by(api.put, "/run-templates/greeting", body) == (404, "NOT_FOUND")
    renamed = api.put(f"/run-templates/{made['id']}", {**body, "displayName": "Farewell"})
    assert (renamed["version"], renamed["displayName"]) == (2, "Farewell")
    assert api.get("/run-templates/farewell")["id"] == made["id"]
    assert refused_by(api.get, "/run-templates/greeting") == (404, "NOT_FOUND")
    api.put(f"/run-templates/{made['id']}", body)
    assert refused_by(api.get, "/run-templates/farewell") == (404, "NOT_FOUND")


def test_several_records_are_refused_with_their_ids(shared: Server) -> None:
    ids = sorted(create(shared.api, name) for name in ["Twin", "TWIN", "twin\u200d"] + ["twin"] * 9)
    asks: tuple[Callable[[], Any], ...] = (
        lambda: shared.api.get("/runs", harnessProfileId="twin"),
        lambda: shared.api.get("/harness-profiles/twin"),
        lambda: shared.api.run(harnessProfileId="twin"),
    )
    for ask in asks:
        with pytest.raises(Refused) as refusal:
            ask()
        assert (refusal.value.status, refusal.value.code) == (409, "AMBIGUOUS_NAME")
        assert refusal.value.error["details"] == {"field": "harnessProfileId", "ids": ids[:10]}


def test_letters_that_only_look_the_same_are_another_name(shared: Server) -> None:
    latin, cyrillic = create(shared.api, "pea"), create(shared.api, "реа")
    assert shared.api.get("/harness-profiles/pea")["id"] == latin
    assert shared.api.get(f"/harness-profiles/{quote('реа')}")["id"] == cyrillic


def test_an_unknown_name_is_an_error_with_the_nearest(shared: Server) -> None:
    api, known = shared.api, create(shared.api, "Bookkeeper")
    meant = f"Did you mean 'Bookkeeper' ({known})?"
    asks: tuple[tuple[int, str, Callable[[], Any]], ...] = (
        (404, "NOT_FOUND", lambda: api.get("/runs", harnessProfileId="bookeeper")),
        (404, "NOT_FOUND", lambda: api.get("/runs/facets", harnessProfileId="bookeeper")),
        (404, "NOT_FOUND", lambda: api.get("/asks", harnessProfileId="bookeeper")),
        (404, "NOT_FOUND", lambda: api.get("/harness-profiles/bookeeper")),
        (400, "CONFIG_ERROR", lambda: api.run(harnessProfileId="bookeeper")),
    )
    for status, code, ask in asks:
        with pytest.raises(Refused, match="bookeeper") as refusal:
            ask()
        assert (refusal.value.status, refusal.value.code) == (status, code)
        assert refusal.value.error["message"].endswith(meant)


@pytest.mark.parametrize(
    "name", ["x" * 129, "x" * 10_000, "a\x00b", "a\nb", "a\u202eb", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_a_name_that_no_record_can_have_is_refused(shared: Server, name: str | bytes) -> None:
    shown = quote(name, safe="")
    for path in (f"/harness-profiles/{shown}", f"/runs?harnessProfileId={shown}", f"/schedules/{shown}"):
        assert shared.api.http.get(path).status_code in {400, 404, 414}


def test_a_name_longer_than_an_id_stands_for_none(shared: Server) -> None:
    create(shared.api, "ﷺ" * 60)  # 18 letters each, once folded
    create(shared.api, "long " * 100)
    assert refused_by(shared.api.get, "/runs", harnessProfileId=("long " * 100).strip()) == (404, "NOT_FOUND")
    assert refused_by(shared.api.get, "/runs", harnessProfileId="ﷺ" * 60) == (404, "NOT_FOUND")


def test_a_schedule_is_found_whatever_its_case_and_never_changed_or_deleted_by_another_spelling(shared: Server) -> None:
    api = shared.api
    schedule(api, "Nightly")
    read = api.http.get("/schedules/NIGHTLY")
    assert (resolved(read), opened(read)["id"]) == ("scheduleId=Nightly", "Nightly")
    assert opened(api.send("/schedules/nightly/pause"))["id"] == "Nightly"
    assert opened(api.http.delete("/schedules/nightly"))["removed"] is False
    api.put("/schedules/nightly", {"input": "go", "sessionId": "s", "everyMinutes": 30})
    assert [api.get(f"/schedules/{name}")["everyMinutes"] for name in ("Nightly", "nightly")] == [60, 30]
    assert refused_by(api.get, "/schedules/NIGHTLY") == (409, "AMBIGUOUS_NAME")
    api.http.delete("/schedules/Nightly")
    assert api.get("/schedules/NIGHTLY")["id"] == "nightly"
    with pytest.raises(Refused, match="Did you mean 'nightly'") as refusal:
        api.get("/schedules/nigthly")
    assert refusal.value.status == 404


def test_a_bulk_act_takes_no_name(shared: Server) -> None:
    known = create(shared.api, "bulky")
    for path, fields in (
        ("cancel", {"reason": "r"}),
        ("retry", {}),
        ("retry", {"changes": {"harnessProfileId": "bulky"}}),
    ):
        wanted = {"sessionId": "s"} if "changes" in fields else {"harnessProfileId": "bulky"}
        with pytest.raises(Refused, match="a bulk act takes no name") as refusal:
            shared.api.post(f"/runs/{path}", {"filter": wanted, "dryRun": True, **fields})
        assert refusal.value.error["details"][0]["remedy"] == known
    shared.api.post("/runs/retry", {"filter": {"harnessProfileId": known}, "dryRun": True})


def test_a_repeated_key_never_acts_on_another_record_of_the_name(shared: Server) -> None:
    """The key belongs to the id, so a name that has changed hands is refused."""
    api = shared.api
    schedule(api, "Hand")
    api.post("/schedules/hand/pause", key="pause-hand")
    assert api.send("/schedules/Hand/pause", key="pause-hand").headers["idempotency-replayed"] == "true"
    api.http.delete("/schedules/Hand")
    schedule(api, "HAND")
    assert refused_by(api.post, "/schedules/hand/pause", key="pause-hand") == (422, "IDEMPOTENCY_MISMATCH")
    assert api.get("/schedules/HAND")["paused"] is False


def test_a_name_means_what_it_meant_at_a_position(shared: Server) -> None:
    api = shared.api
    first = create(api, "Moment")
    then = api.head()
    create(api, "moment")
    assert refused_by(api.get, "/harness-profiles/moment") == (409, "AMBIGUOUS_NAME")
    assert api.get("/harness-profiles/moment", asOf=then)["id"] == first
    assert refused_by(api.get, "/harness-profiles/moment", asOf=then - 1) == (404, "NOT_FOUND")
    assert refused_by(api.get, "/runs", harnessProfileId="moment", asOf=then - 1) == (404, "NOT_FOUND")


def test_a_workflow_may_name_the_profiles_of_its_steps(shared: Server) -> None:
    api, known = shared.api, create(shared.api, "Step maker")
    directive = api.post("/directives", {"input": "go"})["id"]
    step = {"id": "one", "directiveId": directive, "harnessProfileId": "step maker"}
    answer = api.send("/workflows", {"definition": {"steps": [step], "dependencies": []}})
    assert resolved(answer) == f"definition.steps[0].harnessProfileId={known}"
    assert opened(answer)["definition"]["steps"][0]["harnessProfileId"] == known


def test_a_filter_by_a_persona_that_nothing_knows_is_an_error(shared: Server) -> None:
    for path, field in (("/a2a/messages", "toPersona"), ("/a2a/dlq", "sourcePersona"), ("/personas/runs", "name")):
        assert refused_by(shared.api.get, path, **{field: "nobody"}) == (404, "NOT_FOUND")
        assert shared.api.get(path, **{field: "code-review"})["items"] == []


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp("guarded")
    with Server(directory, auth_enabled="true", auth_identity_role_map=ROLES) as server:
        yield server


def test_a_scoped_caller_learns_no_name_that_its_scope_hides(guarded: Server) -> None:
    """The answers about a schedule are the same whether it exists, under this name, twice, or not."""
    ada, otto = guarded.client("ada"), guarded.client("otto", **{"x-athena-scope-sessions": "mine"})
    known = create(ada, "Public")
    for name in ("One", "Two", "TWO"):
        schedule(ada, name)
    assert otto.run(sessionId="mine", harnessProfileId="public")["output"]
    assert otto.get("/harness-profiles/public")["id"] == known
    refusals: set[tuple[Any, ...]] = {refused_by(otto.get, f"/schedules/{name}") for name in ("one", "two", "three")}
    assert refusals == {(403, "AUTHZ_DENIED")}


def found(api: Api, part: str, **query: Any) -> list[tuple[str, str, str | None]]:
    return [
        (one["kind"], one["id"], one.get("name")) for one in api.get(f"/ids/{quote(part, safe='')}", **query)["items"]
    ]


def test_a_scoped_caller_finds_no_name_that_its_scope_hides(guarded: Server) -> None:
    ada, otto = guarded.client("ada"), guarded.client("otto", **{"x-athena-scope-sessions": "mine"})
    agent = create(ada, "Visible reviewer")
    schedule(ada, "hidden-reviewer")
    assert found(otto, "reviewer", names="true") == [("harness-profile", agent, "Visible reviewer")]
    assert len(found(ada, "reviewer", names="true")) == 2


def named_fields(schema: Json, document: Json, place: str = "") -> Iterator[str]:
    """Yield the places of fields of a schema that may hold a name."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, field in schema.get("properties", {}).items():
        if name in KINDS:
            yield place + name
        yield from named_fields(field, document, f"{place}{name}.")
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from named_fields(part, document, place)
    if isinstance(schema.get("items"), dict):
        yield from named_fields(schema["items"], document, place)


def test_every_field_of_a_body_that_means_such_a_record_is_looked_up() -> None:
    """The resolver goes only into the fields that it lists, so that a field deeper down is found by this test."""
    document = openapi_document()
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if isinstance(operation, dict) and "requestBody" in operation
    ]
    places = {place for schema in bodies for place in named_fields(schema, document)}
    assert {"harnessProfileId", "definition.steps.harnessProfileId", "filter.sourcePersona"} <= places
    assert {part for place in places for part in place.split(".")[:-1]} <= NESTED | set(BULK)

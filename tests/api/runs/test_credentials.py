"""Runs that call an API with its key: the model never gets the key, and the record names it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, Refused
from tests.support.asks import answer
from tests.support.keyed_api import ECHOES, KeyedApi, credentials_file, keyed
from tests.support.model import Model, Step, acting, call
from tests.support.server import Server
from tests.support.worker import Worker

SECRET, OTHER = "canary+of/the-vault", "canary-of-the-shop"
BEARER = f"Bearer {SECRET}"
CONFIG = {"provider": "openai", "model": "gpt-4o-mini", "tools": ["http"]}


class Plant(NamedTuple):
    """A server with a model that follows a script, and two APIs that demand a key."""

    server: Server
    model: Model
    vault: KeyedApi
    shop: KeyedApi

    @property
    def api(self) -> Api:
        return self.server.api

    def profile(self, *credentials: str, **http: object) -> str:
        """Create a profile with these credentials. Return its id."""
        asks = {"asks": {"holdMs": http.pop("holdMs")}} if "holdMs" in http else {}
        body = {
            "displayName": "Caller",
            "version": "v1",
            "config": CONFIG | ({"credentials": credentials} if credentials else {}),
            "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0},
            "allowedEgress": [{"host": "127.0.0.1"}],
            "toolPolicies": {"http": {"methods": ["GET"], **http}},
        }
        return str(self.api.post("/harness-profiles", asks | body)["id"])

    def run(self, profile_id: str, *script: Step) -> Json:
        """Run a script to its end. Return the result."""
        self.model.script = (*script, "done")
        return dict(self.api.run("go", harnessProfileId=profile_id))

    def results(self, run_id: str) -> list[str]:
        """Return what the tools of a run answered."""
        return [str(entry["content"]) for entry in self.entries(run_id) if entry["kind"] == "tool-result"]

    def entries(self, run_id: str) -> list[Json]:
        """Return the transcript of a run."""
        session_id = self.api.get(f"/runs/{run_id}")["sessionId"]
        entries = self.api.get(f"/sessions/{session_id}/transcript", limit=500)["items"]
        return [entry for entry in entries if entry["runId"] == run_id]

    def calls(self, run_id: str) -> list[list[str] | None]:
        """Return the credentials that each call of a run was recorded with."""
        found = self.api.events(runId=run_id, types="tool.called")
        return [event["payload"].get("credentials") for event in found]


@contextmanager
def planted(directory: Path, serve: Serve | None = None, **settings: str) -> Iterator[Plant]:
    with ExitStack() as stack:
        vault = stack.enter_context(keyed(BEARER))
        shop = stack.enter_context(keyed(OTHER, header="x-shop-key"))
        model = stack.enter_context(acting(("done",)))
        file = credentials_file(
            directory,
            vault={
                "header": "Authorization: Bearer {secret}",
                "hosts": [f"127.0.0.1:{vault.port}"],
                "secret": SECRET,
                "private": True,
            },
            shop={
                "header": "X-Shop-Key: {secret}",
                "hosts": [f"127.0.0.1:{shop.port}", f"127.0.0.1:{vault.port}"],
                "secret": OTHER,
                "private": True,
            },
        )
        settings = {"openai_base_url": model.url, **settings}
        if serve is None:
            settings["credentials_file"] = str(file)
            server = stack.enter_context(Server(directory / "server", **settings))
        else:
            server = serve(**settings)
        yield Plant(server, model, vault, shop)


@pytest.fixture(scope="module")
def one_plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with planted(tmp_path_factory.mktemp("plant")) as plant:
        yield plant


@pytest.fixture
def plant(one_plant: Plant, tmp_path: Path) -> Iterator[Plant]:
    """The plant with nothing seen; at the end no secret stands in anything that it shows or logs."""
    for api in (one_plant.vault, one_plant.shop):
        api.seen.clear()
        api.answers.clear()
    one_plant.model.forget()
    yield one_plant
    shown = [json.dumps(one_plant.api.events()), json.dumps(one_plant.model.requests)]
    shown += [json.dumps(one_plant.entries(run["runId"])) for run in one_plant.api.items("/runs")]
    shown += [path.read_bytes().decode("latin-1") for path in one_plant.server.directory.rglob("*") if path.is_file()]
    assert not [text for text in shown if "canary" in text]


def get(url: str, **arguments: object) -> Step:
    return call("http", url=url, **arguments)


def test_a_run_calls_an_api_that_demands_its_key_and_its_record_names_the_credential(plant: Plant) -> None:
    plant.vault.answers = dict(ECHOES)
    profile_id = plant.profile("vault")
    steps = [get(plant.vault.url + path, evidence="it") for path in ("/", "/plain", "/json", "/gzip")]
    run_id = plant.run(profile_id, *steps)["runId"]
    assert plant.vault.carried == [BEARER] * 4
    ok, plain, in_json, _ = plant.results(run_id)
    assert ok.endswith('{"ok": true}')
    assert plain.endswith("you sent: Bearer ***") or plain.endswith("you sent: ***")
    assert "***" in in_json
    assert plant.calls(run_id) == [["vault"]] * 4
    called = [entry for entry in plant.entries(run_id) if entry["kind"] == "tool-call"]
    assert [entry["metadata"]["credentials"] for entry in called] == ["vault"] * 4
    told = [cause["says"] for cause in plant.api.get(f"/runs/{run_id}/explain")["causes"]]
    assert "the model called the tool http with credential vault" in told
    profile = plant.api.get(f"/harness-profiles/{profile_id}")
    assert profile["config"]["credentials"] == ["vault"]


def test_a_person_who_decides_about_a_call_is_shown_what_it_would_carry(plant: Plant) -> None:
    for hold_ms in (60_000, 0):  # held, and parked
        profile_id = plant.profile("vault", "shop", approval="ask", holdMs=hold_ms)
        plant.model.script = (get(plant.vault.url + "/"), "done")
        run_id = plant.api.start("go", harnessProfileId=profile_id)["runId"]
        plant.api.await_event("run.asked" if hold_ms else "run.paused", runId=run_id)
        (ask,) = plant.api.get("/asks", runId=run_id)["items"]
        assert (ask["credentials"], ask["parked"]) == (["shop", "vault"], not hold_ms)
        assert plant.vault.seen == []
        answer(plant.api, run_id)
        assert plant.api.await_ending(run_id) == "run.completed"
        assert plant.calls(run_id) == [["shop", "vault"]]
        assert plant.vault.carried == [BEARER]
        plant.vault.seen.clear()


def test_arguments_that_a_person_edits_carry_only_what_the_ask_named(plant: Plant) -> None:
    profile_id = plant.profile("vault", "shop", approval="ask", holdMs=0)
    for path, carried in ((f"{plant.vault.url}/other", [BEARER]), (f"{plant.shop.url}/", [])):
        plant.model.script = (get(plant.vault.url + "/"), "done")
        run_id = plant.api.start("go", harnessProfileId=profile_id)["runId"]
        plant.api.await_event("run.paused", runId=run_id)
        answer(plant.api, run_id, editedArguments={"url": path})
        assert plant.api.await_ending(run_id) == "run.completed"
        assert (plant.vault.carried, plant.shop.seen) == (carried, [])
        plant.vault.seen.clear()
    assert "would carry credential 'shop', but the call was recorded with" in plant.results(run_id)[0]


def test_a_name_that_the_server_does_not_have_is_refused_with_what_it_has(plant: Plant) -> None:
    with pytest.raises(Refused) as refused:
        plant.profile("vault", "valut")
    assert (refused.value.status, refused.value.error["details"][0]["field"]) == (400, "config.credentials[1]")
    assert "no credential 'valut' exists here" in refused.value.error["message"]
    assert refused.value.error["details"][0]["remedy"] == "use one of shop, vault"


def test_a_worker_carries_the_credentials_of_its_own_file(serve: Serve, tmp_path: Path, store: dict[str, str]) -> None:
    with planted(tmp_path, serve, executor="off") as plant:
        model = {"openai_base_url": plant.model.url, "state_dir": str(plant.server.state_dir), **store}
        profile_id = plant.profile("vault")
        plant.model.script = (get(plant.vault.url + "/plain"), "done")
        for file, carried in ((str(tmp_path / "credentials.toml"), [BEARER]), ("", [])):
            plant.vault.seen.clear()
            with Worker(tmp_path, **model, **({"credentials_file": file} if file else {})):
                run_id = plant.api.start("go", harnessProfileId=profile_id)["runId"]
                assert plant.api.await_ending(run_id) == "run.completed"
            assert (plant.vault.carried, plant.calls(run_id)) == (carried, [["vault"] if file else None])
        assert "'vault', which does not exist on this server" in plant.results(run_id)[0]

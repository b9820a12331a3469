"""Roles by groups: of requests, of streams after a reload, and of work that goes on in the name of an identity."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.api import Api, Json, Refused, events_of, until_caught_up
from tests.support.server import Server

GROUPS = "x-forwarded-groups"


class Guarded(NamedTuple):
    """A server whose callers have the roles of their groups, and its role map."""

    server: Server
    roles: Path

    def client(self, identity: str, groups: str | None) -> Api:
        return self.server.client(identity, **({} if groups is None else {GROUPS: groups}))

    @property
    def root(self) -> Api:
        return self.server.client("root")

    def changes(self, identity: str) -> list[list[str]]:
        """Return the groups of an identity that were recorded."""
        found = self.root.events(types="rbac.groups.changed")
        return [event["payload"]["groups"] for event in found if event["payload"]["identity"] == identity]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("groups")
    roles = directory / "roles"
    roles.write_text("root:Admin\n")
    settings = {
        "auth_enabled": "true",
        "auth_role_map_file": str(roles),
        "auth_default_role": "None",
        "auth_group_role_map": "admins:Admin,role:ops:Operator,/teams/red team:Operator,readers:Viewer",
    }
    with Server(directory / "server", **settings) as server:
        yield Guarded(server, roles)


def refused(client: Api, path: str = "/caller") -> str:
    with pytest.raises(Refused) as caught:
        client.get(path)
    return caught.value.code


def test_a_caller_has_the_role_of_its_groups(guarded: Guarded) -> None:
    caller = guarded.client("una", "nothing,readers, role:ops").get("/caller")
    assert (caller["role"], caller["groups"]) == ("Operator", ["role:ops", "readers"])
    assert guarded.client("una", "/teams/red team").get("/caller")["role"] == "Operator"
    assert "groups" not in guarded.root.get("/caller")
    assert refused(guarded.client("una", "nothing")) == "AUTHZ_DENIED"
    assert refused(guarded.client("una", None)) == "AUTHZ_DENIED"
    (loaded,) = guarded.root.events(types="rbac.roles.loaded")[:1]
    assert loaded["payload"]["groups"] == 4


def test_groups_are_recorded_before_a_command_when_they_have_changed(guarded: Guarded) -> None:
    def run(groups: str | None) -> Json:
        answer: Json = guarded.client("otto", groups).run("hello", sessionId="otto")
        return answer

    guarded.client("otto", "role:ops").get("/runs")
    assert guarded.changes("otto") == [], "reading records nothing"
    run("role:ops")
    run("role:ops,unknown")
    assert guarded.changes("otto") == [["role:ops"]]
    types = [one["type"] for one in guarded.root.events() if one["type"] in {"rbac.groups.changed", "run.created"}]
    assert types[:2] == ["rbac.groups.changed", "run.created"]
    run("admins,role:ops")
    run("role:ops")
    assert guarded.changes("otto") == [["role:ops"], ["admins", "role:ops"], ["role:ops"]]
    audit = [one for one in guarded.root.items("/governance/audit-trail", kind="roles") if one["target"] == "otto"]
    assert [one["after"]["groups"] for one in audit] == list(reversed(guarded.changes("otto")))


def test_work_in_the_name_of_an_identity_has_its_last_groups(guarded: Guarded) -> None:
    def due() -> int:
        """Trigger the schedule, and return the number of runs that it has started so far."""
        guarded.root.post("/schedules/tick", {"at": guarded.root.get("/schedules/nightly")["nextRunAt"]})
        return len(guarded.root.events(types="run.created", sessionId="nightly"))

    schedule = {"everyMinutes": 60, "input": "hello", "sessionId": "nightly"}
    guarded.client("sam", "role:ops").put("/schedules/nightly", schedule)
    assert due() == 1
    guarded.client("sam", "admins").get("/runs")
    assert guarded.changes("sam") == [["role:ops"]], "more rights wait for a command"
    guarded.client("sam", "readers").get("/runs")
    assert guarded.changes("sam") == [["role:ops"], ["readers"]], "fewer do not"
    assert due() == 1
    assert guarded.root.events(types="authz.denied")[-1]["payload"]["subject"] == "sam"
    guarded.client("sam", "admins").run("hello")
    assert due() == 2
    assert refused(guarded.client("sam", None)) == "AUTHZ_DENIED"
    assert guarded.changes("sam")[-1] == []
    assert due() == 2


@pytest.mark.heavy
def test_groups_outlast_a_restart_and_have_the_role_of_the_map_now(tmp_path: Path) -> None:
    settings = {"auth_enabled": "true", "auth_identity_role_map": "root:Admin", "auth_default_role": "None"}
    with Server(tmp_path, **settings, auth_group_role_map="ops:Operator") as server:
        schedule = {"everyMinutes": 60, "input": "hello", "sessionId": "nightly"}
        server.client("sam", **{GROUPS: "ops"}).put("/schedules/nightly", schedule)

        def due() -> int:
            root = server.client("root")
            root.post("/schedules/tick", {"at": root.get("/schedules/nightly")["nextRunAt"]})
            return len(root.events(types="run.created"))

        assert due() == 1
        for map_, expected in (("ops:None", 1), ("ops:Admin", 2)):
            server.stop()
            server.start(auth_group_role_map=map_)
            assert due() == expected, map_


def test_a_reload_ends_the_streams_of_callers_whose_groups_no_longer_count(guarded: Guarded) -> None:
    before = len(guarded.root.events(types="rbac.roles.loaded"))
    guarded.roles.write_text("root:Admin\n")
    ann, una = guarded.client("ann", "readers"), guarded.client("una", "readers")
    with (
        ann.stream() as first,
        una.stream(types="run.completed") as second,
        guarded.root.stream(after="latest", types="rbac.roles.loaded") as loads,
    ):
        for blocks in (first, second, loads):
            until_caught_up(blocks)
        guarded.roles.write_text("root:Admin\nann:None\n")
        guarded.server.signal(signal.SIGHUP)
        next(events_of(loads))
        assert [block for block in first if block.event == "run.created"] == [], "it has an end"
        run = guarded.root.run("hello")
        assert next(events_of(second))["runId"] == run["runId"], "groups count as before"
    assert len(guarded.root.events(types="rbac.roles.loaded")) > before
    assert refused(ann) == "AUTHZ_DENIED"

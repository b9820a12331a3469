"""MCP servers over the API: their list, the operator's check, and the acceptance of what changed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from athena_cli.checks import changed_mcp_servers
from tests.support.api import Json
from tests.support.inside import Inside
from tests.support.mcp_servers import fake_command, fake_server, mcp_servers_file

OTTO, VERA = {"x_athena_identity": "otto"}, {"x_athena_identity": "vera"}
PROFILE: Json = {
    "displayName": "with tools",
    "version": "v1",
    "config": {"provider": "mock", "model": "mock-model", "tools": ["none"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0},
}
PLACED = 'test -d "$0/.git" && exec "$@"'


class Site:
    """A plane with fake MCP servers, whose switches may change between two checks."""

    def __init__(self, inside: Inside, control: Path) -> None:
        self.inside = inside
        self._control = control

    def switch(self, *switches: str) -> None:
        self._control.write_text("\n".join(switches))

    def send(self, method: str, path: str, body: Json | None = None, status: int = 200, **headers: str) -> Json:
        answer = self.inside.ask(method, path, body, **(headers or OTTO))
        assert answer.status_code == status, answer.text
        found: Json = answer.json()["data" if status < 400 else "error"]
        return found

    def check(self, server: str) -> Json:
        return self.send("POST", f"/mcp-servers/{server}/check", {})

    def states(self, server: str = "fake") -> dict[str, str]:
        return {tool["name"]: tool["state"] for tool in self.send("GET", f"/mcp-servers/{server}")["tools"]}

    def accept(self, status: int = 200, **body: object) -> Json:
        return self.send("POST", "/mcp-servers/fake/accept", body, status)

    def doctor(self) -> list[str]:
        """Return what the doctor says about changed servers."""

        async def look() -> list[str]:
            with closing(self.inside.app.plane.log.reader()) as reader:
                return [found.check for found in changed_mcp_servers(reader)]

        return self.inside.call(look)

    def events(self, kind: str) -> list[Json]:
        return [one["payload"] for one in self.send("GET", f"/events?types={kind}")["events"]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    control, secrets = tmp_path / "switches", tmp_path / "credentials.toml"
    control.write_text("")
    (tmp_path / "secret").write_text("correct-horse-battery-staple")
    (tmp_path / "secret").chmod(0o600)
    secrets.write_text(
        '[credentials.github]\nheader = "Authorization: Bearer {secret}"\nhosts = ["example.com"]\n'
        f'secret = {{ file = "{tmp_path / "secret"}" }}\n'
    )
    secrets.chmod(0o600)
    servers = mcp_servers_file(
        tmp_path,
        {
            "fake": fake_server(f"control={control}"),
            "dead": fake_server("crash=start", startTimeoutMs=5_000),
            "placed": {"command": ["sh", "-c", PLACED, "{workspace}", *fake_command()], "sandbox": False},
            "lacking": fake_server(credentials={"TOKEN": "absent"}),
            "web": {"url": "https://mcp.example.com/mcp", "credential": "github"},
        },
    )
    inside = Inside(
        tmp_path,
        mcp_servers=str(servers),
        credentials_file=str(secrets),
        auth_enabled="true",
        auth_identity_role_map="otto:Operator,vera:Viewer",
    )
    inside.start()
    try:
        yield Site(inside, control)
    finally:
        inside.stop()


def test_a_change_is_shown_and_accepted(site: Site) -> None:
    listed = {one["server"]: one for one in site.send("GET", "/mcp-servers")["servers"]}
    assert list(listed) == ["dead", "fake", "lacking", "placed", "web"]
    assert listed["fake"] == {
        **{"server": "fake", "registered": True, "state": "unlisted", "transport": "stdio"},
        **{"tools": 0, "changed": 0},
    }
    assert listed["web"]["transport"] == "http"
    assert listed["lacking"]["missing"] == ["no credential 'absent' exists"]
    first = site.check("fake")
    assert first["server"]["state"] == "current"
    assert {tool["state"] for tool in first["tools"]} == {"accepted"}
    assert site.check("fake")["listingSha256"] == first["listingSha256"]
    assert len(site.events("mcp-server.listed")) == 1
    site.switch("changed", "added")
    second = site.check("fake")
    assert second["server"]["state"] == "changed"
    assert site.doctor() == ["MCP server fake"]
    changed = [tool for tool in second["tools"] if tool["state"] == "changed"]
    assert changed and all(tool["listed"] != tool["accepted"] for tool in changed)
    assert set(site.states().values()) == {"accepted", "changed", "new"}
    body = {"listingSha256": second["listingSha256"], "tools": [changed[0]["name"]], "note": "It is fine."}
    assert site.accept(**body)["note"] == "It is fine."
    assert site.states()[changed[0]["name"]] == "accepted"
    accepted = site.accept(listingSha256=second["listingSha256"])
    assert (accepted["server"]["state"], accepted["server"]["acceptedBy"]) == ("current", "otto")
    assert set(site.states().values()) == {"accepted"}
    assert site.doctor() == []
    assert len(site.events("mcp-server.accepted")) == 2
    site.switch("removed")
    assert site.check("fake")["server"]["changed"] == len([one for one in site.states().values() if one == "removed"])


def test_a_server_for_a_workspace_is_checked_in_an_empty_repository(site: Site) -> None:
    place = site.check("placed")["tools"]
    assert place[0]["state"] == "accepted"


def test_a_list_that_moved_on_is_not_accepted(site: Site) -> None:
    old = site.check("fake")["listingSha256"]
    site.switch("changed")
    site.check("fake")
    assert site.accept(409, listingSha256=old)["code"] == "MCP_LISTING_CHANGED"
    shown = site.send("GET", "/mcp-servers/fake")
    new = shown["listingSha256"]
    assert shown["subjectHash"] == new
    assert site.accept(409, subjectHash=old)["code"] == "MCP_LISTING_CHANGED"
    for wrong in ({}, {"subjectHash": new, "listingSha256": old}):
        assert "names no list, or two" in site.accept(409, **wrong)["message"]
    fault = site.accept(400, listingSha256=new, tools=["echo", "absent"])["details"][0]
    assert (fault["field"], fault["reason"]) == ("tools[1]", "'absent' is not listed")
    assert site.events("mcp-server.accepted") == []


def test_only_operators_check_and_accept(site: Site) -> None:
    site.check("fake")
    assert site.send("POST", "/mcp-servers/fake/check", {}, 403, **VERA)["code"] == "AUTHZ_DENIED"
    body = {"listingSha256": "ab" * 32}
    assert site.send("POST", "/mcp-servers/fake/accept", body, 403, **VERA)["code"] == "AUTHZ_DENIED"
    shown = site.send("GET", "/mcp-servers", None, 200, **VERA)["servers"]
    assert [one.get("missing") for one in shown] == [None] * 5


def test_a_server_that_does_not_work_is_an_error_with_the_reason(site: Site) -> None:
    error = site.send("POST", "/mcp-servers/dead/check", {}, 502)
    assert (error["code"], error["retryable"]) == ("MCP_SERVER_FAILED", False)
    assert error["message"].startswith("The MCP server 'dead' failed. ")
    error = site.send("POST", "/mcp-servers/lacking/check", {}, 502)
    assert "no credential 'absent' exists" in error["message"]
    assert site.send("POST", "/mcp-servers/absent/check", {}, 404)["code"] == "NOT_FOUND"
    assert site.send("GET", "/mcp-servers/absent", status=404)["code"] == "NOT_FOUND"
    assert site.send("POST", "/mcp-servers/dead/accept", {"listingSha256": "ab" * 32}, 404)["code"] == "NOT_FOUND"
    assert site.send("GET", "/mcp-servers/dead")["tools"] == []


def test_a_profile_names_registered_servers_and_plain_patterns(site: Site) -> None:
    def fault(mcp: Json) -> Json:
        found: Json = site.send("POST", "/harness-profiles", {**PROFILE, "mcp": mcp}, 400)["details"][0]
        return found

    assert fault({"absent": {"tools": ["*"]}}) == {
        "field": "mcp.absent",
        "reason": "no MCP server 'absent' is registered",
        "remedy": "use one of dead, fake, lacking, placed, web",
    }
    assert fault({"fake": {"tools": ["a", "a b"]}})["field"] == "mcp.fake.tools[1]"
    rule = {"match": {"tool": "a\u202eb"}, "approval": "allow"}
    assert fault({"fake": {"tools": ["a"], "rules": [rule]}})["field"] == "mcp.fake.rules[0].match.tool"
    assert "mcp" in str(fault({"Fake": {"tools": ["a"]}}))
    assert "tools" in str(fault({"fake": {"tools": []}}))

"""The credentials file of a server and a worker: the start, the reload on SIGHUP, and who gets the names."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.core.credentials.corpus import ENTRY, entry, write_credentials
from tests.support.api import Api, until
from tests.support.server import Server
from tests.support.worker import Worker

MISTAKE = entry(tokens='"a-s3cret-in-a-wrong-place"')


def problems(api: Api) -> list[str]:
    processes: list[dict[str, Any]] = api.get("/workers")["items"]
    return [problem["message"] for one in processes for problem in one["problems"]]


def test_a_bad_file_stops_the_start_in_one_line(tmp_path: Path) -> None:
    path = write_credentials(tmp_path, MISTAKE)
    with pytest.raises(AssertionError, match="it did not start") as raised:
        Server(tmp_path / "plane", credentials_file=str(path)).start()
    (line,) = str(raised.value).splitlines()[1:]
    known = "header, query, hosts, secret, private"
    place = f"error: ATHENA_CREDENTIALS_FILE: {path}: credentials.a"
    assert line == f"{place}: unknown member 'tokens'. Known are {known}."


@pytest.mark.heavy
def test_servers_and_workers_read_the_file_again_on_sighup_and_keep_the_old_one_if_it_is_bad(tmp_path: Path) -> None:
    path = write_credentials(tmp_path, ENTRY)
    settings = {"credentials_file": str(path), "workspace_root": str(tmp_path), "auth_enabled": "true"}
    settings["auth_identity_role_map"] = "root:Admin,ola:Operator,vic:Viewer"
    with Server(tmp_path / "plane", **settings) as server, Worker(tmp_path / "plane", **settings) as worker:
        check_reload(server, worker, path)


def check_reload(server: Server, worker: Worker, path: Path) -> None:
    root = server.client("root")

    def names(identity: str = "root") -> list[str] | None:
        found: list[str] | None = server.client(identity).get("/capabilities").get("credentials")
        return found

    assert (names(), names("ola"), names("vic")) == (["a"], ["a"], None)
    write_credentials(path.parent, MISTAKE)
    for process in (server, worker):
        process.signal(signal.SIGHUP)
    until(lambda: len(problems(root)) == 2)
    for message in problems(root):
        assert f"{path}: credentials.a: unknown member 'tokens'" in message
    assert names() == ["a"]
    write_credentials(path.parent, ENTRY + ENTRY.replace(".a]", ".b]"))
    for process in (server, worker):
        process.signal(signal.SIGHUP)
    until(lambda: problems(root) == [])
    assert names() == ["a", "b"]
    for process in (server, worker):
        assert "credentials works again" in process.log_path.read_text()
        assert "s3cret" not in process.log_path.read_text()
    for name in ("credentials.toml", "key"):
        directive = root.post("/directives", {"input": "look", "contextRefs": [f"file:{name}"]})["id"]
        refused = root.send("/runs", {"directiveId": directive, "provider": "mock"})
        assert refused.status_code == 400
        assert "neither read nor write it" in refused.text

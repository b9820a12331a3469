"""Answers by caller: no caller gets an answer that depends on another one, from the cache or by an entity tag."""

from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import getsource
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import httpx2
import msgspec
import pytest

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Operation
from athena_api.operations import OPERATIONS
from athena_core.event import Meta
from athena_core.values import LOCAL
from tests.api.examples import EXAMPLES
from tests.support.inside import Inside, said_by_tool
from tests.support.server import NO_FLOOD

READS = tuple(row for row in OPERATIONS if row.method == "GET" and not row.stream)
CALLERS: dict[str, dict[str, str]] = {
    "viewer": {"x_athena_identity": "vera"},
    "operator": {"x_athena_identity": "otto"},
    "another operator": {"x_athena_identity": "olga"},
    "admin": {"x_athena_identity": "ada"},
    "another admin": {"x_athena_identity": "ida"},
    "scoped": {"x_athena_identity": "otto", "x_athena_scope_sessions": "session"},
    "scoped elsewhere": {"x_athena_identity": "vera", "x_athena_scope_sessions": "elsewhere"},
}
ROLE_MAP = "vera:Viewer,otto:Operator,olga:Operator,ada:Admin,ida:Admin"
APPROVAL = {"steps": [{"id": "ask", "approval": {"message": "good?", "approvers": ["otto"]}}], "dependencies": []}
Answer = tuple[int, str]


class Plane:
    """A plane with two sessions, a run in each, and an open ask that one Operator may answer."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.names = {"sessionId": "session", "runId": self._run("session")}
        self._run("elsewhere")
        workflow = inside.data("POST", "/workflows", {"definition": APPROVAL}, **CALLERS["admin"])["id"]
        path = f"/workflows/{workflow}/run"
        run = inside.data("POST", path, {"input": {}}, prefer="respond-async", **CALLERS["admin"])
        self.names |= {"workflowId": workflow, "id": run.get("run", run)["id"]}
        (ask,) = self._open_asks()
        self.names["askId"] = ask["id"]
        self._asked = 0

    def _run(self, session: str) -> str:
        body = {"sessionId": session, "input": "hello"}
        return str(self.inside.data("POST", "/runs", body, **CALLERS["admin"])["runId"])

    def _open_asks(self) -> list[Any]:
        while not (found := self.inside.data("GET", "/asks", **CALLERS["admin"])["items"]):
            pass
        return list(found)

    def paths(self, row: Operation[Any, Any]) -> Iterator[str]:
        """Yield requests to a row: of its example, and with each value of a parameter that has few."""
        pairs = zip(row.path.split("/"), EXAMPLES[row.id].path.split("/"), strict=True)
        path = "/".join(self.names.get(part[1:], had) if part.startswith(":") else had for part, had in pairs)
        required = {name: text for name, text in (EXAMPLES[row.id].query or {}).items() if name in _required(row)}
        queries = [required, EXAMPLES[row.id].query or {}]
        queries += [required | {name: value} for name, value in _choices(row)]
        for query in queries:
            yield path + "?" + "".join(f"{name}={value}&" for name, value in query.items() if name != "wait")

    def ask(self, path: str, caller: str, **headers: str) -> httpx2.Response:
        return self.inside.ask("GET", path, **CALLERS[caller], **headers)

    def marked(self, path: str) -> str:
        """Return the path with an unknown parameter, so that no earlier request was equal."""
        self._asked += 1
        return f"{path}nth={self._asked}"


def _required(row: Operation[Any, Any]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(row.query) if field.required}


def _choices(row: Operation[Any, Any]) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(row.query):
        for kind in (field.type, *get_args(field.type)):
            if kind is bool:
                yield field.encode_name, "true"
            elif get_origin(kind) is Literal:
                yield from ((field.encode_name, str(value)) for value in get_args(kind))


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    directory: Path = tmp_path_factory.mktemp("callers")
    inside = Inside(
        directory,
        auth_enabled="true",
        auth_identity_role_map=ROLE_MAP,
        scheduler="off",
        requests_per_second="100000",
        workspace_root=str(directory),
        **NO_FLOOD,
    )
    inside.start()
    try:
        yield Plane(inside)
    finally:
        inside.stop()


def _said(answer: httpx2.Response) -> Answer:
    text = answer.text if answer.status_code < 400 else answer.json()["error"]["code"]
    return answer.status_code, text


@pytest.mark.parametrize("row", READS, ids=lambda row: row.id)
def test_no_caller_gets_the_answer_of_another(plane: Plane, row: Operation[Any, Any]) -> None:
    log, compared = plane.inside.app.plane.log, 0
    for path in plane.paths(row):
        alone: dict[str, Answer] = {}
        for caller in CALLERS:
            answer = plane.ask(plane.marked(path), caller)
            if answer.status_code != 403:
                alone[caller] = _said(answer)
                again = _said(plane.ask(plane.marked(path), caller))
                assert again == alone[caller] or not _kept(plane), "an answer of the moment is not cached"
        for order in (tuple(alone), tuple(alone)[::-1]):  # each caller before each other one
            shared, head = plane.marked(path), log.signal.position
            for caller in order:
                found = _said(plane.ask(shared, caller))
                assert found == alone[caller] or not _kept(plane), f"{caller} got the answer of another to {path}"
                compared += caller != order[0]
            assert log.signal.position == head, "else nothing was compared"
    assert compared, "at least two callers were answered"


def _kept(plane: Plane) -> bool:
    """Return True if the last request was answered from the cache, or its answer was kept."""
    questions = plane.inside.app.plane.answer_cache._answers
    mark = f"nth={plane._asked}".encode()
    return any(query.endswith(mark) for _, query, *_ in questions)


PAST = [row for row in READS if row.past]


@pytest.mark.parametrize("row", PAST, ids=lambda row: row.id)
def test_no_entity_tag_of_one_caller_holds_for_another_answer(plane: Plane, row: Operation[Any, Any]) -> None:
    head = plane.inside.app.plane.log.signal.position
    for path in plane.paths(row):
        asked = f"{path}asOf={head}"
        found = {caller: plane.ask(asked, caller) for caller in CALLERS}
        tags = {who: answer.headers["etag"] for who, answer in found.items() if "etag" in answer.headers}
        for caller in tags:
            for tag in {tags[other] for other in tags if found[other].text != found[caller].text}:
                answer = plane.ask(asked, caller, if_none_match=tag)
                assert answer.status_code == 200, f"{caller} was answered 304 by the tag of another"


def test_the_tools_of_mcp_answer_each_caller_alone(plane: Plane) -> None:
    def asks(caller: str) -> str:
        return said_by_tool(plane.inside.ask_tool("list_asks", {"answerable": True}, **CALLERS[caller]))

    head = plane.inside.app.plane.log.signal.position
    found = [plane.names["askId"] in asks(caller) for caller in ("viewer", "operator", "another operator", "operator")]
    assert found == [False, True, False, True]
    assert plane.inside.app.plane.log.signal.position == head, "else nothing was compared"


@pytest.mark.parametrize("read", [lambda call: call.who, lambda call: call.meta])
def test_an_answer_is_personal_once_its_handler_has_read_the_caller(read: Callable[[ApiCall[Any, Any]], Any]) -> None:
    async def receive() -> Any:
        raise AssertionError

    call: ApiCall[Any, Any] = ApiCall(
        _who=LOCAL, _meta=Meta(actor="ada", correlation="t"), path={}, query=NoQuery(), body=NoBody(), receive=receive
    )
    assert call.scope is None
    assert not call.personal, "the scope is part of the key of the cache"
    read(call)
    assert call.personal


def test_no_operation_reads_the_caller_without_a_mark() -> None:
    for name in sorted({row.handle.__module__ for row in OPERATIONS}):
        source = getsource(import_module(name))
        assert "._who" not in source, name
        assert "._meta" not in source, name

"""The access of runs, measured: each kind of caller starts one, and its context and effects are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec.structs import replace

from athena_core.decider import Outcome
from athena_core.event import Meta
from athena_core.services.runs.prepared import run_facts
from tests.api.callers import KINDS, OWN_PERSONA, ROLES, cells
from tests.support.events.ask import PARKED, PERMISSION, QUESTION
from tests.support.events.run import CREATED, LEASED, STARTED
from tests.support.inside import Inside
from tests.support.model import Profile, acting, call

ROWS = (
    "run.joins-own-session",
    "run.joins-other-session",
    "run.enters-new-session",
    "run.history-of-own-session",
    "run.history-of-other-session",
    "run.recalls-own-session",
    "run.recalls-other-session",
    "run.recalls-notes",
    "run.recalls-entries",
    "run.memory-tool",
    "run.context-refs-files",
    "run.context-refs-notes",
    "run.inputs-of-template",
    "run.inputs-of-workflow",
    "run.interrupts-own-session",
    "run.interrupts-other-session",
    "run.approves-workflow-step",
    "run.retries-own-session",
    "run.retries-other-session",
    "ask.allows-call-of-own-session",
    "ask.allows-call-of-other-session",
    "ask.answers-question-of-own-run",
    "ask.answers-question-of-other-run",
)
PREFIX = "run_asking_"
TRACE = "00000000-0000-4000-8000-000000000000"
NOTE, ENTRY = "curlew plover", "avocet godwit"


@contextmanager
def started() -> Iterator["Starter"]:
    """Yield a plane with a memory, and a model that searches the notes."""
    with TemporaryDirectory() as directory, acting([call("memory", action="search", query=NOTE), "done"]) as model:
        Path(directory, "MEMORY.md").write_text(f"a note of the {NOTE}\n")
        Path(directory, "plan.txt").write_text("a file\n")
        inside = Inside(
            Path(directory, "plane"),
            auth_enabled="true",
            auth_identity_role_map=ROLES,
            refusals_per_second="100000",
            requests_per_second="100000",
            workspace_root=directory,
            memory_enabled="true",
            memory_include_transcripts="true",
            memory_max_results="100",
            memory_max_snippet_chars="200",
            memory_max_injected_chars="100000",
            context_max_chars="1000000",
            openai_base_url=model.url,
            openai_api_key="sk-of-tests",
        )
        inside.start()
        try:
            yield Starter(inside)
        finally:
            inside.stop()


NO_COMMANDS = ("files", "memory", "evidence")
"""Tools of a profile that a server accepts without a sandbox, though it trusts headers of this machine."""


class Starter:
    """Starts runs as each caller, in sessions of its own and of others."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._ask("POST", "/memory", {"text": f"an entry of the {ENTRY}"})
        self._profile = self._ask("POST", "/harness-profiles", Profile(tools=NO_COMMANDS).body)["id"]
        self._directives = {
            ref: self._ask(
                "POST",
                "/directives",
                {"input": "read it", "contextRefs": [ref], "metadata": {"personaName": OWN_PERSONA}},
            )["id"]
            for ref in ("file:plan.txt", "memory:MEMORY.md")
        }
        template = {
            "harnessProfileId": self._profile,
            "directiveTemplate": "say {{word}}",
            "defaultParams": {"word": "ibis"},
        }
        self._template = self._ask("POST", "/run-templates", template)["id"]
        approval = {"steps": [{"id": "ask", "approval": {"role": "Operator"}}], "dependencies": []}
        self._workflow = self._ask("POST", "/workflows", {"definition": approval})["id"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._inside.ask(method, path, body, x_athena_identity="ada")
        assert answer.status_code in {200, 202}, answer.text
        return answer.json()["data"]

    def column(self, number: int, headers: dict[str, str]) -> dict[str, str]:
        """Return the cells of one caller, by row."""
        own, other = f"own{number}", f"other{number}"
        first = self._first(own, OWN_PERSONA, f"heron{number} osprey{number}")
        foreign = self._first(other, "stranger", f"egret{number} bittern{number}")
        headers = dict(headers)
        sessions = ",".join((own, *(f"{own}-{place}" for place in range(1, 7))))
        asking = (f"{PREFIX}{own}_{kind}" for kind in ("call", "own", "other"))
        for kind, covered in zip(KINDS, (sessions, ",".join((first, *asking)), OWN_PERSONA), strict=True):
            if whose := headers.pop(kind, None):
                headers[f"x_athena_scope_{kind}"] = covered if whose == "own" else "another"

        def post(path: str, body: Any) -> tuple[str, Any]:
            answer = self._inside.ask("POST", path, body, **headers)
            assert answer.status_code in {200, 401, 403}, answer.text
            return {200: "yes", 401: "401", 403: "-"}[answer.status_code], answer.json().get("data")

        def decide(ask_id: str) -> str:
            """Answer an ask with a wrong hash, which only a caller who may answer learns."""
            body = {"subjectHash": "00", "optionId": "deny" if "call" in ask_id else "decline"}
            answer = self._inside.ask("POST", f"/asks/{ask_id}/answer", body, **headers)
            return {409: "yes", 401: "401", 403: "-", 404: "-"}[answer.status_code]

        def run(session: str, said: str | None = "go on", **fields: Any) -> tuple[str, Any]:
            body = {"sessionId": session, "input": said, "metadata": {"personaName": OWN_PERSONA}, **fields}
            return post("/runs", {name: value for name, value in body.items() if value is not None})

        def told(answer: tuple[str, Any], given: Callable[[Any], bool]) -> str:
            return answer[0] if answer[0] != "yes" else "yes" if given(answer[1]) else "-"

        words = f"heron{number} osprey{number} egret{number} bittern{number} {NOTE} {ENTRY}"
        joined, strange, fresh = run(own), run(other), run(f"new{number}")
        self._ask("GET", f"/memory/search?query=osprey{number}")  # the index is up
        recalling = run(f"{own}-1", words)
        cited = self._cited(recalling[1]) if recalling[0] == "yes" else []

        def recalls(place: str) -> str:
            return told(recalling, lambda _: any(one.startswith(place) for one in cited))

        searched = run(f"{own}-2", harnessProfileId=self._profile)
        waiting = self._ask("POST", f"/workflows/{self._workflow}/run", {})
        asked = waiting["stepStates"]["ask"]["approval"]["subjectHash"]
        found = (
            joined[0],
            strange[0],
            fresh[0],
            told(joined, lambda data: f"heron{number}" in data["output"]),
            told(strange, lambda data: f"egret{number}" in data["output"]),
            recalls(f".athena/transcripts/{own}.jsonl"),
            recalls(f".athena/transcripts/{other}.jsonl"),
            recalls("MEMORY.md"),
            recalls("entries/"),
            told(searched, lambda data: self._found_note(data["runId"])),
            run(f"{own}-3", None, directiveId=self._directives["file:plan.txt"])[0],
            run(f"{own}-4", None, directiveId=self._directives["memory:MEMORY.md"])[0],
            post(f"/templates/{self._template}/run", {"sessionId": f"{own}-5", "params": {"word": "crane"}})[0],
            post(f"/workflows/{self._workflow}/run", {"input": {"word": "crane"}})[0],
            run(f"{own}-6", sessionStrategy="interrupt")[0],
            run(other, sessionStrategy="interrupt")[0],
            post(f"/workflows/run/{waiting['id']}/steps/ask/approve", {"subjectHash": asked})[0],
            post(f"/runs/{first}/retry", {})[0],
            post(f"/runs/{foreign}/retry", {})[0],
            *(decide(ask_id) for ask_id in self._asks(own, other, headers.get("x_athena_identity", "ada"))),
        )
        return dict(zip(ROWS, found, strict=True))

    def _asks(self, own: str, other: str, starter: str) -> Iterator[str]:
        """Record parked runs that ask: of ``ada`` in both sessions, and of the caller in its own. Yield their asks."""
        for ask_id, session, actor in (
            (f"ask_call_{own}", own, "ada"),
            (f"ask_call_{other}", other, "ada"),
            (f"ask_own_{own}", own, starter),
            (f"ask_other_{own}", own, "ada"),
        ):
            kind: Any = "tool-permission" if "call" in ask_id else "question"
            options = PERMISSION.options if "call" in ask_id else QUESTION.options
            asked = replace(PERMISSION, ask_id=ask_id, kind=kind, options=options, expires_at_ms=2**52)
            created = replace(CREATED, session_id=session)
            run_id = f"{PREFIX}{session}_{ask_id.split('_')[1]}"
            events = (created, LEASED, STARTED, asked, PARKED)
            outcome = Outcome(facts=run_facts(run_id, session, events))
            meta = Meta(actor=actor, correlation=TRACE)
            self._inside.call(self._inside.app.plane.log.submit, lambda reader, context, outcome=outcome: outcome, meta)
            yield ask_id

    def _first(self, session: str, persona: str, said: str) -> str:
        body = {"sessionId": session, "input": said, "metadata": {"personaName": persona}}
        return str(self._ask("POST", "/runs", body)["runId"])

    def _cited(self, run: Any) -> list[str]:
        """Return the citations that a run was given."""
        events = self._ask("GET", f"/events?types=memory.recalled&runId={run['runId']}")["events"]
        return [citation for event in events for citation in event["payload"]["citations"]]

    def _found_note(self, run_id: str) -> bool:
        session = self._ask("GET", f"/runs/{run_id}")["sessionId"]
        items = self._ask("GET", f"/sessions/{session}/transcript?limit=500")["items"]
        return any(NOTE in item["content"] for item in items if item["runId"] == run_id and item["role"] == "tool")


def rows() -> Iterator[tuple[str, list[str]]]:
    with started() as starter:
        columns = [starter.column(number, headers) for number, (_, headers) in enumerate(cells())]
    for name in ROWS:
        yield name, [column[name] for column in columns]

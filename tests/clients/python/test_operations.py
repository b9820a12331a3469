"""The generated methods of the client: each operation of the table is called on a real server and decodes."""

import inspect
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from athena_api.operations import OPERATIONS
from athena_client import AsyncAthena, Athena, AthenaError, models
from docs.python_client import document, model_names
from docs.python_source import snake
from tests.api.examples import EXAMPLES, Example
from tests.clients.python.halves import HALVES, client_of
from tests.support.golden import STATES
from tests.support.server import Server, server_of_module

ROWS = {row.id: row for row in OPERATIONS}
READS = {row.id for row in OPERATIONS if row.method == "GET"}


# Shapes


def test_every_field_of_the_document_has_its_name_in_the_model() -> None:
    described = document()
    for name in model_names(described):
        schema = described["components"]["schemas"][name]
        if "properties" in schema:
            found = set(getattr(models, name).__struct_encode_fields__)
            assert found - {"etag"} == set(schema["properties"]), name


def test_both_halves_have_a_method_for_each_operation_with_equal_parameters() -> None:
    for row in OPERATIONS:
        one, other = (getattr(kind, snake(row.id)) for kind in (Athena, AsyncAthena))
        assert list(inspect.signature(one).parameters) == list(inspect.signature(other).parameters)
        assert one.__doc__ and "Raises:" in one.__doc__


# Reads: a state with something of everything


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a state in which there is something of everything."""
    directory: Path = tmp_path_factory.mktemp("golden")
    STATES[0].unpack(directory)
    server = Server(directory, memory_enabled="true", scheduler="off").start()
    yield server
    server.stop()


class Reader:
    """Calls of all reads; ``read`` collects the operations that were called."""

    def __init__(self, client: Athena) -> None:
        self._client = client
        self.called: set[str] = set()

    def read(self, operation_id: str, *arguments: str, **named: Any) -> Any:
        self.called.add(operation_id)
        return getattr(self._client, snake(operation_id))(*arguments, **named)

    def first(self, operation_id: str, *arguments: str, **named: Any) -> Any:
        return next(iter(self.read(operation_id, *arguments, **named)))

    def read_all(self) -> None:
        self._runs()
        self._work()
        self._workflows()
        self._settings()
        for alone in ("Capabilities", "Caller", "AdminHealth", "ViewDigests", "FleetSummary", "Halt", "RunFacets"):
            self.read(f"get{alone}")
        assert self.read("listWorkers").items
        assert self.read("listAgents").memory_bytes == 0
        assert not self.read("listMcpServers").servers
        assert len(list(self.read("getAuditTrail"))) > 20
        assert self.read("getFleetSeries", by="model").intervals == 61
        assert self.read("getDiff", from_="0", to="500").counts
        assert len(list(self.read("listEvents"))) > 1000
        assert len(list(islice(self.read("streamEvents"), 100))) == 100

    def _runs(self) -> None:
        runs = list(self.read("listRuns", include="output"))
        assert len(runs) > 50
        shown = next(run for run in runs if run.evidence_count)
        evidence = self.first("listRunEvidence", shown.run_id)
        assert self.read("getRunEvidence", shown.run_id, evidence.id).content is not None
        assert self.read("getRun", shown.run_id) == self.read("getRun", shown.run_id, wait=1)
        assert self.read("explainRun", shown.run_id).causes
        assert self.read("getRunProof", shown.run_id).events
        assert self.read("getSentRequest", shown.run_id, "1").messages
        list(self.read("listActiveRuns"))
        list(self.read("listCancellationRequests"))
        assert self.read("getSession", self.first("listSessions").id)
        assert list(self.read("getSessionTranscript", shown.session_id))
        assert self.first("streamSessionTranscript", shown.session_id, after="0")

    def _work(self) -> None:
        queued = next(iter(self.read("listEvents", types=["work.enqueued"])))
        self.read("getSessionWorkQueue", queued.session_id)
        drained = next(iter(self.read("listEvents", types=["work.drain.started"])))
        assert self.read("getWorkDrain", drained.payload.drain_id)
        assert self.read("getA2aMessage", self.first("listA2aMessages").message_id)
        assert self.read("getA2aDlqItem", self.first("listA2aDlq").id)
        redriven = next(iter(self.read("listEvents", types=["a2a.dlq.redrive.started"])))
        assert self.read("getA2aDlqRedrive", redriven.payload.redrive_id)
        assert self.read("getPersonaRun", self.first("listPersonaRuns").run_id)

    def _workflows(self) -> None:
        workflows = list(self.read("listWorkflows"))
        assert self.read("getWorkflow", workflows[0].id)
        for workflow in workflows:
            for run in self.read("listWorkflowRuns", workflow.id):
                states = self.read("getWorkflowRun", run.id).run.step_states
                for step in [step for step, state in states.items() if state.items]:
                    list(self.read("listWorkflowRunItems", run.id, step))

    def _settings(self) -> None:
        assert self.read("getDirective", self.first("listDirectives").id)
        assert self.read("getHarnessProfile", self.first("listHarnessProfiles").id)
        assert self.read("getRunTemplate", self.first("listRunTemplates").id)
        assert self.read("getMemoryEntry", self.first("listMemory").id)
        list(self.read("searchMemory", query="deploy"))
        list(self.read("listAnchors"))
        assert not list(self.read("listPermissionRules")), "the release had none, so none can be read alone"
        assert not list(self.read("listWorkspaces")), "the release had none"
        made = self._client.create_token(identity="ci", role="Viewer")
        assert made.token, "the release had none"
        assert self.first("listTokens", identity="ci") == self.read("getToken", made.token_id)
        assert self.first("listWorkQueues").item_count
        workflow_id = self.first("listWorkflows").id
        assert [one.id for one in self.read("findIds", workflow_id[-8:]).items] == [workflow_id]
        ask = self.first("listAsks")
        assert ask.status == "open", "the golden state has a waiting approval"
        assert self.read("getAsk", ask.id) == ask
        assert self.read("getPolicy").schema_version
        list(self.read("listPolicyConcurrencyRejections"))
        schedule = self.first("listSchedules")
        assert self.read("getSchedule", schedule.id)
        self.read("previewSchedule", schedule.id)
        self.read("getScheduleLogs", schedule.id)


@pytest.mark.parametrize("half", HALVES)
def test_every_read_decodes_what_an_earlier_release_left(golden: Server, half: str) -> None:
    with client_of(half, golden.url) as client:
        reader = Reader(client)
        reader.read_all()
        assert reader.called == READS - {"getMcpServer", "getPermissionRule", "getWorkspace", "getRunDiff"}


# Commands: the examples of all operations


fresh = server_of_module()


def arguments_of(operation_id: str, example: Example) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments of a method that sends an example."""
    path = re.sub(r":(\w+)", r"(?P<\1>[^/]+)", ROWS[operation_id].path)
    found = re.fullmatch(path, example.path)
    assert found
    named = {**(example.body or {}), **(example.query or {})}
    named.pop("format", None)
    return list(found.groups()), {snake(name): value for name, value in named.items() if value is not None}


@pytest.mark.parametrize("half", HALVES)
def test_every_command_is_sent_as_its_example_and_its_answer_decodes(fresh: Server, half: str) -> None:
    with client_of(half, fresh.url) as client:
        for operation_id, example in EXAMPLES.items():
            if operation_id in READS:
                continue
            positional, named = arguments_of(operation_id, example)
            try:
                answer = getattr(client, snake(operation_id))(*positional, **named)
            except AthenaError as error:
                assert error.status == example.status != 200, f"{operation_id}: {error}"  # noqa: PT017
                assert error.code in {"CONFIG_ERROR", "UNKNOWN_ERROR", "NOT_FOUND"}, operation_id
            else:
                assert example.status == 200, operation_id
                assert isinstance(answer, models.Model), operation_id


@pytest.mark.parametrize("half", HALVES)
def test_conditions_modes_and_keys_reach_the_server(fresh: Server, half: str) -> None:
    with client_of(half, fresh.url) as client:
        run = client.create_run(input="hello", respond_async=True, idempotency_key=f"key-{half}")
        assert isinstance(run, models.Run)
        again = client.create_run(input="hello", respond_async=True, idempotency_key=f"key-{half}")
        assert again.run_id == run.run_id
        profile = client.create_harness_profile(
            display_name="P",
            version="v1",
            policies=models.HarnessPolicies(timeout_ms=30_000, retry_limit=1, budget_usd=0),
            config=models.HarnessConfig(provider="mock", model="mock-model", tools=["memory"]),
        )
        template = client.create_run_template(
            harness_profile_id=profile.id, directive_template="say {{word}}", default_params={"word": "hey"}
        )
        changed = client.update_run_template(
            template.id,
            harness_profile_id=profile.id,
            directive_template="cry {{word}}",
            default_params={"word": "hey"},
            if_match=template.version,
        )
        assert changed.version == template.version + 1
        with pytest.raises(AthenaError) as refused:
            client.update_run_template(
                template.id,
                harness_profile_id=profile.id,
                directive_template="no",
                default_params={"word": "hey"},
                if_match=template.version,
            )
        assert (refused.value.code, refused.value.status) == ("PRECONDITION_FAILED", 412)
        policy = client.put_policy(schema_version=1, max_concurrent_runs=7)
        read = client.get_policy()
        assert read is not None
        assert policy.etag and read.etag == policy.etag
        later = client.put_policy(schema_version=1, max_concurrent_runs=8, if_match=policy.etag)
        assert later.etag != policy.etag
        with pytest.raises(AthenaError, match="PRECONDITION_FAILED"):
            client.put_policy(schema_version=1, max_concurrent_runs=9, if_match=policy.etag)
        answer = client.run_template(template.id, params={"word": "boo"})
        assert isinstance(answer, models.RunResult) and "cry boo" in answer.output

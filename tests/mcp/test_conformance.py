"""The conformance suite of MCP: the server half with the tools of the suite, and ``/mcp`` of a real server.

It knows 2025-06-18, 2025-11-25, 2026-07-28 and the extension of tasks. Each scenario passes but for the lists here.
"""

import subprocess
from pathlib import Path

import pytest

from tests.mcp.diagnostic_server import diagnostic_server
from tests.support.conformance import INSTALLED, NODE, SUITE
from tests.support.server import Server

pytestmark = [pytest.mark.heavy, pytest.mark.sqlite, INSTALLED]

NO_PROMPTS = "Athena offers no prompts"
ONLY_TEXT = "tools of Athena answer text and JSON"
NO_LOG = "Athena sends no log messages to clients; its log is the feed of events"
NO_SAMPLING = "Athena asks clients for no model and for no roots"
NO_COMPLETION = "Athena completes no arguments"
NO_SUBSCRIPTION = "clients follow a run by wait_for_run, a task or the feed"
NO_SCHEMA = "Athena's tools have plain schemas, without references and conditions"
NO_HEADERS = "no tool of Athena maps a parameter to a header field"
NO_FAILED_TASK = "a run that fails is a completed task with an error, so none fails by the protocol"

EXPECTED = {
    "logging-set-level": NO_LOG,
    "tools-call-with-logging": NO_LOG,
    "completion-complete": NO_COMPLETION,
    "tools-call-image": ONLY_TEXT,
    "tools-call-audio": ONLY_TEXT,
    "tools-call-embedded-resource": ONLY_TEXT,
    "tools-call-mixed-content": ONLY_TEXT,
    "resources-read-binary": ONLY_TEXT,
    "tools-call-sampling": NO_SAMPLING,
    "input-required-result-basic-sampling": NO_SAMPLING,
    "input-required-result-basic-list-roots": NO_SAMPLING,
    "input-required-result-multiple-input-requests": NO_SAMPLING,
    "input-required-result-capability-check": NO_SAMPLING,
    "dns-rebinding-protection": "the door of the application checks hosts and origins, not the server half",
    "resources-subscribe": NO_SUBSCRIPTION,
    "resources-unsubscribe": NO_SUBSCRIPTION,
    "json-schema-2020-12": NO_SCHEMA,
    "http-custom-header-server-validation": NO_HEADERS,
    "tasks-lifecycle": NO_FAILED_TASK,
    **dict.fromkeys(
        (
            "prompts-list",
            "prompts-get-simple",
            "prompts-get-with-args",
            "prompts-get-embedded-resource",
            "prompts-get-with-image",
            "input-required-result-non-tool-request",
            "caching",
        ),
        NO_PROMPTS,
    ),
}
"""Scenarios that the server half does not pass, with the reasons."""

NEEDS_TOOLS = frozenset(
    (
        "elicitation-sep1034-defaults",
        "elicitation-sep1330-enums",
        "input-required-result-basic-elicitation",
        "input-required-result-multi-round",
        "input-required-result-request-state",
        "input-required-result-result-type",
        "input-required-result-tampered-state",
        "resources-read-text",
        "resources-templates-read",
        "server-stateless",
        "tasks-capability-negotiation",
        "tasks-dispatch-and-envelope",
        "tasks-mrtr-composition",
        "tasks-mrtr-input",
        "tasks-request-headers",
        "tasks-request-state-removal",
        "tasks-required-task-error",
        "tasks-wire-fields",
        "tools-call-elicitation",
        "tools-call-error",
        "tools-call-simple-text",
        "tools-call-with-progress",
    )
)
"""Scenarios that call tools or resources of the suite, which a real server does not have."""


def failures(url: str) -> dict[str, str]:
    """Run all scenarios. Return the lines of those that failed, by name."""
    command = [str(NODE), str(SUITE), "server", "--url", url, "--suite", "all", "--timeout", "20000"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    summary = ran.stdout.partition("=== SUMMARY ===")[2]
    lines = [line.strip() for line in summary.splitlines() if line.startswith(("✓", "✗"))]
    assert len(lines) > 60, ran.stdout[-2000:] + ran.stderr[-2000:]
    return {line[2:].partition(":")[0]: line for line in lines if line.startswith("✗")}


def test_the_server_half_passes_but_for_what_it_lacks() -> None:
    with diagnostic_server() as url:
        failed = failures(url)
    assert failed.keys() == EXPECTED.keys(), failed


def test_the_application_passes_but_for_the_tools_of_the_suite(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        failed = failures(server.url + "/mcp")
    assert failed.keys() == (EXPECTED.keys() | NEEDS_TOOLS) - {"dns-rebinding-protection"}, failed

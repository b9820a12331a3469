"""Runs by the TypeScript client: streams of tools and text, failures, cancels, and one run for each call."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.console.scene import set_up
from tests.support.node import Project
from tests.support.server import Server

HEAD = """
import { Athena, AthenaError } from "@projectathena/client";
const athena = new Athena({ baseUrl: process.env.URL ?? "" });
const tell = (value: unknown): void => console.log(JSON.stringify(value));
"""
STREAM = """
const handle = await athena.start("Report how pears sold this week.", { harnessProfileId: process.env.PROFILE });
let text = "";
for await (const part of handle.stream()) {
  if (part.type === "text") text += part.text;
  if (part.type === "text-reset") text = "";
  if (part.type === "message") tell(["message", part.text === text]);
  if (part.type === "message") text = "";
  if (part.type === "tool-call") tell(["call", part.name, JSON.parse(part.arguments ?? "{}")]);
  if (part.type === "tool-result") tell(["result", part.name, part.isError]);
  if (part.type === "end") tell(["end", part.run.status, part.run.runId === handle.id]);
}
const again: string[] = [];
for await (const part of athena.follow(handle.id).stream()) again.push(part.type);
tell(again);
"""
FAILURE = """
try {
  await athena.run("read what is hard to read", { harnessProfileId: process.env.PROFILE });
} catch (error) {
  if (!(error instanceof AthenaError)) throw error;
  const run = await athena.follow(error.runId ?? "").wait();
  tell([error.code, error.status, error.retryable, run.status, run.error?.code]);
}
"""
CANCEL = """
const handle = await athena.start(process.env.ORDER, { provider: "local-exec", model: "script" });
const parts: string[] = [];
for await (const part of handle.stream()) parts.push(part.type === "end" ? part.run.status : part.type);
tell(parts);
"""
KEYS = """
const options = { idempotencyKey: "mine" };
const [first, second] = await Promise.all([athena.run("x", {}, options), athena.run("x", {}, options)]);
tell(first.runId === second.runId);
const signal = AbortSignal.timeout(1);
await athena.run("y", {}, { signal }).catch((error) => tell(error.name));
const handle = await athena.start("z");
tell([(await handle.wait()).status, (await handle.get()).runId === handle.id]);
"""


def lines(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def programs(project: Project) -> Project:
    texts = {"stream": STREAM, "failure": FAILURE, "cancel": CANCEL, "keys": KEYS}
    assert project.build(**{name: HEAD + text for name, text in texts.items()}) == ""
    return project


def test_a_stream_gives_text_tools_and_the_end(programs: Project, tmp_path: Path) -> None:
    with set_up(tmp_path / "scene") as scene:
        told = lines(programs.run("stream", URL=scene.server.url, PROFILE=scene.agent_id))
        failed = lines(programs.run("failure", URL=scene.server.url, PROFILE=scene.agent_id))
    assert [line[:2] for line in told[:-1]] == [
        *(["call", "files"], ["result", "files"], ["call", "shell"], ["result", "shell"]),
        *(["call", "evidence"], ["result", "evidence"], ["message", True], ["end", "completed"]),
    ]
    assert told[0][2]["path"] == "report.md" and told[1][2] is False and told[-2][2] is True
    assert told[-1] == [*["tool-call", "tool-result"] * 3, "text", "message", "end"]
    assert failed == [["PROVIDER_ERROR", 502, False, "failed", "PROVIDER_ERROR"]]


def test_a_stream_ends_when_the_run_is_cancelled(programs: Project, tmp_path: Path) -> None:
    with set_up(tmp_path / "scene") as scene:
        gate = scene.gates["stop"]
        with programs.start("cancel", URL=scene.server.url, ORDER=gate.order) as process:
            gate.arrival()
            (run,) = scene.api.get("/runs/active")["items"]
            scene.api.post(f"/run-control/by-run/{run['runId']}/cancel", {})
            output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert lines(output) == [["cancelled"]]


def test_a_key_stands_for_one_run(programs: Project, server: Server) -> None:
    assert lines(programs.run("keys", URL=server.url)) == [True, "TimeoutError", ["completed", True]]
    inputs = [event for event in server.api.events() if event["type"] == "run.created"]
    assert len(inputs) in {2, 3}, "the aborted call may have arrived"

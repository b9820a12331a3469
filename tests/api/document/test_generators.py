"""Generators of other people make clients of the API document that are strictly typed and work with a real server.

``.ci/run`` installs the tools. A tool that is not installed is skipped by its name.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import lack, lack_of
from tests.support.server import Server

ORVAL = ("orval@7.13.2", "typescript@5.9.3")
TYPESCRIPT = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")

USE_PYTHON_CLIENT = """
import sys
from generated import Client
from generated.api.runs import create_run, get_run, list_runs
from generated.models import Failure, RunAnswer, RunBody, RunPageAnswer, RunResultAnswer

client = Client(base_url=sys.argv[1])
done = create_run.sync(client=client, body=RunBody(input_="hello", session_id="generated"))
assert isinstance(done, RunResultAnswer), done
started = create_run.sync(client=client, body=RunBody(input_="hello"), prefer="respond-async")
assert isinstance(started, RunAnswer), started
page = list_runs.sync(client=client, limit=2)
assert isinstance(page, RunPageAnswer) and len(page.data.items) == 2, page
missing = get_run.sync(client=client, run_id="run_none")
assert isinstance(missing, Failure) and missing.error.code == "NOT_FOUND", missing
"""
USE_MODELS = """
import sys
import msgspec
import models

answers = msgspec.json.decode(sys.stdin.buffer.read())
run = msgspec.convert(answers["run"], models.RunAnswer).data
assert run.status == "completed" and run.sessionId == "models", run
assert len(msgspec.convert(answers["runs"], models.RunPageAnswer).data.items) >= 1
assert msgspec.convert(answers["failure"], models.Failure).error.code == "NOT_FOUND"
"""
USE_TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const done = await client.POST("/api/v1/runs", { body: { input: "hello", sessionId: "typescript" } });
if (done.data === undefined) throw new Error(done.error.error.message);
if (!("output" in done.data.data)) throw new Error("not a result");
const page = await client.GET("/api/v1/runs", { params: { query: { limit: 1, status: "completed" } } });
const status: "completed" | string | undefined = page.data?.data.items[0]?.status;
if (status !== "completed") throw new Error(String(status));
const missing = await client.GET("/api/v1/runs/{runId}", { params: { path: { runId: "run_none" } } });
if (missing.error?.error.code !== "NOT_FOUND") throw new Error(JSON.stringify(missing));
"""
USE_ORVAL = """
import { createRun, getRun, listRuns } from "./generated";

const done = await createRun({ input: "hello", sessionId: "orval" });
if (done.status !== 200) throw new Error(JSON.stringify(done));
if (done.data.data.output !== "Echo: user: hello") throw new Error(done.data.data.output);
const page = await listRuns({ limit: 1 });
if (page.status !== 200 || page.data.data.items.length !== 1) throw new Error(JSON.stringify(page));
const missing = await getRun("run_none");
if (missing.status !== 404 || missing.data.error.code !== "NOT_FOUND") throw new Error(JSON.stringify(missing));
"""

pytestmark = [pytest.mark.heavy, pytest.mark.sqlite, pytest.mark.timeout(600)]


def tool(name: str) -> str:
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        pytest.skip(lack_of(name))
    return str(found)


def run(*command: str, at: Path, given: str | None = None) -> None:
    done = subprocess.run(command, cwd=at, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-5_000:]}{done.stderr[-5_000:]}"


def document(server: Server, path: Path) -> str:
    (path / "openapi.json").write_bytes(server.api.http.get(server.url + "/openapi.json").content)
    return "openapi.json"


def test_openapi_python_client(shared: Server, tmp_path: Path) -> None:
    generate = [tool("openapi-python-client"), "generate", "--path", document(shared, tmp_path)]
    run(*generate, "--meta", "none", "--output-path", "generated", at=tmp_path)
    (tmp_path / "use.py").write_text(USE_PYTHON_CLIENT)
    run(sys.executable, "-m", "mypy", "--strict", "generated", "use.py", at=tmp_path)
    run(sys.executable, "use.py", shared.url, at=tmp_path)


def test_a_package_of_openapi_python_client_has_another_name_than_ours(shared: Server, tmp_path: Path) -> None:
    """Two packages of one name cannot be installed beside each other."""
    run(tool("openapi-python-client"), "generate", "--path", document(shared, tmp_path), at=tmp_path)
    (made,) = (path.parent.name for path in tmp_path.glob("*/*/client.py"))
    ours = {path.parent.name for path in Path("clients/python").glob("*/__init__.py")}
    assert (made, ours) == ("athena_api_client", {"athena_client"})


def test_datamodel_code_generator(shared: Server, tmp_path: Path) -> None:
    generate = [tool("datamodel-codegen"), "--input", document(shared, tmp_path), "--input-file-type", "openapi"]
    generate += ["--output-model-type", "msgspec.Struct", "--use-msgspec-tagged-unions"]
    run(*generate, "--enum-field-as-literal", "all", "--output", "models.py", at=tmp_path)
    (tmp_path / "use.py").write_text(USE_MODELS)
    run(sys.executable, "-m", "mypy", "--strict", "models.py", at=tmp_path)
    started = shared.api.run("hello", sessionId="models")
    paths = {"run": f"/runs/{started['runId']}", "runs": "/runs", "failure": "/runs/run_none"}
    answers = {name: shared.api.http.get(shared.url + "/api/v1" + path).json() for name, path in paths.items()}
    run(sys.executable, "use.py", at=tmp_path, given=json.dumps(answers))


def test_datamodel_code_generator_reads_the_schema_of_events(shared: Server, tmp_path: Path) -> None:
    (tmp_path / "events.json").write_bytes(shared.api.http.get(shared.url + "/events.schema.json").content)
    generate = [tool("datamodel-codegen"), "--input", "events.json", "--input-file-type", "jsonschema"]
    generate += ["--output-model-type", "msgspec.Struct", "--use-msgspec-tagged-unions"]
    run(*generate, "--enum-field-as-literal", "all", "--output", "events.py", at=tmp_path)
    run(sys.executable, "-m", "mypy", "--strict", "events.py", at=tmp_path)
    shared.api.run("hello", sessionId="typed")
    use = "import sys, msgspec, events\n[print(msgspec.json.decode(line, type=events.Event)) for line in sys.stdin]"
    lines = "".join(json.dumps(event) + "\n" for event in shared.api.events(sessionId="typed"))
    run(sys.executable, "-c", use, at=tmp_path, given=lines)


def install(at: Path, *packages: str) -> None:
    """Install packages from npm, and types of node."""
    if shutil.which("npm") is None:
        pytest.skip(lack("npm"))
    (at / "package.json").write_text('{"private": true, "type": "module"}')
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", *packages, "@types/node@20.19.43"]
    if subprocess.run(command, cwd=at, check=False, capture_output=True).returncode:
        pytest.skip(f"{packages[0]} could not be installed")


def test_orval(shared: Server, tmp_path: Path) -> None:
    install(tmp_path, *ORVAL)
    output = {"target": "generated.ts", "client": "fetch", "baseUrl": shared.url}
    config = {"athena": {"input": document(shared, tmp_path), "output": output}}
    (tmp_path / "orval.config.cjs").write_text(f"module.exports = {json.dumps(config)};")
    run("npx", "orval", "--config", "orval.config.cjs", at=tmp_path)
    (tmp_path / "use.ts").write_text(USE_ORVAL)
    options = ["--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    run("npx", "tsc", *options, "--lib", "es2022,dom", "--outDir", "built", "use.ts", at=tmp_path)
    code = (tmp_path / "built" / "use.js").read_text().replace('"./generated"', '"./generated.js"')
    (tmp_path / "built" / "use.js").write_text(code)
    run("node", "built/use.js", at=tmp_path)


def test_openapi_typescript(shared: Server, tmp_path: Path) -> None:
    install(tmp_path, *TYPESCRIPT)
    run("npx", "openapi-typescript", document(shared, tmp_path), "--output", "api.d.ts", at=tmp_path)
    (tmp_path / "use.ts").write_text(USE_TYPESCRIPT)
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--types", "node"]
    run("npx", "tsc", *options, "use.ts", at=tmp_path)
    run("node", "use.js", shared.url, at=tmp_path)

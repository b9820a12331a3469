"""OpenAPI Generator makes clients for Python, TypeScript and Go that compile strictly and work with a real server.

``make clients`` installs the generator and runs this file. A tool that is not installed is skipped by its name.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import lack
from tests.support.server import Server

GO_LIBRARIES = Path("/usr/share/gocode")
"""Libraries of Debian, for machines that reach no proxy of Go modules (golang-gopkg-validator.v2-dev)."""

USE_PYTHON = """
import sys
from generated import ApiClient, Configuration, RunAnswer, RunBody, RunsApi
from generated.exceptions import NotFoundException

runs = RunsApi(ApiClient(Configuration(host=sys.argv[1])))
done = runs.create_run(run_body=RunBody(input="hello", sessionId="generated"))
assert done.data.output == "Echo: user: hello", done
started = runs.create_run_with_http_info(run_body=RunBody(input="hello"), prefer="respond-async")
assert started.status_code == 202 and isinstance(started.data, RunAnswer), started
assert len(runs.list_runs(limit=2).data.items) == 2
try:
    runs.get_run("run_none")
except NotFoundException as error:
    assert error.data.error.code == "NOT_FOUND", error
else:
    raise AssertionError("no error")
"""
USE_TYPESCRIPT = """
import { Configuration, ResponseError, RunsApi, type Failure } from "./generated";

async function main(): Promise<void> {
  const runs = new RunsApi(new Configuration({ basePath: process.argv[2] }));
  const done = await runs.createRun({ runBody: { input: "hello", sessionId: "typescript" } });
  if (done.data.output !== "Echo: user: hello") throw new Error(JSON.stringify(done));
  const started = await runs.createRunRaw({ runBody: { input: "hello" }, prefer: "respond-async" });
  if (started.raw.status !== 202) throw new Error(String(started.raw.status));
  const page = await runs.listRuns({ limit: 2 });
  if (page.data.items.length !== 2) throw new Error(JSON.stringify(page));
  try {
    await runs.getRun({ runId: "run_none" });
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    const failure = (await error.response.json()) as Failure;
    if (failure.error.code === "NOT_FOUND") return;
  }
  throw new Error("no error");
}
main().catch((error: unknown) => { console.error(error); process.exit(1); });
"""
USE_GO = """
package main

import (
	"context"
	"os"

	athena "generated"
)

func check(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func main() {
	configuration := athena.NewConfiguration()
	configuration.Servers = athena.ServerConfigurations{{URL: os.Args[1]}}
	runs := athena.NewAPIClient(configuration).RunsAPI
	ctx := context.Background()
	body := athena.NewRunBody()
	body.SetInput("hello")
	done, _, err := runs.CreateRun(ctx).RunBody(*body).Execute()
	check(err == nil && done.Data.Output == "Echo: user: hello", "create")
	_, started, _ := runs.CreateRun(ctx).RunBody(*body).Prefer("respond-async").Execute()
	check(started != nil && started.StatusCode == 202, "accepted")
	page, _, err := runs.ListRuns(ctx).Limit(2).Execute()
	check(err == nil && len(page.Data.Items) == 2, "list")
	_, _, err = runs.GetRun(ctx, "run_none").Execute()
	failed, known := err.(*athena.GenericOpenAPIError)
	check(known, "error")
	failure, known := failed.Model().(athena.Failure)
	check(known && failure.Error.Code == "NOT_FOUND", "failure")
}
"""

pytestmark = [pytest.mark.heavy, pytest.mark.sqlite, pytest.mark.timeout(600)]


def run(*command: str, at: Path, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=at, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5_000:]}{done.stderr[-5_000:]}"


def generate(server: Server, kind: str, place: Path, *more: str) -> None:
    tool = Path(sys.executable).with_name("openapi-generator-cli")
    if not tool.exists():
        pytest.skip(lack("openapi-generator-cli", remedy="make clients"))
    (place / "openapi.json").write_bytes(server.api.http.get(server.url + "/openapi.json").content)
    run(str(tool), "generate", "-i", "openapi.json", "-g", kind, "-o", "generated", *more, at=place)


def test_python(shared: Server, tmp_path: Path) -> None:
    generate(shared, "python", tmp_path, "--package-name", "generated")
    package = tmp_path / "generated"
    (package / "use.py").write_text(USE_PYTHON)
    run(sys.executable, "use.py", shared.url, at=package)
    run(sys.executable, "-m", "mypy", "--ignore-missing-imports", "use.py", at=package)


def test_typescript_fetch(shared: Server, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip(lack("npm"))
    generate(shared, "typescript-fetch", tmp_path)
    (tmp_path / "use.ts").write_text(USE_TYPESCRIPT)
    (tmp_path / "package.json").write_text('{"private": true}')
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "typescript@5.9.3", "@types/node@20.19.43"]
    if subprocess.run(install, cwd=tmp_path, check=False, capture_output=True).returncode:
        pytest.skip("typescript could not be installed")
    run("npx", "tsc", "--strict", "--target", "es2022", "--module", "commonjs", "use.ts", at=tmp_path)
    run("node", "use.js", shared.url, at=tmp_path)


def test_go(shared: Server, tmp_path: Path) -> None:
    if shutil.which("go") is None or not (GO_LIBRARIES / "src" / "gopkg.in" / "validator.v2").exists():
        pytest.skip(lack("go"))
    (tmp_path / "src").mkdir()
    options = "packageName=generated,enumClassPrefix=true,withGoMod=false"
    generate(shared, "go", tmp_path / "src", "--additional-properties", options)
    shutil.rmtree(tmp_path / "src" / "generated" / "test", ignore_errors=True)
    (tmp_path / "src" / "use").mkdir()
    (tmp_path / "src" / "use" / "main.go").write_text(USE_GO)
    modules = {"GO111MODULE": "off", "GOPATH": f"{tmp_path}:{GO_LIBRARIES}"}
    run("go", "vet", "generated", at=tmp_path, **modules)
    run("go", "run", "use", shared.url, at=tmp_path, **modules)

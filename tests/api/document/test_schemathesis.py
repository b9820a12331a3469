"""The document and the server agree on all requests that Schemathesis sends, valid and invalid."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from athena_api.operations import OPERATIONS
from tests.api.examples import PROFILE
from tests.conftest import Serve
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support.server import NO_FLOOD
from tests.support.vouched import VOUCHED

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
ALL_PHASES = "examples,coverage,fuzzing,stateful"
PHASES = {None: sized("fuzzing", ALL_PHASES, ALL_PHASES), "ada": ALL_PHASES, "vera": sized("", "fuzzing", ALL_PHASES)}
WHO = ["ada", "vera"]
EXAMPLES = {None: sized(2, 2, 500), "ada": 500, "vera": sized(0, 4, 500)}
"""Of each operation; a Viewer is refused most of what others may."""

COUNTED = re.compile(r"Tested: |[0-9,]+ generated")
"""What its summary counts."""

GUARDED = {
    **VOUCHED,
    "auth_identity_role_map": "ada:Admin,vera:Viewer",
    "requests_per_second": "100000",
    **NO_FLOOD,
}


@pytest.mark.heavy
@pytest.mark.sqlite  # it is about documents and inputs, and takes minutes
@pytest.mark.timeout(sized(300, 1_800, 7_200))
@pytest.mark.parametrize("identity", sized([None], [None, "vera"], [None, *WHO]))
def test_schemathesis_finds_nothing(serve: Serve, tmp_path: Path, identity: str | None) -> None:
    server = serve(**(GUARDED if identity else {}))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    command += ["run", server.url + "/openapi.json", "--no-color", f"--max-examples={EXAMPLES[identity]}"]
    command += [f"--phases={PHASES[identity]}", f"--seed={fresh_seed('schemathesis')}"]
    if identity is not None:
        command += ["--header", f"x-athena-identity: {identity}"]
        command += ["--header", f"x-athena-proxy-secret: {VOUCHED['auth_proxy_secret']}"]
    if identity == "vera":  # many valid requests are denied to a Viewer: the documented answer is 403
        command += ["--exclude-checks", "positive_data_acceptance"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment["SCHEMATHESIS_HOOKS"] = str(Path(__file__).with_name("schemathesis_hooks.py"))
    environment["SCHEMATHESIS_PROFILE"] = server.client("ada").post("/harness-profiles", PROFILE)["id"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    print("\n".join(line for line in done.stdout.splitlines() if COUNTED.match(line.strip())))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    tested = sum(not row.stream and row.id != "startHalt" for row in OPERATIONS)  # as the configuration says
    assert f"Tested: {tested}" in done.stdout, "an operation was left out:\n" + done.stdout[-5_000:]

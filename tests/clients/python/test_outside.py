"""The client from outside: its wheel alone in an environment, strictly typed user code, and the time of its import."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from athena_client import __version__
from athena_core import __version__ as server_version
from tests.support import blocks, outside, tree
from tests.support.programs import needs
from tests.support.server import Server, server_of_module
from tests.support.token_server import TOKENS_ONLY, put_token

PAGE = "docs/reference/from-python.md"
HERE = Path(__file__).parent
SERVER = "http://127.0.0.1:8787"
IMPORT_SECONDS = 0.15
TEN_TIMES = 10  # decision: printed, and asserted at ten times its value, because a machine may be busy
IMPORTS = 5


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the client alone."""
    return outside.environment(tmp_path_factory.mktemp("outside"))


server = server_of_module()


@pytest.fixture
def programs(tmp_path: Path) -> list[Path]:
    """The programs of the page, and further code of a user, as files."""
    files = [tmp_path / f"page_{name.replace('-', '_')}.py" for name in blocks.blocks(PAGE)]
    for file, program in zip(files, blocks.blocks(PAGE).values(), strict=True):
        file.write_text(program)
    shutil.copy(HERE / "user_code.py", tmp_path)
    return [*files, tmp_path / "user_code.py"]


def ask(python: Path, code: str) -> str:
    command = [str(python), "-I", "-c", code]  # without the folder of the caller
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_environment_has_the_client_and_nothing_of_the_server(python: Path) -> None:
    found = ask(
        python, "import athena_client, importlib.util as u; print(u.find_spec('athena_core'), athena_client.__file__)"
    )
    assert found.startswith("None ")
    assert str(python.parents[1]) in found
    names = ask(
        python, "from importlib.metadata import distributions as d; print(*sorted(x.name for x in d()))"
    ).split()
    assert {"athena-client", "httpx2", "msgspec"} <= set(names)
    assert not {"projectathena", "starlette", "apsw", "eventsourcing", "uvicorn"} & set(names)


def test_the_wheel_has_types_a_licence_and_the_version_of_the_server(python: Path) -> None:
    assert __version__ == server_version
    (wheel,) = (python.parents[1] / "wheel").glob("*.whl")
    assert wheel.name == f"athena_client-{server_version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    assert "athena_client/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert (outside.CLIENT / "LICENSE").read_bytes() == (tree.ROOT / "LICENSE").read_bytes()


@pytest.mark.heavy
@pytest.mark.parametrize("halves", ["Athena", "AsyncAthena", "Athena, AsyncAthena"])
def test_the_import_is_quick(python: Path, halves: str) -> None:
    code = f"import time; t = time.perf_counter(); from athena_client import {halves}; print(time.perf_counter() - t)"
    ask(python, code)  # compiles
    seconds = min(float(ask(python, code)) for _ in range(IMPORTS))
    print(f"from athena_client import {halves}: {seconds * 1000:.0f} ms (wanted: {IMPORT_SECONDS * 1000:.0f} ms)")
    assert seconds < IMPORT_SECONDS * TEN_TIMES


def test_the_import_loads_one_half_and_no_events(python: Path) -> None:
    loaded = ask(python, "from athena_client import Athena; import sys; print(*sys.modules)").split()
    assert {"athena_client.models", "athena_client._sync.operations"} <= set(loaded)
    assert not {"athena_client.events", "athena_client._async.operations", "rich", "pydantic"} & set(loaded)


@pytest.mark.heavy
def test_mypy_understands_user_code_strictly(python: Path, programs: list[Path]) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "--config-file="]
    done = subprocess.run(
        [*command, *map(str, programs)], cwd=programs[0].parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.heavy
@needs("node")
def test_pyright_understands_user_code_strictly(python: Path, programs: list[Path]) -> None:
    folder = programs[0].parent
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", str(python)]
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 warnings" in done.stdout


@pytest.mark.parametrize("name", sorted(blocks.blocks(PAGE).keys() - {"token"}))
def test_each_program_of_the_page_runs(python: Path, server: Server, tmp_path: Path, name: str) -> None:
    program = blocks.blocks(PAGE)[name].replace(SERVER, server.url)
    blocks.run(program, tmp_path, python)


def test_the_program_with_a_token_runs(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(tmp_path, **TOKENS_ONLY) as server:
        monkeypatch.setenv("ATHENA_TOKEN", put_token(server).text)
        output = blocks.run(blocks.blocks(PAGE)["token"].replace(SERVER, server.url), tmp_path, python)
    assert output == "ci Operator\nAUTH_TOKEN_INVALID 401\n"


def test_the_quick_start_shows_what_it_says(python: Path, server: Server, tmp_path: Path) -> None:
    program = blocks.blocks(PAGE)["quick-start"]
    assert len(program.splitlines()) <= 30
    output = blocks.run(program.replace(SERVER, server.url), tmp_path, python)
    assert "completed" in output

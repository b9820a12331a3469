"""The page "From TypeScript": its programs are type-checked strictly, and do what it shows."""

import re
from pathlib import Path

from tests.support.node import CLIENT, NAME, Project
from tests.support.process import ROOT
from tests.support.server import Server
from tests.support.token_server import TOKENS_ONLY, put_token

PAGE = (ROOT / "docs" / "reference" / "from-typescript.md").read_text("utf-8")
PROGRAM = re.compile(r"<!-- run: node (\w+) -->\n```ts\n(.*?)^```\n\n```text\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROGRAMS = {name: (program, output) for name, program, output in PROGRAM.findall(PAGE)}


def test_the_programs_do_what_they_show(project: Project, server: Server, tmp_path: Path) -> None:
    assert PAGE.count("```ts\n") == len(PROGRAMS) >= 4
    assert project.build(**{name: program for name, (program, _) in PROGRAMS.items()}) == ""
    for name, (_, output) in PROGRAMS.items():
        if name != "tokens":
            assert project.run(name, ATHENA_API_BASE_URL=server.url) == output, name
    with Server(tmp_path / "guarded", **TOKENS_ONLY) as guarded:
        variables = {"ATHENA_API_BASE_URL": guarded.url, "ATHENA_TOKEN": put_token(guarded).text}
        assert project.run("tokens", **variables) == PROGRAMS["tokens"][1]


def test_the_program_of_the_package_runs(project: Project, server: Server) -> None:
    (program,) = re.findall(r"^```ts\n(.*?)^```$", (CLIENT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert project.build(readme=program.replace("http://127.0.0.1:8787", server.url)) == ""
    assert project.run("readme") == "Echo: user: Say hello.\n"


def test_a_wrong_program_is_reported(project: Project) -> None:
    head = f'import {{ Athena }} from "{NAME}";\nconst athena = new Athena();\n'
    mistakes = [
        'athena.listRuns({ status: "complete" });',
        "(await athena.getRun()).status;",
        "for await (const run of athena.listRuns()) run.stauts;",
        'for await (const event of athena.events()) if (event.type === "run.created") event.payload.modle;',
        'await athena.createRun({ input: "x" }, { respondAsnyc: true });',
    ]
    reported = project.build(**{f"wrong{index}": head + text for index, text in enumerate(mistakes)})
    assert {int(index) for index in re.findall(r"wrong(\d)\.ts\(3,", reported)} == set(range(len(mistakes))), reported

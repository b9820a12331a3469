"""The token of the TypeScript client on a real server: until it is revoked, and after it has expired."""

from pathlib import Path

from tests.support.node import NAME, Project
from tests.support.server import Server
from tests.support.token_server import TOKENS_ONLY, put_token, revoke_token

PROGRAM = f"""
import {{ Athena, AthenaError }} from "{NAME}";

const baseUrl = process.env.ATHENA_API_BASE_URL ?? "";
const codeOf = (error: unknown): string => (error instanceof AthenaError ? error.code : String(error));
const athena = new Athena({{ baseUrl, token: process.env.ATHENA_TOKEN ?? "" }});
console.log((await athena.run("hello")).output);
try {{
  for await (const event of athena.events({{ after: "latest", onConnection: (lost) => lost ?? console.log("open") }}))
    console.log(event.type);
}} catch (error) {{
  console.log(codeOf(error));
}}
const late = new Athena({{ baseUrl, token: process.env.LATE ?? "" }});
console.log(await late.run("hello").catch(codeOf));
console.log(await new Athena({{ baseUrl }}).run("hello").catch(codeOf));
"""


def test_a_server_takes_the_token_until_it_is_revoked(project: Project, tmp_path: Path) -> None:
    assert project.build(program=PROGRAM) == ""
    with Server(tmp_path / "guarded", **TOKENS_ONLY) as server:
        token, late = put_token(server), put_token(server, ms=1)
        variables = {"ATHENA_API_BASE_URL": server.url, "ATHENA_TOKEN": token.text, "LATE": late.text}
        with project.start("program", **variables) as process:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == ["Echo: user: hello\n", "open\n"]
            revoke_token(server, token)
            rest, errors = process.communicate(timeout=60)
        codes = [line for line in rest.splitlines() if line.startswith("AUTH")]
        assert codes == ["AUTH_TOKEN_INVALID", "AUTH_TOKEN_EXPIRED", "AUTH_TOKEN_MISSING"], rest + errors
        assert token.text not in rest + errors

"""Good and bad credentials files, for every part that reads one.

``@DIR@`` is a directory with the secret files of ``SECRET_FILES``. ``CANARY`` is a secret in a wrong place, which no
error may quote.
"""

from pathlib import Path
from typing import NamedTuple

CANARY = "c4nary-s3cret-0f-the-corpus"
SECRET_FILES = {"key": "a-good-s3cret\n", "other": "another_s3cret"}
ENTRY = """
[credentials.a]
header = "Authorization: Bearer {secret}"
hosts = ["api.example.org"]
secret = { file = "@DIR@/key" }
"""


class BadFile(NamedTuple):
    """A credentials file that is refused, and the beginning of the reason after the path of the file."""

    text: str
    reason: str


def entry(**members: str) -> str:
    """Return a file of one entry with other members. Values are TOML; an empty one leaves the member out."""
    usual = {
        "header": '"Authorization: Bearer {secret}"',
        "hosts": '["api.example.org"]',
        "secret": '{ file = "@DIR@/key" }',
    }
    lines = (f"{name} = {value}" for name, value in {**usual, **members}.items() if value)
    return "\n".join(["[credentials.a]", *lines, ""])


GOOD = {
    "empty": "",
    "no entries": "[credentials]\n",
    "one": ENTRY,
    "query": entry(header="", query='"key={secret}"'),
    "query with a prefix": entry(header="", query='"auth=token-{secret}"'),
    "cookie": entry(header='"Cookie: session={secret}"'),
    "own header": entry(header='"X-Api-Key: {secret}"'),
    "several hosts": entry(hosts='["API.example.org.", "*.example.org:8443", "192.0.2.1", "[2001:DB8::1]:8443"]'),
    "private": entry(hosts='["localhost:8080", "127.0.0.1:8080", "db.internal"]', private="true"),
    "variable": entry(secret='{ env = "ATHENS_KEY" }'),
    "command": entry(secret='{ command = ["echo", "printed-s3cret"], refreshSeconds = 60 }'),
    "names": entry() + entry().replace(".a]", '."B.c_d-1"]'),
}
LONG = "x" * 70_000

BAD = {
    "not TOML": BadFile(f"[credentials.a]\nheader = {CANARY}\n", "line 2, column 10: not valid TOML"),
    "a name twice": BadFile(entry() + f'header = "X-A: {CANARY}{{secret}}"\n', "line 5, column"),
    "a table twice": BadFile(entry() + "[credentials.a]\n", "line 5, column"),
    "too large": BadFile(f"# {LONG}\n", "the file is larger than 65536 bytes"),
    "nested too deep": BadFile(f"a = {'[' * 30_000}", "not valid TOML"),
    "a name of too many parts": BadFile(f"\na{'.a' * 501} = 1", "line 2: more than 500 dots"),
    "a huge number": BadFile(f"a = {'9' * 5_000}", "not valid TOML"),
    "unknown at the top": BadFile(f'token = "{CANARY}"\n', "unknown member 'token'. Known are credentials."),
    "a secret as a name at the top": BadFile(f'"{CANARY}" = 1\n', "unknown member (not shown, it may be a secret)"),
    "credentials is no table": BadFile(f'credentials = "{CANARY}"\n', "credentials: expected a table"),
    "an entry is no table": BadFile(f'[credentials]\na = "{CANARY}"\n', "credentials.a: expected a table"),
    "a bad name": BadFile(entry().replace(".a]", f'."{CANARY} x"]'), "credentials: the name of an entry"),
    "a long name": BadFile(entry().replace(".a]", f".{'a' * 129}]"), "credentials: the name of an entry"),
    "too many": BadFile("".join(f"[credentials.a{n}]\n" for n in range(101)), "credentials: more than 100 entries"),
    "unknown in an entry": BadFile(
        entry(token=f'"{CANARY}"'),
        "credentials.a: unknown member 'token'. Known are header, query, hosts, secret, private.",
    ),
    "unknown in a source": BadFile(
        entry(secret=f'{{ file = "@DIR@/key", value = "{CANARY}" }}'), "credentials.a.secret: unknown member 'value'"
    ),
    "no place": BadFile(entry(header=""), "credentials.a: exactly one of header and query"),
    "two places": BadFile(entry(query='"key={secret}"'), "credentials.a: exactly one of header and query"),
    "no hosts": BadFile(entry(hosts=""), "credentials.a.hosts: expected a list of 1 to 50 hosts"),
    "an empty list of hosts": BadFile(entry(hosts="[]"), "credentials.a.hosts: expected a list of 1 to 50 hosts"),
    "too many hosts": BadFile(
        entry(hosts=str([f"h{n}.example.org" for n in range(51)])), "credentials.a.hosts: expected a list of 1 to 50"
    ),
    "a host twice": BadFile(
        entry(hosts='["a.example.org", "A.example.org."]'), "credentials.a.hosts[1]: is the same as hosts[0]"
    ),
    "a host is no text": BadFile(entry(hosts="[1]"), "credentials.a.hosts[0]: expected printable text"),
    "a URL": BadFile(entry(hosts=f'["https://u:{CANARY}@a.example.org"]'), "credentials.a.hosts[0]: is a URL"),
    "an international name": BadFile(entry(hosts='["bücher.example"]'), "credentials.a.hosts[0]: contains non-ASCII"),
    "a number as a host": BadFile(entry(hosts='["2130706433"]'), "credentials.a.hosts[0]: is not a host"),
    "a hexadecimal host": BadFile(entry(hosts='["0x7f.0.0.1"]'), "credentials.a.hosts[0]: is not a host"),
    "a port of 0": BadFile(entry(hosts='["a.example.org:0"]'), "credentials.a.hosts[0]: has no valid port"),
    "a port too high": BadFile(entry(hosts='["a.example.org:65536"]'), "credentials.a.hosts[0]: has no valid port"),
    "every host": BadFile(entry(hosts='["*"]'), "credentials.a.hosts[0]: is not a host"),
    "a star inside": BadFile(entry(hosts='["a.*.example.org"]'), "credentials.a.hosts[0]: is not a host"),
    "a top-level domain": BadFile(entry(hosts='["*.org"]'), "credentials.a.hosts[0]: covers a whole top-level domain"),
    "a registry": BadFile(entry(hosts='["*.co.uk"]'), "credentials.a.hosts[0]: covers names of other owners"),
    "a hoster": BadFile(entry(hosts='["*.GitHub.io."]'), "credentials.a.hosts[0]: covers names of other owners"),
    "a star before an address": BadFile(entry(hosts='["*.192.0.2.1"]'), "credentials.a.hosts[0]: is an address"),
    "private with a star": BadFile(
        entry(hosts='["*.corp.example.org"]', private="true"), "credentials.a.hosts: '*.' is not allowed with private"
    ),
    "private is no switch": BadFile(entry(private='"yes"'), "credentials.a.private: expected true or false"),
    "a header without a name": BadFile(entry(header='"{secret}"'), "credentials.a.header: is not a header"),
    "a header with a line break": BadFile(
        entry(header='"X-A: {secret}\\r\\nX-B: 1"'), "credentials.a.header: expected"
    ),
    "a header with a bad name": BadFile(entry(header='"X A: {secret}"'), "credentials.a.header: is not a header"),
    "a header with umlauts": BadFile(entry(header='"X-A: ä{secret}"'), "credentials.a.header: is not a header"),
    "no place for the secret": BadFile(
        entry(header=f'"Authorization: Bearer {CANARY}"'), "credentials.a.header: must contain {secret} exactly once"
    ),
    "two places for the secret": BadFile(entry(header='"X-A: {secret}{secret}"'), "credentials.a.header: must contain"),
    "other braces": BadFile(entry(header='"X-A: {user} {secret}"'), "credentials.a.header: contains braces"),
    "Host": BadFile(entry(header='"Host: {secret}"'), "credentials.a.header: names a header"),
    "Content-Length": BadFile(entry(header='"content-LENGTH: {secret}"'), "credentials.a.header: names a header"),
    "Transfer-Encoding": BadFile(entry(header='"Transfer-Encoding: {secret}"'), "credentials.a.header: names a header"),
    "Proxy-Authorization": BadFile(
        entry(header='"Proxy-Authorization: {secret}"'), "credentials.a.header: names a header"
    ),
    "a query of two": BadFile(
        entry(header="", query='"a=1&key={secret}"'), "credentials.a.query: is not one parameter"
    ),
    "a query without a name": BadFile(
        entry(header="", query='"={secret}"'), "credentials.a.query: is not one parameter"
    ),
    "a query without the secret": BadFile(
        entry(header="", query='"key=value"'), "credentials.a.query: must contain {secret} exactly once"
    ),
    "a secret in the file": BadFile(
        entry(secret=f'"{CANARY}"'), "credentials.a.secret: a secret cannot stand in this file"
    ),
    "no secret": BadFile(entry(secret=""), "credentials.a.secret: expected a table"),
    "no source": BadFile(entry(secret="{}"), "credentials.a.secret: exactly one of file, env and command"),
    "two sources": BadFile(
        entry(secret='{ file = "@DIR@/key", env = "KEY" }'),
        "credentials.a.secret: exactly one of file, env and command",
    ),
    "a relative path": BadFile(
        entry(secret='{ file = "key" }'), "credentials.a.secret.file: expected an absolute path"
    ),
    "a path with NUL": BadFile(
        entry(secret='{ file = "/a\\u0000b" }'), "credentials.a.secret.file: expected printable"
    ),
    "a bad variable": BadFile(entry(secret=f'{{ env = "{CANARY}" }}'), "credentials.a.secret.env: expected the name"),
    "a setting as a variable": BadFile(entry(secret='{ env = "ATHENA_TOKEN" }'), "credentials.a.secret.env: expected"),
    "a command line": BadFile(
        entry(secret=f'{{ command = "echo {CANARY}" }}'), "credentials.a.secret.command: expected a list of 1 to 64"
    ),
    "an empty command": BadFile(entry(secret="{ command = [] }"), "credentials.a.secret.command: expected a list"),
    "a command of numbers": BadFile(entry(secret="{ command = [1] }"), "credentials.a.secret.command[0]: expected"),
    "no refresh": BadFile(
        entry(secret='{ command = ["a"], refreshSeconds = 0 }'), "credentials.a.secret.refreshSeconds: expected a whole"
    ),
    "a refresh of a fraction": BadFile(
        entry(secret='{ command = ["a"], refreshSeconds = 1.5 }'),
        "credentials.a.secret.refreshSeconds: expected a whole",
    ),
    "a refresh too late": BadFile(
        entry(secret='{ command = ["a"], refreshSeconds = 86401 }'), "credentials.a.secret.refreshSeconds: expected"
    ),
    "a refresh of a file": BadFile(
        entry(secret='{ file = "@DIR@/key", refreshSeconds = 1 }'),
        "credentials.a.secret.refreshSeconds: allowed only beside command",
    ),
}


def write_credentials(directory: Path, text: str, *, mode: int = 0o600) -> Path:
    """Write a credentials file of the corpus and its secret files. Return its path."""
    for name, content in SECRET_FILES.items():
        write_private(directory / name, content)
    return write_private(directory / "credentials.toml", text.replace("@DIR@", str(directory)), mode)


def write_private(path: Path, content: str, mode: int = 0o600) -> Path:
    """Write a file that only this user may read, or with another mode. Return its path."""
    path.write_text(content)
    path.chmod(mode)
    return path

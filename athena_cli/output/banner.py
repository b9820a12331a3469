"""The banner of a server on a terminal: addresses, state, model, warnings and the next command."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from athena_core import __version__
from athena_core.settings import LOCAL_SERVER_URL

if TYPE_CHECKING:
    from athena_core.settings import Settings

LABEL_CHARS = 10
MOCK = "mock"
BASE_URLS = {"openai": "openai_base_url", "anthropic": "anthropic_base_url", "http": "http_provider_url"}


class Listening(NamedTuple):
    """Where a server listens: the host as it was given, its address and port, or the path of a Unix socket.

    ``tls`` is True if it serves https.
    """

    host: str = ""
    address: str = ""
    port: int = 0
    uds: Path | None = None
    tls: bool = False

    @property
    def url(self) -> str | None:
        """The URL of the server on this machine; None for a Unix socket."""
        if self.uds is not None:
            return None
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - it is only shown
        scheme = "https" if self.tls else "http"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"


def show_banner(settings: "Settings", place: Listening, *, configured: bool, warnings: list[str]) -> None:
    """Print the banner of a server. ``configured`` is False if the default provider needs a key and has none."""
    from rich.console import Console
    from rich.text import Text

    from athena_core.text import printable

    console = Console(highlight=False)
    url = place.url

    def row(label: str, text: str, style: str = "") -> None:
        line = Text(f"  {label:<{LABEL_CHARS}}", style="bold")
        line.append(printable(text), style=style or "not bold")
        console.print(line, soft_wrap=True)

    console.print(Text(f"\n  Athena {__version__}\n", style="bold"))
    if url is None:
        row("Socket", str(place.uds))
    else:
        row("Console", f"{url}/", "not bold cyan")
        row("API docs", f"{url}/docs", "not bold cyan")
    row("State", state_of(settings))
    row("Model", model_of(settings))
    for number, command in enumerate(next_commands(settings, url)):
        if number == 0:
            console.print()
        row("" if number else "Next", command)
    found = [*warnings_of(settings, place, configured=configured), *warnings]
    for number, warning in enumerate(found):
        if number == 0:
            console.print()
        row("Warning", warning, "not bold yellow")
    console.print(Text("\n  Ctrl-C stops the server.\n", style="dim"))


def state_of(settings: "Settings") -> str:
    """Return where the log is: a directory, or a database without user and password."""
    if settings.database_url is not None:
        scheme, _, place = settings.database_url.partition("://")
        host, slash, path = place.partition("/")  # libpq allows ? and # in a password, urlsplit does not
        return f"{scheme}://" + re.split("[?#]", host.rpartition("@")[2] + slash + path)[0]
    return short(settings.state_dir)


def short(path: Path) -> str:
    """Return a path with ``~`` for the home directory."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) and path != home else str(path)


def model_of(settings: "Settings") -> str:
    """Return the default provider, its model and its server."""
    provider = settings.default_provider
    if provider == MOCK:
        return "mock (repeats the input; athena init finds a real one)"
    where = getattr(settings, BASE_URLS[provider]) if provider in BASE_URLS else ""
    model = settings.default_model or ("the only one listed" if where else "")
    return provider + (f" · {model}" if model else "") + (f" · {host_of(where)}" if where else "")


def host_of(url: str) -> str:
    """Return the host and port of a URL."""
    return urlsplit(url).netloc.rpartition("@")[2]


def next_commands(settings: "Settings", url: str | None) -> Iterator[str]:
    """Yield the commands to type next, in another terminal."""
    if url is None:
        return
    if url != (settings.api_base_url or LOCAL_SERVER_URL):
        yield f"export ATHENA_API_BASE_URL={url}"
    if settings.auth_enabled:
        yield "athena whoami --identity NAME"
    else:
        yield 'athena run "Hello"'


def warnings_of(settings: "Settings", place: Listening, *, configured: bool) -> Iterator[str]:
    """Yield what an operator should know."""
    from ipaddress import ip_address

    exposed = place.uds is None and not ip_address(place.address.partition("%")[0]).is_loopback
    if exposed and not place.tls and not settings.auth_proxy_secret:
        yield f"{place.address} is reachable from outside. Set ATHENA_AUTH_PROXY_SECRET."
    if not settings.auth_enabled and settings.executor != "off":
        yield "Authentication is off: programs of this machine act as its Admin."
    provider = settings.default_provider
    if not configured:
        yield f"Provider {provider} has no key. Set ATHENA_{provider.upper()}_API_KEY."
    if settings.executor == "off":
        yield "ATHENA_EXECUTOR is off: runs wait for a worker."
    if not settings.scheduler:
        yield "ATHENA_SCHEDULER is off: schedules run only by tick."

"""The command that connects a model: it writes ``.env`` and creates a first agent (profile)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ConnectionOptions, call, machine_output_of, output_of
from athena_cli.exit_codes import Failed, Misused, Unreachable

if TYPE_CHECKING:
    from athena_cli.transport import Transport
    from athena_core.providers.discovery import ModelSource

ASSISTANT = "assistant"
TOOLS = ("files", "memory", "evidence")
TIMEOUT_MS, RETRY_LIMIT, TURNS_MAX, BUDGET_USD = 600_000, 2, 30, 1.0
MODELS_SHOWN = 30
LIST_SECONDS = 10.0

Source = Literal["ollama", "lm-studio", "vllm", "llama.cpp", "openai", "anthropic", "mock"]


class CreatedAgent(NamedTuple):
    """The profile, and the address of the server that has it; None if the log of this directory does."""

    profile_id: str
    name: str
    server: str | None


class Choice(NamedTuple):
    """The chosen server and model, and the settings that select them."""

    source: "ModelSource"
    model: str

    @property
    def values(self) -> dict[str, str]:
        """The variables for ``.env``."""
        provider, source = self.source.provider, self.source
        values = {"ATHENA_DEFAULT_PROVIDER": provider, "ATHENA_DEFAULT_MODEL": self.model}
        if source.base_url:
            values[f"ATHENA_{provider.upper()}_BASE_URL"] = source.base_url
        if source.key:
            values[f"ATHENA_{provider.upper()}_API_KEY"] = source.key
        return values


def init(
    *,
    provider: Source | None = None,
    base_url: str | None = None,
    model: str | None = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Find a model, write .env and create the agent (profile) "assistant".

    Looks for Ollama, LM Studio, vLLM and llama.cpp on this machine, and for OPENAI_API_KEY and ANTHROPIC_API_KEY. On a
    terminal, asks which model to use. Otherwise the options decide, or the only model that is found.

    Args:
        provider: The server or vendor to use, instead of a question.
        base_url: Base URL of another server with OpenAI's API, such as http://127.0.0.1:9000/v1.
        model: The model to use, instead of a question.
        yes: Ask nothing; change variables that .env already sets.
        connection: Connection options.
    """
    asks = not yes and machine_output_of(connection) is None and render.on_terminal() and _can_answer()
    source = _source(provider, base_url, asks=asks)
    choice = Choice(source, model or _model(source, asks=asks))
    as_json = output_of(connection) is None and not render.on_terminal()
    path = Path.cwd() / ".env"
    changed = _write(path, choice.values, yes=yes, asks=asks)
    agent = call(connection, lambda transport: _profile(transport, choice))
    _report(choice, path, changed, agent, machine_output_of(connection) is not None or as_json)


def _can_answer() -> bool:
    """Return True if a person can type an answer."""
    import sys

    return sys.stdin.isatty()


def _source(provider: Source | None, base_url: str | None, *, asks: bool) -> "ModelSource":
    """Return the server or vendor to use. Raise Misused or Failed."""
    import asyncio

    from athena_core.providers.discovery import MOCK, ModelSource, answering, local_sources, vendor_sources
    from athena_core.settings import Settings, vendor_variables

    if provider is not None and base_url is not None:
        raise Misused("--provider and --base-url exclude each other")
    if base_url is not None:
        try:
            return ModelSource("server", "openai", Settings.openai_base_url.parse(base_url))
        except ValueError as error:
            raise Misused(f"--base-url: {error}, not {base_url!r}") from error
    if provider == MOCK.slug:
        return MOCK
    variables = vendor_variables()
    local = local_sources(ollama_host=variables.get("OLLAMA_HOST", ""))
    wanted = [source for source in local if provider in {None, source.slug}]
    vendors = [source for source in vendor_sources(variables) if provider in {None, source.slug}]
    found = [*asyncio.run(answering(wanted)), *vendors]
    if provider is not None and not found:
        if wanted:
            raise Failed(f"no model server answers at {wanted[0].host}", "start it, then run athena init again")
        raise Misused(f"no key is set for {provider}", f"set {provider.upper()}_API_KEY")
    if len(found) == 1 and (provider is not None or not asks):
        return found[0]
    if not asks:
        names = ", ".join(source.slug for source in found) or "none"
        raise Misused(f"found these model servers: {names}", "choose with --provider (mock needs none) or --base-url")
    if not found:
        render.say("No model server answers on this machine, and no OPENAI_API_KEY or ANTHROPIC_API_KEY is set.")
        render.say("The agent gets mock, which repeats its input. To use a model later, run athena init again.")
        return MOCK
    rows = [_described(source) for source in found]
    number = _choose("Which model server?", [*rows, "mock (repeats the input, for a first look)"])
    return (*found, MOCK)[number]


def _described(source: "ModelSource") -> str:
    """Return a source in one line."""
    if source.key:
        return f"{source.name} (key found, {source.host})"
    models = "1 model" if len(source.models) == 1 else f"{len(source.models)} models"
    return f"{source.name} ({models}, {source.host})"


def _model(source: "ModelSource", *, asks: bool) -> str:
    """Return the model to use. Raise Misused or Failed."""
    import asyncio

    from athena_core.providers.provider import ProviderFailure

    models = source.models
    if not models:
        try:
            models = asyncio.run(source.listed(LIST_SECONDS)).models
        except ProviderFailure as failure:
            if not asks:
                problem = f"cannot list the models of {source.host} ({failure.message})"
                raise Failed(problem, "pass --model") from None
            render.note(f"The models cannot be listed ({failure.message}).")
            return _ask("Name of the model: ")
    if len(models) == 1:
        return models[0]
    if not models:
        raise Failed(f"{source.host} lists no model", "load one, or pass --model")
    ordered = sorted(models, key=lambda name: name != source.suggested)
    if not asks:
        raise Misused(f"{source.host} lists {len(models)} models: {_listed(ordered)}", "choose with --model")
    more = len(ordered) - MODELS_SHOWN
    if more > 0:
        render.say(f"\n{source.host} lists {more} more models; pass any with --model.")
    return ordered[_choose("Which model?", ordered[:MODELS_SHOWN])]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def _choose(question: str, rows: Sequence[str]) -> int:
    """Print numbered rows and return the index of the one that is chosen. Raise Misused at the end of input."""
    render.say(f"\n{question}")
    for number, row in enumerate(rows, start=1):
        render.say(f"  {number:>2}  {row}")
    while True:
        answer = _ask("Number [1]: ") or "1"
        if answer.isascii() and answer.isdigit() and 0 < int(answer[:9]) <= len(rows):
            return int(answer) - 1
        render.say(f"Type a number from 1 to {len(rows)}.")


def _ask(prompt: str) -> str:
    """Return the answer of a person. Raise Misused at the end of input."""
    import sys

    render.say(prompt, end="")
    line = sys.stdin.readline()
    if not line:
        raise Misused("no answer was typed", "pass --provider, --model and --yes")
    return line.strip()


def _write(path: Path, values: Mapping[str, str], *, yes: bool, asks: bool) -> list[str]:
    """Write the variables that differ and return their names. Raise ConfigError, Misused or Failed."""
    from athena_core.settings import SETTINGS
    from athena_core.system.dotenv import read_dotenv, update_dotenv

    secret = {setting.variable for setting in SETTINGS if setting.secret}
    for setting in SETTINGS:
        try:
            setting.parse(values.get(setting.variable) or setting.default)
        except ValueError as error:
            raise Misused(f"{setting.variable}: {error}") from error
    before = read_dotenv(path)
    changed = [name for name, value in values.items() if before.get(name) != value]
    replaced = [name for name in changed if name in before]
    if replaced and not yes:
        shown = ", ".join(name if name in secret else f"{name}={before[name]}" for name in replaced)
        if not asks:
            raise Misused(f".env already sets {shown}", "pass --yes to change it")
        if _ask(f"\n.env already sets {shown}. Change it? [y/N]: ").lower() not in {"y", "yes"}:
            raise Failed(".env was not changed")
    if changed:
        try:
            update_dotenv(path, values)
        except (OSError, ValueError) as error:
            raise Failed(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    return changed


async def _profile(transport: "Transport", choice: Choice) -> CreatedAgent:
    """Return an equal profile that exists, or create it under a name of its own. Raise Failed at a demo."""
    import msgspec

    wanted = profile_of(choice)
    try:
        page = await transport.request("listHarnessProfiles", query={"limit": "200"})
    except (Misused, Unreachable):  # without a server, reads need a log; the write below creates one
        page = b'{"items":[]}'
    if transport.server and msgspec.json.decode(await transport.request("getCapabilities")).get("demo"):
        raise Failed(
            f"the server at {transport.server} is a demo, which forgets the agent", "end it, then run init again"
        )
    profiles = msgspec.json.decode(page)["items"]
    taken = [str(profile["displayName"]).casefold() for profile in profiles]
    for profile in profiles:
        name = str(profile["displayName"])
        alone = name.partition("-")[0] == ASSISTANT and taken.count(name) == 1
        if alone and wanted.items() <= {**profile, "displayName": ASSISTANT}.items():
            return CreatedAgent(str(profile["id"]), name, transport.server)
    names = (f"{ASSISTANT}-{number}" for number in range(2, len(taken) + 3))
    wanted["displayName"] = next(name for name in (ASSISTANT, *names) if name not in taken)
    created = msgspec.json.decode(await transport.request("createHarnessProfile", body=wanted))
    return CreatedAgent(str(created["id"]), wanted["displayName"], transport.server)


def profile_of(choice: Choice) -> dict[str, Any]:
    """Return the body of the profile: files of the workspace, notes and evidence, and a budget if it has a price."""
    from athena_core.providers.prices import Prices

    provider, model = choice.source.provider, choice.model
    budget = BUDGET_USD if choice.source.key and Prices.load().knows(provider, model) else 0
    return {
        "displayName": ASSISTANT,
        "version": "v1",
        "config": {"provider": provider, "model": model, "tools": list(TOOLS)},
        "policies": {
            "timeoutMs": TIMEOUT_MS,
            "retryLimit": RETRY_LIMIT,
            "budgetUsd": budget,
            "maxTurns": TURNS_MAX,
        },
        "toolPolicies": {"files": {"write": True}},
    }


def _outside_agents() -> list[str]:
    """Return the outside agents that are registered and installed here. `athena doctor` names what others lack."""
    from athena_core.agents.known import read_agents
    from athena_core.errors import ConfigError
    from athena_core.settings import load

    try:
        found = read_agents(load().agents)
    except ConfigError:
        return []
    return [name for name, agent in found.items() if not agent.missing()]


def _program() -> str:
    """Return how a person calls this program: by its path if its name is not enough."""
    import shutil
    import sys

    called = Path(sys.argv[0])
    return sys.argv[0] if called.name == "athena" and shutil.which("athena") is None else "athena"


def _report(choice: Choice, path: Path, changed: list[str], agent: CreatedAgent, machine: bool) -> None:
    """Print what was done and the next commands."""
    from athena_core.settings import overridden

    for name in overridden(choice.values):
        render.note(f"Warning: {name} is set in the environment, which takes precedence over .env.")
    run = f'{_program()} run --profile {agent.name} "List the files"'
    following = [run] if agent.server else [run, f"{_program()} api serve"]
    source = choice.source
    if machine:
        done = {"status": "ready", "provider": source.provider, "model": choice.model}
        files = {"envFile": str(path), "changed": changed, "harnessProfileId": agent.profile_id}
        where = {"server": agent.server} if agent.server else {}
        import msgspec

        render.show(msgspec.json.encode({**done, **files, **where, "next": following}), "json")
        return
    render.say(f"\n  Model     {source.provider} · {choice.model}" + (f" · {source.host}" if source.host else ""))
    render.say(f"  Settings  {'.env, private' if changed else '.env, unchanged'}")
    render.say(f"  Agent     {agent.name} ({agent.profile_id}): {', '.join(TOOLS)}")
    if agent.server:
        render.say(f"  Server    {agent.server} has the agent; restart it, because it read its settings before")
    if agents := _outside_agents():
        render.say(f"  Outside   {', '.join(agents)}: athena run --agent {agents[0]} TEXT")
    if source.key:
        render.say("  Key       copied to .env; keep that file out of version control")
    for number, command in enumerate(following):
        render.say(f"{'' if number else chr(10)}  {'Next' if not number else '':<10}{command}")
    render.say("")

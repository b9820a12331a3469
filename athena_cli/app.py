"""The cyclopts application: turns arguments into a command, and every outcome into an exit code."""

import atexit
import gc
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Group, UnknownOptionError

from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS, GROUPS
from athena_cli.exit_codes import FAILED, INTERRUPTED, MEANINGS, MISUSED, OK, Exit, Failed
from athena_cli.words.examples import EXAMPLES
from athena_cli.words.names import OLD_FLAGS, SECTIONS, renamed
from athena_cli.words.sentences import usage_of
from athena_core import __version__
from athena_core.system import own_environment
from athena_core.system.supervisor import protect
from athena_core.text import printable

STDOUT, STDERR = 1, 2
ABOUT = "A control plane for AI-agent runs: every fact is an event, durable before it is acknowledged."
MORE = "athena help COMMAND describes a command, athena help exit-codes how commands end."
CONNECTED = "Options to reach a server: athena help connection"
JSON_FLAGS = frozenset({"-o", "--output"})


def build() -> App:
    """Build the tree of commands."""
    app = App(
        name="athena",
        version=f"projectathena {__version__}",
        help=ABOUT,
        help_epilogue=MORE,
        version_flags=["--version"],
        help_format="plaintext",  # parsing Markdown is a third of the time of --help
    )
    sections = {title: Group(title, sort_key=number) for number, title in enumerate(SECTIONS)}
    places: dict[str, dict[str, Any]] = {
        name: {"group": sections[title], "sort_key": number}
        for title, names in SECTIONS.items()
        for number, name in enumerate(names)
    }
    groups: dict[str, App] = {}

    def add(words: str, command: Callable[..., object] | str, text: str) -> None:
        group, _, name = words.rpartition(" ")
        if group and group not in groups:
            groups[group] = App(
                name=group, help=GROUPS[group], help_epilogue="", version_flags=[], **places.get(group, {})
            )
            app.command(groups[group])
        place: dict[str, Any] = {} if group else places.get(name, {})
        example = f"\n\nExample: athena {EXAMPLES[words]}" if words in EXAMPLES else ""
        connected = isinstance(command, str) or "connection" in inspect.signature(command).parameters
        parent = groups[group] if group else app
        parent.command(command, name=name, help=text + example, help_epilogue=CONNECTED if connected else "", **place)

    for words, command in COMMANDS.items():
        add(words, command, _help_text(command))
    app.register_install_completion_command()
    for words, row in GENERATED_COMMANDS.items():  # built when run
        add(words, f"athena_cli.operation_command:{row.id}", row.summary)
    return app


def _help_text(command: Callable[..., object]) -> str:
    """Return the help of a command from its docstring, one line per paragraph; cyclopts wraps them."""
    text = inspect.getdoc(command) or ""
    paragraphs = text.partition("\n\nArgs:")[0].split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Without ``arguments``, run as the program ``athena``."""
    _open_closed_streams()
    if arguments is None:
        own_environment.hide()
        protect()
        atexit.register(gc.freeze)  # otherwise the interpreter looks for garbage when it ends: 50 ms
    given = join_switch_values(sys.argv[1:] if arguments is None else arguments)
    try:
        result = _run(given)
        sys.stdout.flush()
    except Exit as error:
        return _report(error, given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return FAILED
    except OSError as error:  # for example, output is redirected to a full disk
        _discard_output()
        return _report(Failed(str(error)), [])
    except Exception as error:
        return _report_other(error, given)
    return result if isinstance(result, int) else OK


def _run(given: list[str]) -> object:
    """Run a command, with the present names of old words. Raise Exit, or what the command raises."""
    if given[:1] == ["help"]:
        if given[1:] in (["connection"], ["exit-codes"]):
            _print_topic(given[1])
            return OK
        given = [*given[1:], "--help"]
    words = with_standard_input(renamed(given))
    app = build()
    for _ in range(len(OLD_FLAGS) + 1):
        try:
            return app(words, exit_on_error=False, print_error=False, result_action="return_value")
        except UnknownOptionError as error:  # before the command runs
            option = (error.token.keyword or error.token.value).partition("=")[0]
            if option not in OLD_FLAGS:
                raise usage_of(error) from None
            words = [_with_option(word, option) for word in words]
        except CycloptsError as error:
            raise usage_of(error) from None
    return MISUSED


def with_standard_input(words: list[str]) -> list[str]:
    """Return the arguments with ``run -`` as ``run --input -``: cyclopts refuses a lone hyphen as an argument."""
    if words[:1] != ["run"]:
        return words
    places = [place for place in range(1, len(words)) if words[place] == "-" and words[place - 1][:1] != "-"]
    return [*words[: places[0]], "--input", *words[places[0] :]] if places else words


def _with_option(word: str, option: str) -> str:
    """Return an argument with the present name of an old option."""
    name, equals, value = word.partition("=")
    return OLD_FLAGS[option] + equals + value if name == option else word


def _print_topic(topic: str) -> None:
    """Print a page of help about what all commands share."""
    from athena_cli import render

    if topic == "exit-codes":
        for code, meaning in MEANINGS.items():
            render.say(f"{code:>3}  {meaning}")
        return
    from athena_cli.flags import CONNECTION, CONNECTION_SETTINGS

    for flag, text in (CONNECTION | CONNECTION_SETTINGS).items():
        render.say(f"{flag}\n    {text}")


def _report_other(error: Exception, given: list[str]) -> int:
    """Report an error that no command raises on purpose as an exit."""
    from athena_core.errors import AthenaError, StoreDamaged

    if isinstance(error, AthenaError):
        from msgspec import to_builtins

        from athena_cli.words.sentences import exit_of_local

        return _report(exit_of_local(error, to_builtins(error.details)), given)
    from athena_core.log.codec import Undecodable
    from athena_core.log.sqlite.connection import DatabaseError

    if isinstance(error, DatabaseError | Undecodable):
        return _report(Failed(f"cannot read the log: {error}", StoreDamaged.REMEDY), given)
    import traceback

    print(printable(traceback.format_exc()), end="", file=sys.stderr)  # without terminal escape sequences
    return FAILED


def join_switch_values(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `--flag true` as `--flag=true`, so that a switch accepts a value."""
    words: list[str] = []
    for argument in arguments:
        flag = words[-1] if words else ""
        if argument in {"true", "false"} and flag.startswith("--") and len(flag) > 2 and "=" not in flag:
            words[-1] = f"{flag}={argument}"
        else:
            words.append(argument)
    return words


def _open_closed_streams() -> None:
    """Open closed standard streams on /dev/null, or a file opened later would get their number and the output."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(lowest, True)
    os.close(lowest)
    sys.stdout = sys.stdout or os.fdopen(STDOUT, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STDERR, "w", closefd=False)


def _discard_output() -> None:
    """Discard unwritten output, or the interpreter reports an error when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: Exit, given: Sequence[str]) -> int:
    """Print the sentence of an error, and the error itself where JSON was asked for. Return the exit code."""
    sentence, note = (printable(" ".join(text.split())) for text in (error.sentence, error.note))
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True)
        console.print(Text("error: ", style="red").append(sentence, style="default"), soft_wrap=True)
        if note:
            console.print(Text(f"  {note}", style="dim"), soft_wrap=True)
    else:
        print(f"error: {sentence}" + (f"\n  {note}" if note else ""), file=sys.stderr, flush=True)
    if not error.printed and wants_json(given):
        from msgspec import json

        from athena_cli import render

        render.write(json.encode({"error": {**error.error, "exitCode": error.code}}))
    return error.code


def wants_json(given: Sequence[str]) -> bool:
    """Return True if the arguments ask for ``json`` or ``jsonl`` explicitly."""
    for place, word in enumerate(given):
        flag, equals, value = word.partition("=")
        if flag in JSON_FLAGS and (value if equals else "".join(given[place + 1 : place + 2])) in {"json", "jsonl"}:
            return True
    return False

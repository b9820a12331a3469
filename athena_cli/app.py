"""The cyclopts application: turns arguments into a command, and every outcome into an exit code."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, UnknownOptionError, UnusedCliTokensError

from athena_cli.command_tree import COMMANDS, GROUPS
from athena_cli.exit_codes import FAILED, INTERRUPTED, MISUSED, OK, Exit, advice_of
from athena_cli.generated_commands import GENERATED_COMMANDS
from athena_core import __version__
from athena_core.system.supervisor import protect
from athena_core.text import printable

STDOUT, STDERR = 1, 2

CONNECTION_FLAGS = frozenset({"--transport", "--api-base-url", "--api-timeout-ms", "--identity"})


def build() -> App:
    """Build the tree of commands."""
    app = App(
        name="athena",
        version=f"projectathena {__version__}",
        help="A control plane for AI-agent runs: every fact is an event, durable before it is acknowledged.",
        version_flags=["--version"],
        help_format="plaintext",  # parsing Markdown is a third of the time of --help
    )
    groups: dict[str, App] = {}

    def place(words: str) -> tuple[App, str]:
        group, _, name = words.rpartition(" ")
        if group and group not in groups:
            groups[group] = App(name=group, help=GROUPS.get(group, group.capitalize()), version_flags=[])
            app.command(groups[group])
        return groups[group] if group else app, name

    for words, command in COMMANDS.items():
        parent, name = place(words)
        parent.command(command, name=name, help=_help_text(command))
    app.register_install_completion_command()
    for words, row in GENERATED_COMMANDS.items():  # loaded when run: importing the operations is too slow for help
        parent, name = place(words)
        parent.command(f"athena_cli.operation_command:{row.operation_id}", name=name, help=row.summary)
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
        protect()
    try:
        given = join_switch_values(sys.argv[1:] if arguments is None else arguments)
        result = build()(given, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except UnknownOptionError as error:
        option = (error.token.keyword or error.token.value).partition("=")[0]
        here = ". This command works directly on the state directory (ATHENA_STATE_DIR), without a server."
        return _report(str(error).rstrip(".") + (here if option in CONNECTION_FLAGS else ""), MISUSED)
    except UnusedCliTokensError as error:
        command, more = " ".join(("athena", *(error.command_chain or ()))), error.unused_tokens or ()
        return _report(f"{command}: unexpected argument {', '.join(map(repr, more))}; see {command} --help", MISUSED)
    except CycloptsError as error:
        return _report(str(error), MISUSED)
    except Exit as error:
        return _report(str(error), error.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return FAILED
    except OSError as error:  # for example, output is redirected to a full disk
        _discard_output()
        return _report(str(error), FAILED)
    except Exception as error:
        from msgspec import to_builtins

        from athena_core.errors import AthenaError, ConfigError

        if isinstance(error, ConfigError):
            advice = advice_of(error.message, to_builtins(error.details))
            return _report(error.message + "".join(f" ({remedy})" for remedy in advice), MISUSED)
        if isinstance(error, AthenaError):
            return _report(f"{error.code}: {error.message}", FAILED)
        from athena_core.log.codec import Undecodable
        from athena_core.log.sqlite.connection import DatabaseError

        if isinstance(error, DatabaseError | Undecodable):
            return _report(f"cannot read the log: {error}. Run 'athena verify' to find the damage.", FAILED)
        import traceback

        print(printable(traceback.format_exc()), end="", file=sys.stderr)  # without terminal escape sequences
        return FAILED
    return result if isinstance(result, int) else OK


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


def _report(message: str, code: int) -> int:
    print("Error:", printable(" ".join(message.split())), file=sys.stderr)
    return code

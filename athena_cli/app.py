"""The application: arguments to a command, whatever happens to an exit code."""

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
    """The tree of commands."""
    app = App(
        name="athena",
        version=f"projectathena {__version__}",
        help="A control plane for AI-agent runs: every fact is an event, durable before it is acknowledged.",
        version_flags=["--version"],
        help_format="plaintext",  # Markdown would take a third of the time that help takes
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
    for (
        words,
        row,
    ) in GENERATED_COMMANDS.items():  # read from the table when they are run: the table takes longer than help may
        parent, name = place(words)
        parent.command(f"athena_cli.operation_command:{row.operation_id}", name=name, help=row.summary)
    return app


def _help_text(command: Callable[..., object]) -> str:
    """Return the help of a command from its docstring: a line for each paragraph, as wide as the terminal."""
    text = inspect.getdoc(command) or ""
    paragraphs = text.partition("\n\nArgs:")[0].split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (contract D26). Without arguments, this process is the program athena."""
    _open_closed_streams()
    if arguments is None:
        protect()
    try:
        given = join_switch_values(sys.argv[1:] if arguments is None else arguments)
        result = build()(given, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except UnknownOptionError as error:
        option = (error.token.keyword or error.token.value).partition("=")[0]
        here = "; this command works on the state directory itself (ATHENA_STATE_DIR) and asks no server"
        return _report(str(error).rstrip(".") + (here if option in CONNECTION_FLAGS else ""), MISUSED)
    except UnusedCliTokensError as error:
        command, more = " ".join(("athena", *(error.command_chain or ()))), error.unused_tokens or ()
        return _report(f"{command} has no place for {', '.join(map(repr, more))}; see {command} --help", MISUSED)
    except CycloptsError as error:
        return _report(str(error), MISUSED)
    except Exit as error:
        return _report(str(error), error.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return FAILED
    except OSError as error:  # such as a disk that is full under what the output goes to
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
            return _report(f"the log cannot be read: {error}; athena verify names what is wrong with it", FAILED)
        import traceback

        print(printable(traceback.format_exc()), end="", file=sys.stderr)  # as the interpreter would, without commands
        return FAILED
    return result if isinstance(result, int) else OK


def join_switch_values(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `--flag true` as `--flag=true`, so that a switch takes a value like any option."""
    words: list[str] = []
    for argument in arguments:
        flag = words[-1] if words else ""
        if argument in {"true", "false"} and flag.startswith("--") and len(flag) > 2 and "=" not in flag:
            words[-1] = f"{flag}={argument}"
        else:
            words.append(argument)
    return words


def _open_closed_streams() -> None:
    """Open standard streams that are closed on nothing, or files opened later take their place and receive output."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(lowest, True)
    os.close(lowest)
    sys.stdout = sys.stdout or os.fdopen(STDOUT, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STDERR, "w", closefd=False)


def _discard_output() -> None:
    """Let what could not be written go, or the interpreter complains at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(message: str, code: int) -> int:
    print("Error:", printable(" ".join(message.split())), file=sys.stderr)
    return code

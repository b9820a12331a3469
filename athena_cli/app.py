"""The application: arguments to a command, whatever happens to an exit code."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from athena_cli.exits import FAILED, INTERRUPTED, MISUSED, OK, Exit
from athena_cli.tree import COMMANDS, GROUPS
from athena_cli.words import ROWS
from athena_core import __version__


def build() -> App:
    """The tree of commands."""
    app = App(
        name="athena",
        version=f"projectathena {__version__}",
        help="A control plane for AI-agent runs: every fact is an event, durable before it is acknowledged.",
        version_flags=["--version"],
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
        parent.command(command, name=name)
    app.register_install_completion_command()
    for words, row in ROWS.items():  # read from the table when they are run: the table takes longer than help may
        parent, name = place(words)
        parent.command(f"athena_cli.row:{row.operation_id}", name=name, help=row.summary)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (contract D26)."""
    try:
        result = build()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _say(str(error), MISUSED)
    except Exit as error:
        return _say(str(error), error.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return FAILED
    except Exception as error:
        from athena_core.errors import AthenaError, ConfigError

        if isinstance(error, ConfigError):
            return _say(error.message, MISUSED)
        if isinstance(error, AthenaError):
            return _say(f"{error.code}: {error.message}", FAILED)
        raise
    return result if isinstance(result, int) else OK


def _say(message: str, code: int) -> int:
    print("Error:", " ".join(message.split()), file=sys.stderr)
    return code

"""The application: arguments to a command, whatever happens to an exit code."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from athena_cli import commands
from athena_cli.exits import FAILED, INTERRUPTED, MISUSED, OK, Exit
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
    for name, text in commands.GROUPS.items():
        groups[name] = App(name=name, help=text, version_flags=[])
        app.command(groups[name])
    for words, command in commands.COMMANDS.items():
        group, _, name = words.rpartition(" ")
        (groups[group] if group else app).command(command, name=name)
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

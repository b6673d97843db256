"""All commands together, and what becomes of errors."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

import sensorium
from sensorium.cli import (
    bridge,
    chat,
    check,
    doctor,
    eval_,
    graph,
    init,
    list_,
    measure,
    models,
    run,
    runs,
    schema,
    sessions,
    store,
)
from sensorium.cli.streams import TAKES_NO_MORE, open_closed, say, silence
from sensorium.errors import SensoriumError

__all__ = ["app", "main"]

_INTERRUPTED = 130

app = typer.Typer(
    name="sensorium",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Typed graphs in which a language model and specialist models work on one task.",
)
app.command("run")(run.run)
app.command("chat")(chat.chat)
app.command("check")(check.check)
app.command("list")(list_.list_)
app.command("graph")(graph.graph)
app.add_typer(models.app, name="models")
app.add_typer(bridge.app, name="bridge")
app.add_typer(runs.app, name="runs")
app.add_typer(sessions.app, name="sessions")
app.add_typer(store.app, name="store")
app.command("eval")(eval_.eval_)
app.command("measure")(measure.measure)
app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sensorium {sensorium.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Typed graphs in which a language model and specialist models work on one task."""


def main() -> None:
    """Runs the command line and exits: 0 done, 1 our fault, 2 usage, file or media, 3 a person refused, 4 a tool or
    model failed, 5 something is missing, 6 paused, 130 interrupted.
    """  # noqa: D205
    open_closed()
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:  # Typer makes a code of an interrupt
            _leave("interrupted", _INTERRUPTED)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Abort:
        _leave("interrupted", _INTERRUPTED)
    except KeyboardInterrupt:
        _leave("interrupted", _INTERRUPTED)
    except TyperException as error:
        if not (message := error.format_message()):
            sys.exit(2)  # called bare: the help stands there already
        _leave(message, 2)
    except SensoriumError as error:
        _leave(str(error), error.exit_code)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer's own answer to a closed pipe is to exit with 1
            _leave_pipe()
        raise
    except BrokenPipeError:
        _leave_pipe()
    except Exception as error:
        if isinstance(error, OSError) and error.errno in TAKES_NO_MORE:
            silence(sys.stdout)
            _leave(f"standard output, or the disk, takes no more: {error.strerror}; free some space", 5)
        if os.environ.get("SENSORIUM_DEBUG"):
            traceback.print_exc()
        _leave(
            f"this is a fault of Sensorium itself: {type(error).__name__}: {error} (SENSORIUM_DEBUG=1 shows where)", 1
        )


def _leave_pipe() -> None:
    silence(sys.stdout)
    sys.exit(0)


def _leave(message: str, code: int) -> None:
    say(f"sensorium: {message}")
    sys.exit(code)

"""One message and its reply in the terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from sensorium.cli.approver import TerminalApprover
from sensorium.cli.figures import print_figures
from sensorium.cli.numbered import next_folder
from sensorium.cli.print_json import print_json
from sensorium.cli.show import exit_code, told_as_json
from sensorium.cli.watch import Watcher
from sensorium.errors import SensoriumError
from sensorium.events import Event, ToolCalled
from sensorium.graph import Result, RunOptions
from sensorium.project.conversation import Conversation
from sensorium.store import Store

__all__ = ["answer_message"]


def answer_message(
    runner: asyncio.Runner,
    conversation: Conversation,
    message: str,
    store: Store,
    *,
    trace: bool,
    shows_plans: bool,
    out: Path,
    json: bool,
) -> int:
    """Prints the reply to a message, and what came with it; the exit code.

    Args:
        runner: Runs the turn.
        conversation: What is talked with.
        message: What the user says.
        store: Takes what a person gives who is asked for an approval.
        trace: Show exactly what is sent to language models.
        shows_plans: Have a person approve each plan.
        out: Folder for pictures and sound.
        json: Print one JSON object.

    Raises:
        SensoriumError: The turn could not begin, or its session could not keep it.
    """
    calls: list[dict[str, object]] = []

    def see(event: Event) -> None:
        watcher.see(event)
        if isinstance(event, ToolCalled):
            calls.append({"tool": event.tool, "status": event.status})

    with Watcher(quiet=json, trace=trace, calls_only=True) as watcher:
        approver = None if json else TerminalApprover.here(watcher, store)
        options = RunOptions(on_event=see, raise_on_failure=False, approver=approver, shows_plans=shows_plans)
        try:
            result = runner.run(conversation.turn(message, options))
        except SensoriumError as error:
            if error.result is not None:  # answered, and the session could not keep it
                _print_reply(error.result, calls, out, json=json)
            raise
    if trace:
        print_figures(result)
    return _print_reply(result, calls, out, json=json)


def _print_reply(result: Result, calls: list[dict[str, object]], out: Path, *, json: bool) -> int:
    """Prints the reply, its media in a folder of their own below `out`; the exit code."""
    if json:
        reply = result.outputs.get("answer")
        told, code = told_as_json(result, next_folder(out))
        print_json({**told, "reply": None if reply is None else str(reply), "calls": calls})
        return code
    typer.echo(str(result.outputs.get("answer") or ""))
    for paths in result.save(next_folder(out)).values():
        typer.echo("\n".join(str(path) for path in paths))
    if result.error is not None:
        typer.echo(f"sensorium: {result.error.message}", err=True)
    return exit_code(result)

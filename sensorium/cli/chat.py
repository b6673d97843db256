"""`sensorium chat`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

import sensorium
from sensorium.admit import Admission
from sensorium.cli.options import Json, ProfileName, ProjectFolder
from sensorium.cli.print_json import print_json
from sensorium.cli.show import exit_code
from sensorium.cli.talk import Talk
from sensorium.cli.watch import Watcher
from sensorium.events import Event, ToolCalled
from sensorium.project.session import Conversation, Session

__all__ = ["chat"]


def chat(
    graph: Annotated[str, typer.Option("--graph", metavar="NAME", help="The graph that answers.")] = "chat",
    message: Annotated[
        str | None, typer.Option("--message", "-m", metavar="TEXT", help="Say one thing, print the reply, and end.")
    ] = None,
    attach: Annotated[
        list[str] | None, typer.Option("--attach", "-a", metavar="FILE", help="A picture or a sound to talk about.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="Keep the conversation, and go on with it.")
    ] = None,
    json: Json = False,
    profile: ProfileName = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show exactly what is sent to language models.")] = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where pictures and sound go.")] = Path("out/chat"),
    project: ProjectFolder = None,
) -> None:
    """Talk with the assistant. Type /help for what else can be done; a pipe's lines are turns."""
    door = sensorium.Project.find(project, profile=profile)
    kept = None if session is None else Session(door.home / "sessions", session, door.store)
    conversation = Conversation(door.graph(graph), Admission(door.store), kept)
    for path in attach or []:
        conversation.attach(path)
    with asyncio.Runner() as runner:
        try:
            if message is not None:
                _once(runner, conversation, message, json=json, trace=trace, out=out)
            else:
                Talk(door, conversation, runner, trace=trace, out=out).go_on(piped=not sys.stdin.isatty())
        finally:
            runner.run(door.close())


def _once(
    runner: asyncio.Runner, conversation: Conversation, message: str, *, json: bool, trace: bool, out: Path
) -> None:
    calls: list[dict[str, object]] = []

    def see(event: Event) -> None:
        watcher.see(event)
        if isinstance(event, ToolCalled):
            calls.append({"tool": event.tool, "status": event.status})

    with Watcher(quiet=json, trace=trace) as watcher:
        options = sensorium.RunOptions(on_event=see, raise_on_failure=False)
        result = runner.run(conversation.turn(message, options))
    if json:
        reply = result.outputs.get("answer")
        print_json({**result.to_json(out), "reply": None if reply is None else str(reply), "calls": calls})
    else:
        typer.echo(str(result.outputs.get("answer") or ""))
        for paths in result.save(out).values():
            typer.echo("\n".join(str(path) for path in paths))
        if result.error is not None:
            typer.echo(f"sensorium: {result.error.message}", err=True)
    if result.status != "done":
        raise typer.Exit(exit_code(result))

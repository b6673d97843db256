"""`sensorium chat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorium.cli.options import Json, Plan, ProfileName, ProjectFolder, Trace

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
    trace: Trace = False,
    plan: Plan = False,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where pictures and sound go, a numbered folder for each turn.")
    ] = Path("out/chat"),
    project: ProjectFolder = None,
) -> None:
    """Talk with the assistant. Type /help for what else can be done; a pipe's lines are turns."""
    from sensorium.cli.talk import Setting, converse  # the engine loads when the command runs

    if json and message is None:
        raise typer.BadParameter("--json goes with --message")
    setting = Setting(
        graph=graph,
        attach=attach or [],
        session=session,
        profile=profile,
        trace=trace,
        shows_plans=plan,
        out=out,
        project=project,
    )
    if code := converse(setting, message, json=json):
        raise typer.Exit(code)

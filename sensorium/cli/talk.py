"""A conversation in the terminal, turn by turn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from sensorium.admit import Admission
from sensorium.cli.pictures import can_show_pictures, show_picture
from sensorium.cli.print_json import print_json
from sensorium.cli.show import exit_code
from sensorium.cli.watch import Watcher
from sensorium.errors import SensoriumError
from sensorium.events import Event, TextPiece, ToolCalled
from sensorium.graph import Result, RunOptions
from sensorium.parts import Image
from sensorium.project import Project
from sensorium.project.session import Conversation, Session

__all__ = ["Setting", "Talk", "converse"]

_HELP = """/help           this
/tools          what the assistant may call
/attach FILE    a picture or a sound to talk about
/save NAME      keep this conversation under a name
/resume NAME    go on with a conversation that was kept
/clear          start anew
/quit           end (so does Ctrl-D); Ctrl-C stops the answer that is being given"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What `sensorium chat` was told."""

    graph: str
    attach: list[str]
    """Files."""
    session: str | None
    profile: str | None
    trace: bool
    out: Path
    project: Path | None


def converse(setting: Setting, message: str | None, *, json: bool) -> int:
    """One message and its reply, or turns until the input ends; the exit code.

    Raises:
        SensoriumError: The conversation could not begin.
    """
    door = Project.find(setting.project, profile=setting.profile)
    kept = None if setting.session is None else Session(door.home / "sessions", setting.session, door.store)
    conversation = Conversation(door.graph(setting.graph), Admission(door.store), kept)
    for path in setting.attach:
        conversation.attach(path)
    with asyncio.Runner() as runner:
        try:
            if message is not None:
                return _once(runner, conversation, message, setting, json=json)
            talk = Talk(door, conversation, runner, trace=setting.trace, out=setting.out)
            return talk.go_on(piped=not sys.stdin.isatty())
        finally:
            runner.run(door.close())


def _once(runner: asyncio.Runner, conversation: Conversation, message: str, setting: Setting, *, json: bool) -> int:
    calls: list[dict[str, object]] = []

    def see(event: Event) -> None:
        watcher.see(event)
        if isinstance(event, ToolCalled):
            calls.append({"tool": event.tool, "status": event.status})

    with Watcher(quiet=json, trace=setting.trace, calls_only=True) as watcher:
        options = RunOptions(on_event=see, raise_on_failure=False)
        result = runner.run(conversation.turn(message, options))
    if json:
        reply = result.outputs.get("answer")
        print_json({**result.to_json(setting.out), "reply": None if reply is None else str(reply), "calls": calls})
        return exit_code(result)
    typer.echo(str(result.outputs.get("answer") or ""))
    for paths in result.save(setting.out).values():
        typer.echo("\n".join(str(path) for path in paths))
    if result.error is not None:
        typer.echo(f"sensorium: {result.error.message}", err=True)
    return exit_code(result)


class Talk:
    """Reads lines, carries out commands that begin with `/`, and makes a turn of everything else.

    Args:
        project: Gives home and store for sessions.
        conversation: What is talked with.
        runner: Runs turns; an interrupt cancels the turn and leaves the runner usable.
        trace: Show exactly what is sent to language models.
        out: Folder for pictures and sound.
    """

    def __init__(
        self,
        project: Project,
        conversation: Conversation,
        runner: asyncio.Runner,
        *,
        trace: bool,
        out: Path,
    ) -> None:
        self._project = project
        self._conversation = conversation
        self._runner = runner
        self._trace = trace
        self._out = out
        self._turns = 0
        self._code = 0
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: typer.echo(_HELP),
            "/tools": lambda _: self._list_tools(),
            "/attach": self._attach,
            "/save": self._save,
            "/resume": self._resume,
            "/clear": lambda _: self._clear(),
        }

    def go_on(self, *, piped: bool) -> int:
        """Turns until the input ends or `/quit`.

        Returns:
            0 at a terminal, where people see what fails; else the exit code of the last line that failed.
        """
        if not piped:
            attached = f", {' and '.join(at_hand)} attached" if (at_hand := self._conversation.at_hand) else ""
            graph = self._conversation.graph.name
            typer.echo(f"{graph}{attached}: /help tells what can be done, /quit ends", err=True)
        while (line := self._read(piped=piped)) is not None and line != "/quit":
            if line:
                self._take(line)
        return self._code if piped else 0

    def _read(self, *, piped: bool) -> str | None:
        """The next line without the white space around it; None where there are no more."""
        if piped:
            return line.strip() if (line := sys.stdin.readline()) else None
        try:
            return input("> ").strip()
        except EOFError:
            typer.echo("", err=True)
            return None
        except KeyboardInterrupt:
            typer.echo("\n(/quit or Ctrl-D ends)", err=True)
            return ""

    def _take(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        try:
            if name in self._commands:
                self._commands[name](rest.strip())
            elif name.startswith("/"):
                typer.echo(f"there is no {name}\n{_HELP}", err=True)
            else:
                self._turn(line)
        except SensoriumError as error:
            typer.echo(f"sensorium: {error}", err=True)
            self._code = error.exit_code
        except KeyboardInterrupt:
            typer.echo("\n(stopped)", err=True)
            self._code = 130

    def _turn(self, request: str) -> None:
        spoken: list[str] = []

        def see(event: Event) -> None:
            if isinstance(event, TextPiece):
                watcher.make_way()
                spoken.append(event.text)
                typer.echo(event.text, nl=False)
            else:
                watcher.see(event)

        with Watcher(trace=self._trace, calls_only=True) as watcher:
            options = RunOptions(on_event=see, raise_on_failure=False)
            result = self._runner.run(self._conversation.turn(request, options))
        self._show(result, was_spoken=bool(spoken))

    def _show(self, result: Result, *, was_spoken: bool) -> None:
        typer.echo("" if was_spoken else str(result.outputs.get("answer") or ""))
        self._turns += 1
        files = result.save(self._out / f"{self._turns:03d}")
        for name, paths in files.items():
            value = result.outputs[name]
            if isinstance(value, Image) and can_show_pictures():
                show_picture(value.open())
            typer.echo("\n".join(str(path) for path in paths))
        if result.error is not None:
            typer.echo(f"sensorium: {result.error.message}", err=True)
            self._code = exit_code(result)

    def _attach(self, path: str) -> None:
        part = self._conversation.attach(path)
        typer.echo(f"attached: {path}", err=True)
        if isinstance(part, Image) and can_show_pictures():
            show_picture(part.open())

    def _save(self, name: str) -> None:
        self._conversation.save(self._session(name))
        typer.echo(f"kept as {name}", err=True)

    def _clear(self) -> None:
        self._conversation.clear()
        typer.echo("a new conversation; nothing attached", err=True)

    def _resume(self, name: str) -> None:
        session = self._session(name)
        if not session.path.exists():
            typer.echo(f"there is no session {name!r}", err=True)
            return
        self._conversation.resume(session)
        for message in self._conversation.messages:
            typer.echo(f"{'> ' if message.role == 'user' else ''}{message.text}")

    def _session(self, name: str) -> Session:
        return Session(self._project.home / "sessions", name, self._project.store)

    def _list_tools(self) -> None:
        tools = self._project.catalogue.tools
        for name in self._project.callable_by(self._conversation.graph):
            typer.echo(f"{name:<14}{tools[name].spec.about if name in tools else 'is not there'}")

"""A conversation in the terminal, turn by turn."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import typer
from rich.console import Console

from sensorium.admit import Admission
from sensorium.cli.approver import TerminalApprover
from sensorium.cli.blocks import print_block
from sensorium.cli.exporting import exporting_spans
from sensorium.cli.figures import print_figures
from sensorium.cli.message import answer_message
from sensorium.cli.numbered import next_folder
from sensorium.cli.pictures import can_show_pictures, show_picture
from sensorium.cli.prompts import ShownPrompts
from sensorium.cli.sessions import print_sessions
from sensorium.cli.show import exit_code
from sensorium.cli.transcript import counted, opening, print_turn
from sensorium.cli.watch import Watcher
from sensorium.errors import SensoriumError
from sensorium.events import Event, TextPiece
from sensorium.graph import Result, RunOptions
from sensorium.graph.speaker import speaker_of
from sensorium.parts import Image
from sensorium.project import Project
from sensorium.project.conversation import Conversation
from sensorium.project.plan_file import save_plan
from sensorium.project.sessions import open_session, summarise_sessions

__all__ = ["Setting", "Talk", "converse"]

_HELP = """/help           this
/tools          what the assistant may call
/attach FILE    a picture or a sound to talk about
/take           talk about the picture and the sound of the last answer
/plan [FILE]    show what the last answer called, or keep it as a graph file
/save NAME      keep this conversation under a name
/resume [NAME]  go on with a conversation that was kept; without a name, show
                which there are
/clear          start anew
/quit           end (so does Ctrl-D); Ctrl-C stops an answer that is being given"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What `sensorium chat` was told."""

    graph: str
    attach: list[str]
    """Files."""
    session: str | None
    profile: str | None
    trace: bool
    shows_plans: bool
    out: Path
    project: Path | None


def converse(setting: Setting, message: str | None, *, json: bool) -> int:
    """One message and its reply, or turns until the input ends; the exit code.

    Raises:
        SensoriumError: The conversation could not begin.
    """
    door = Project.find(setting.project, profile=setting.profile)
    kept = None if setting.session is None else open_session(door.home, setting.session)
    conversation = Conversation(door.graph(setting.graph), Admission(door.store), kept)
    for path in setting.attach:
        conversation.attach(path)
    if isinstance(stdin := cast("TextIO", sys.stdin), io.TextIOWrapper):
        stdin.reconfigure(errors="surrogateescape")  # a line that is not UTF-8 is refused as a request, not here
    with exporting_spans(), door.store.in_use(), asyncio.Runner() as runner:
        try:
            if message is not None:
                return answer_message(
                    runner,
                    conversation,
                    message,
                    door.store,
                    trace=setting.trace,
                    shows_plans=setting.shows_plans,
                    out=setting.out,
                    json=json,
                )
            talk = Talk(door, conversation, runner, setting)
            return talk.go_on(piped=not sys.stdin.isatty())
        finally:
            runner.run(door.close())


class Talk:
    """Reads lines, carries out commands that begin with `/`, and makes a turn of everything else.

    Args:
        project: Gives home and store for sessions.
        conversation: What is talked with.
        runner: Runs turns; an interrupt cancels the turn and leaves the runner usable.
        setting: What `sensorium chat` was told.
    """

    def __init__(
        self,
        project: Project,
        conversation: Conversation,
        runner: asyncio.Runner,
        setting: Setting,
    ) -> None:
        self._project = project
        self._conversation = conversation
        self._runner = runner
        self._setting = setting
        self._plans: Mapping[str, str] = {}
        self._code = 0
        self._prompts = ShownPrompts()
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: typer.echo(_HELP),
            "/tools": lambda _: self._list_tools(),
            "/attach": self._attach,
            "/take": lambda _: self._take_answer(),
            "/plan": self._plan,
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
            typer.echo(f"{opening(self._conversation)}: /help tells what can be done, /quit ends", err=True)
        elif self._conversation.session is not None:
            typer.echo(opening(self._conversation), err=True)
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
        if count := self._conversation.refresh():
            typer.echo(f"(another process added to this session: {counted(count)} now count too)", err=True)
        spoken: list[str] = []
        speaker = speaker_of(self._conversation.graph.spec, "answer", self._project.catalogue)

        def see(event: Event) -> None:
            if isinstance(event, TextPiece) and event.node == speaker:
                watcher.make_way()
                spoken.append(event.text)
                typer.echo(event.text, nl=False)
            else:
                watcher.see(event)

        with Watcher(trace=self._setting.trace, calls_only=True, prompts=self._prompts) as watcher:
            approver = TerminalApprover.here(watcher, self._project.store)
            options = RunOptions(
                on_event=see, raise_on_failure=False, approver=approver, shows_plans=self._setting.shows_plans
            )
            try:
                result = self._runner.run(self._conversation.turn(request, options))
            except SensoriumError as error:
                if error.result is not None:  # answered, and the session could not keep it
                    self._show(error.result, was_spoken=bool(spoken))
                raise
        self._show(result, was_spoken=bool(spoken))

    def _show(self, result: Result, *, was_spoken: bool) -> None:
        self._plans = result.plans
        typer.echo("" if was_spoken else str(result.outputs.get("answer") or ""))
        if self._setting.trace:
            print_figures(result)
        files = result.save(next_folder(self._setting.out))
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

    def _take_answer(self) -> None:
        taken = self._conversation.take()
        typer.echo(f"attached: {' and '.join(part.kind for part in taken)} of the last answer", err=True)

    def _plan(self, path: str) -> None:
        plans = list(self._plans.values())
        if not plans:
            typer.echo("the last answer called nothing", err=True)
        elif path:
            save_plan(plans[-1], Path(path))
            typer.echo(f"kept as {path}; `sensorium run {path}` runs it", err=True)
        else:
            typer.echo("\n".join(plan.rstrip() for plan in plans))

    def _save(self, name: str) -> None:
        self._conversation.save(open_session(self._project.home, name))
        typer.echo(f"kept as {name}", err=True)

    def _clear(self) -> None:
        self._conversation.clear()
        typer.echo("a new conversation; nothing attached", err=True)

    def _resume(self, name: str) -> None:
        if not name:
            print_sessions(summarise_sessions(self._project.home))
            return
        session = open_session(self._project.home, name)
        if not session.exists():
            typer.echo(f"there is no session {name!r}; /resume shows which there are", err=True)
            return
        self._conversation.resume(session)
        for turn in self._conversation.turns:
            print_turn(turn)
        typer.echo(opening(self._conversation), err=True)

    def _list_tools(self) -> None:
        catalogue = self._project.catalogue
        abouts = {name: entry.spec.about for name, entry in catalogue.graphs.items()}
        abouts |= {name: entry.spec.about for name, entry in catalogue.agents.items()}
        abouts |= {name: entry.spec.about for name, entry in catalogue.tools.items()}
        console = Console(markup=False, highlight=False)
        for name in self._project.callable_by(self._conversation.graph):
            print_block(console, name, abouts.get(name, "is not there"))

"""A run on the terminal while it goes on: a line for each node, to standard error."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from sensorium.cli.prompts import ShownPrompts
from sensorium.events import (
    Event,
    HistoryTrimmed,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
    PlanMade,
    PromptSent,
    RunStarted,
    ToolCalled,
    WireCrossed,
)

__all__ = ["Watcher"]


class Watcher:
    """Shows events as they come. On a terminal with moving lines, elsewhere with one line for each node that ended.

    Args:
        quiet: Show nothing but prompts, where those are asked for.
        trace: Show exactly what is sent to language models; a beginning that was shown already, by its length.
        calls_only: Show what an agent called and what failed, not each node that ended.
        prompts: What was shown before, by another watcher of the same conversation.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        trace: bool = False,
        calls_only: bool = False,
        prompts: ShownPrompts | None = None,
    ) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._trace = trace
        self._calls_only = calls_only
        self._prompts = prompts or ShownPrompts()
        self._question = ""
        self._left_out = 0
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Watcher:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def make_way(self) -> None:
        """Takes the moving lines away, for text that streams to where they stand: they would wipe it out."""
        self._progress.stop()

    @contextmanager
    def standing_still(self) -> Generator[None]:
        """While a person is asked no line moves; those that moved before do so again afterwards."""
        moved = self._progress.live.is_started
        self._progress.stop()
        try:
            yield
        finally:
            if moved:
                self._progress.start()

    @contextmanager
    def asking(self, question: str) -> Generator[None]:
        """While a line is typed behind a question: what is told meanwhile stands above it, and it is asked again."""
        self._question = question
        typer.echo(question, err=True, nl=False)
        try:
            yield
        finally:
            self._question = ""

    def see(self, event: Event) -> None:
        """Shows one event."""
        match event:
            case RunStarted(changes=changes):
                for change in changes:
                    self._say(
                        f"[yellow]![/yellow] since it began, {escape(change)}; calls that this touches are made anew"
                    )
            case NodeStarted(node=node, callee=callee):
                self._end(node)
                self._tasks[node] = self._progress.add_task(
                    f"{escape(node)} [dim]{escape(callee)}[/dim]", total=None, note=""
                )
            case NodeProgress(node=node, share=share, note=note, is_loading=is_loading):
                if node in self._tasks:
                    total = None if is_loading else 1.0
                    self._progress.update(self._tasks[node], total=total, completed=share, note=escape(note))
                if is_loading and note and self._progress.disable:  # no line moves that would show it
                    self._say(f"  [dim]{escape(node)} waits: {escape(note)}[/dim]")
            case WireCrossed(node=node, port=port, rung=rung, why=why) if node in self._tasks:
                self._progress.update(self._tasks[node], note=escape(f"{port} crosses by the rung {rung}: {why}"))
            case NodeFinished(node=node, callee=callee, seconds=seconds, cached=cached, instead=instead):
                self._end(node)
                how = "kept from before" if cached else f"{seconds:.1f} s"
                if instead:
                    self._say(f"[yellow]![/yellow] {escape(node)} [dim]{escape(callee)}[/dim] {escape(instead)}")
                elif not self._calls_only:
                    self._say(f"[green]✓[/green] {escape(node)} [dim]{escape(callee)}, {how}[/dim]")
            case NodeSkipped(node=node, why=why):
                self._end(node)
                if not self._calls_only:
                    self._say(f"[dim]- {escape(node)} skipped: {escape(why)}[/dim]")
            case NodeFailed(node=node, callee=callee, kind="paused"):
                self._end(node)
                self._say(f"[yellow]?[/yellow] {escape(node)} [dim]{escape(callee)}[/dim] waits for a person")
            case NodeFailed(node=node, callee=callee, message=message):
                self._end(node)
                self._say(f"[red]✗[/red] {escape(node)} [dim]{escape(callee)}[/dim] {escape(_bare(message, callee))}")
            case ToolCalled(is_node=True, status=status) if status == "failed" or not self._calls_only:
                pass  # it has a line of its own already
            case ToolCalled(tool=tool, status=status, message=message):
                mark = "[green]✓[/green]" if status == "done" else "[red]✗[/red]"
                self._say(f"  {mark} [dim]called {escape(tool)}[/dim] {escape(message)}")
            case PlanMade(node=node, plan=plan, faults=faults):
                self._see_plan(node, plan, faults)
            case HistoryTrimmed(left_out=left_out, why=why) if self._trace or left_out > self._left_out:
                self._left_out = left_out
                messages = "1 earlier message is" if left_out == 1 else f"{left_out} earlier messages are"
                self._say(f"[yellow]![/yellow] {messages} left out: {escape(why)}")
            case PromptSent(node=node, model=model, prompt=prompt) if self._trace:
                heading, told, rest = self._prompts.lines(node, model, prompt)
                same = f"[dim]{escape(told)}[/dim]\n" if told else ""
                # soft_wrap: as it is sent, wherever the terminal ends
                self._print(f"[dim]{escape(heading)}[/dim]\n{same}{escape(rest)}\n[dim]---[/dim]", soft_wrap=True)
            case _:
                pass

    def _see_plan(self, node: str, plan: str, faults: tuple[str, ...]) -> None:
        for fault in faults:
            self._say(f"  [yellow]![/yellow] [dim]{escape(node)} made a plan that is refused:[/dim] {escape(fault)}")
        if self._trace:
            self._print(f"[dim]{escape(node)} plans[/dim]\n{escape(plan)}[dim]---[/dim]", soft_wrap=True)

    def _end(self, node: str) -> None:
        task = self._tasks.pop(node, None)
        if task is not None:
            self._progress.remove_task(task)

    def _say(self, line: str) -> None:
        if not self._quiet:
            self._print(line)

    def _print(self, text: str, *, soft_wrap: bool = False) -> None:
        if self._question:
            typer.echo("", err=True)
        self._console.print(text, soft_wrap=soft_wrap)
        if self._question:
            typer.echo(self._question, err=True, nl=False)


def _bare(message: str, callee: str) -> str:
    """The message without the name that it begins with where that stands beside it."""
    return message.removeprefix(f"{callee}: ")

"""What a person sees while checkpoints come: bars, one for each checkpoint, on standard error."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

if TYPE_CHECKING:
    from sensorium.checkpoint import PullProgress

__all__ = ["PullBars"]

_STEPS = {
    "wait": "waits for another process",
    "place": "asks",
    "download": "downloads",
    "unpack": "unpacks",
    "copy": "copies",
    "verify": "verifies",
    "convert": "converts",
    "done": "is here",
}


class PullBars:
    """Shows progress; what went wrong with a place stays on the screen as a line above the bars."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, markup=False)
        self._bars = Progress(
            TextColumn("{task.fields[name]}", style="cyan", markup=False),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> PullBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._bars.console.print(line, soft_wrap=True)

    def busy(self, name: str, note: str) -> None:
        """Shows work whose end nobody can tell."""
        self._bars.update(self._task(name), description=note[:60])

    def see(self, progress: PullProgress) -> None:
        """Takes in how far a pull is."""
        if progress.step == "note":
            self.say(f"{progress.checkpoint}: {progress.note}; going on")
            return
        task = self._task(progress.checkpoint)
        description = f"{_STEPS.get(progress.step, progress.step)} {progress.note}".rstrip()
        self._bars.update(task, description=description)
        if progress.total_bytes:
            self._bars.update(task, completed=progress.done_bytes, total=progress.total_bytes)
        elif progress.step == "done":
            known = self._bars.tasks[task].total or 1
            self._bars.update(task, completed=known, total=known)

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task("", name=name, total=None)
        return self._tasks[name]

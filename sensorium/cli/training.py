"""What a person sees while a bridge is trained: one bar for each stage, on standard error."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

if TYPE_CHECKING:
    from sensorium.latent.bridge_job import TrainingProgress

__all__ = ["TrainingBars"]


class TrainingBars:
    """Shows how far a training is, its loss, and the CPU-minutes that it took."""

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True, highlight=False, markup=False, quiet=quiet)
        self._name = name
        self._bars = Progress(
            TextColumn("{task.fields[name]}", style="cyan", markup=False),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> TrainingBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._bars.console.print(line, soft_wrap=True)

    def see(self, progress: TrainingProgress) -> None:
        """Takes in how far the training is."""
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task("", name=self._name, total=1.0)
        loss = f" loss {progress.loss:.3f}" if progress.step else ""
        told = f"{progress.stage} step {progress.step:,}{loss} {progress.cpu_minutes:.1f} CPU-minutes"
        self._bars.update(self._tasks[progress.stage], description=told, completed=progress.share)

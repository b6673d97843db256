"""What a person sees while much is counted or removed: a bar for each step, on standard error of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

__all__ = ["counting"]


@contextmanager
def counting() -> Generator[Callable[[str, int, int | None], None]]:
    """Takes in of a step how much is done, and of how much. Nothing is shown where nobody looks, or stays."""
    console = Console(stderr=True, highlight=False, markup=False)
    name, count = TextColumn("{task.description}", markup=False), MofNCompleteColumn()
    steps: dict[str, TaskID] = {}
    with Progress(name, BarColumn(30), count, console=console, disable=not console.is_terminal, transient=True) as bars:

        def see(step: str, done: int, total: int | None) -> None:
            if step not in steps:
                steps[step] = bars.add_task(step, total=None)
            bars.update(steps[step], completed=done, total=total)

        yield see

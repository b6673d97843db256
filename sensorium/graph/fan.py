"""The elements of an `each` at work: one task for each, from when the element is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

from sensorium.parts import Part

__all__ = ["Fan"]

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Begun(Generic[Made]):
    part: Part | None
    task: asyncio.Task[Made]

    @property
    def has_made(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None


class Fan(Generic[Made]):
    """Calls for elements of one list. A context manager: when it is left, every call has ended.

    Args:
        call: Makes what an element gives.
        tell: Hears what elements gave, in the list's order, as soon as all before them have; of one that was begun
            anew, and of those behind it, again.
    """

    def __init__(
        self, call: Callable[[int, Part | None], Coroutine[Any, Any, Made]], tell: Callable[[int, Made], None]
    ) -> None:
        self.began_s: float | None = None
        """When the first call began, by `perf_counter`; None before."""
        self._call = call
        self._tell = tell
        self._begun: dict[int, _Begun[Made]] = {}
        self._tasks: list[asyncio.Task[Made]] = []
        self._num_told = 0

    async def __aenter__(self) -> Fan[Made]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await _end(self._tasks)

    def begin(self, index: int, part: Part | None) -> None:
        """Begins the call for the element at `index`; one that was begun there for another part is dropped."""
        before = self._begun.get(index)
        if before is not None and before.part == part:
            return
        self._drop(index)
        if self.began_s is None:
            self.began_s = perf_counter()
        task = asyncio.create_task(self._call(index, part))
        task.add_done_callback(self._tell_in_order)
        self._tasks.append(task)
        self._begun[index] = _Begun(part, task)
        self._num_told = min(self._num_told, index)

    async def answers(self, parts: Sequence[Part | None]) -> list[Made]:
        """What each of `parts`, the list as it came to be, gives. What was begun for anything else is dropped.

        Raises:
            Exception: What the first call that failed raised; the others are cancelled when the fan is left.
        """
        for index in [index for index in self._begun if index >= len(parts)]:
            self._drop(index)
        for index, part in enumerate(parts):
            self.begin(index, part)
        tasks = [self._begun[index].task for index in range(len(parts))]
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        ended = [task.result() for task in tasks if task.done()]
        assert len(ended) == len(tasks), "the wait ends early for what has failed alone"
        return ended

    def _drop(self, index: int) -> None:
        before = self._begun.pop(index, None)
        if before is not None:
            before.task.cancel()

    def _tell_in_order(self, _: asyncio.Task[Made]) -> None:
        while (begun := self._begun.get(self._num_told)) is not None and begun.has_made:
            self._tell(self._num_told, begun.task.result())
            self._num_told += 1


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels tasks and returns when they have ended, an interruption notwithstanding."""
    for task in tasks:
        task.cancel()
    interruption: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            interruption = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # asked for, so that nobody is warned of what no longer counts
    if interruption is not None:
        raise interruption

"""Calls that wait, gathered into batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Gatherer"]

Job = TypeVar("Job")


class Gatherer(Generic[Job]):
    """Hands out waiting calls in batches, one batch at a time, first come first served.

    Belongs to one event loop; nothing is handed out before `open`.

    Args:
        most: Most calls in a batch.
        wait_s: How long the first call of a batch waits for others, from when it came.
        hand_out: Takes a batch; `done` must be called when it is over.
    """

    def __init__(self, most: int, wait_s: float, hand_out: Callable[[list[Job]], None]) -> None:
        self._most = most
        self._wait_s = wait_s
        self._hand_out = hand_out
        self._waiting: deque[tuple[float, Job]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False
        self.running: list[Job] = []
        """The batch that is out."""

    @property
    def num_waiting(self) -> int:
        """Calls that are in no batch yet."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is out."""
        return not self._waiting and not self.running

    def open(self) -> None:
        """The tool is ready."""
        self._is_open = True
        self._pump()

    def add(self, job: Job) -> None:
        """Takes a call."""
        self._waiting.append((asyncio.get_running_loop().time(), job))
        self._pump()

    def remove(self, job: Job) -> bool:
        """Forgets a waiting call; False when it is in a batch already, or was never there."""
        for entry in self._waiting:
            if entry[1] is job:
                self._waiting.remove(entry)
                return True
        return False

    def drain(self) -> list[Job]:
        """Forgets all waiting calls and returns them."""
        jobs = [job for _, job in self._waiting]
        self._waiting.clear()
        return jobs

    def done(self) -> None:
        """The batch that was out is over."""
        self.running = []
        self._pump()

    def _pump(self) -> None:
        if not self._is_open or self.running or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        due = self._waiting[0][0] + self._wait_s
        if len(self._waiting) < self._most and loop.time() < due:
            if self._timer is None:
                self._timer = loop.call_at(due, self._ring)
            return
        self.running = [self._waiting.popleft()[1] for _ in range(min(self._most, len(self._waiting)))]
        self._hand_out(self.running)

    def _ring(self) -> None:
        self._timer = None
        self._pump()

"""Deadlines of what is under way, which stand still while a person is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

__all__ = ["counting", "standing_still"]


class _Clock:
    """A deadline. Several people may be asked at once; it goes on when the last one has answered."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self._num_stops = 0
        self._left_s = 0.0

    @contextmanager
    def stopped(self) -> Generator[None]:
        end_s = self._timeout.when()
        if self._timeout.expired() or (end_s is None and not self._num_stops):
            yield
            return
        loop = asyncio.get_running_loop()
        if end_s is not None:
            self._left_s = end_s - loop.time()
            self._timeout.reschedule(None)
        self._num_stops += 1
        try:
            yield
        finally:
            self._num_stops -= 1
            if not self._num_stops:
                self._timeout.reschedule(loop.time() + self._left_s)


_clocks: ContextVar[tuple[_Clock, ...]] = ContextVar("clocks", default=())


@contextmanager
def counting(timeout: asyncio.Timeout) -> Generator[None]:
    """Has a deadline, which has been entered, stand still wherever `standing_still` is called within the block."""
    before = _clocks.set((*_clocks.get(), _Clock(timeout)))
    try:
        yield
    finally:
        _clocks.reset(before)


@contextmanager
def standing_still() -> Generator[None]:
    """Stops the deadlines of everything that waits for what the block does."""
    with ExitStack() as stops:
        for clock in _clocks.get():
            stops.enter_context(clock.stopped())
        yield

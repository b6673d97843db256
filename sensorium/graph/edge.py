"""The thin synchronous edge: coroutines carried out on an event loop in a thread of its own.

It works where a loop runs already (a notebook), and lets hosts keep their connections between runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["carry_out_here"]

Made = TypeVar("Made")

_GRACE_S = 30.0
"""How long what was interrupted may take to end."""

_lock = threading.Lock()
_loops: list[asyncio.AbstractEventLoop] = []


def carry_out_here(work: Coroutine[Any, Any, Made]) -> Made:
    """What `work` makes, waited for by this thread. An interrupt cancels it, and goes on when it has ended."""
    ended = threading.Event()

    async def watched() -> Made:
        try:
            return await work
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(watched(), _loop())
    try:
        return future.result()
    except (KeyboardInterrupt, SystemExit):
        future.cancel()
        ended.wait(_GRACE_S)
        raise


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        if not _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="sensorium", daemon=True).start()
            _loops.append(loop)
        return _loops[0]

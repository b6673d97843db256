"""What llama.cpp answers, chunk by chunk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Stream", "TooLong", "checked"]


class TooLong(Exception):
    """The prompt does not fit into the model's context."""


class Stream:
    """Chunks of a reply, which llama.cpp makes in a thread of its own."""

    def __init__(self, server: Any, request: dict[str, Any]) -> None:
        self._chunks: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(server, request), daemon=True)
        self._thread.start()

    def _work(self, server: Any, request: dict[str, Any]) -> None:
        try:
            server.handle_completions(request, self._take)
            self._chunks.put(None)
        except BaseException as error:
            self._chunks.put(error)

    def _take(self, chunk: dict[str, Any]) -> bool:
        self._chunks.put(chunk)
        return self._stopped.is_set()  # true ends the reply

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (chunk := self._chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield checked(chunk)

    def stop(self) -> None:
        """Ends the reply, and waits until llama.cpp is ready for the next."""
        self._stopped.set()
        self._thread.join()


def checked(chunk: dict[str, Any]) -> dict[str, Any]:
    """The same chunk.

    Raises:
        TooLong: The prompt does not fit into the context.
        RuntimeError: It tells of another error of llama.cpp.
    """
    error = chunk.get("error")
    if error is None:
        return chunk
    if error.get("type") == "exceed_context_size_error":
        prompt, context = error["n_prompt_tokens"], error["n_ctx"]
        raise TooLong(
            f"the prompt has {prompt} tokens, {prompt - context} more than the {context} of the model's context; "
            "shorten the request or raise context_tokens in the profile"
        )
    raise RuntimeError(f"llama.cpp: {error.get('message', error)}")

"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html.

Lines end at line feeds alone here: a library that also ends them at U+2028 cuts through JSON that holds one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable

__all__ = ["MAX_EVENT_BYTES", "Overlong", "data_of"]

MAX_EVENT_BYTES = 16 << 20


class Overlong(Exception):
    """An event is longer than `MAX_EVENT_BYTES`."""


async def data_of(stream: AsyncIterable[bytes]) -> AsyncGenerator[str, None]:
    """The data of each event that has some.

    Raises:
        Overlong: An event is too long.
        UnicodeDecodeError: It is not UTF-8.
    """
    data: list[str] = []
    size_bytes = 0
    async for line in _lines(stream):
        if not line:
            if data:
                yield "\n".join(data)
            data, size_bytes = [], 0
        elif line.startswith(b"data:"):
            size_bytes += len(line)
            if size_bytes > MAX_EVENT_BYTES:
                raise Overlong
            data.append(line[5:].removeprefix(b" ").decode("utf-8"))


async def _lines(stream: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    rest = bytearray()
    async for part in stream:
        rest += part
        while (end := rest.find(b"\n")) >= 0:
            line = bytes(rest[:end]).removesuffix(b"\r")
            del rest[: end + 1]
            yield line
        if len(rest) > MAX_EVENT_BYTES:
            raise Overlong

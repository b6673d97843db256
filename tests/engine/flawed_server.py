"""A server of the OpenAI protocol on this machine that answers as it was told to, wrongly for the most part."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "Answer",
    "FlawedServer",
    "Request",
    "call_chunks",
    "chunk",
    "chunks",
    "cut",
    "events",
    "fake_server",
    "raw",
    "status",
]

MODEL = "small@0123456789ab"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answer: TypeAlias = Callable[["FlawedServer", asyncio.StreamWriter], Awaitable[None]]


class FlawedServer:
    """Answers each request for a reply with the next of `answers`, and from then on with the last."""

    def __init__(self, answers: Sequence[Answer], models: Answer) -> None:
        self.url = ""
        self.asked: list[Request] = []
        """Requests for a reply."""
        self.listed = 0
        """How often the models were asked for."""
        self.left = asyncio.Event()
        """Set when a client closed its connection while its answer was still coming."""
        self._answers = list(answers)
        self._models = models
        self._serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await _read(reader)
            if request.path.endswith("/models"):
                self.listed += 1
                await self._models(self, writer)
            else:
                self.asked.append(request)
                answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
                await self._until_left(answer(self, writer), reader)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def close(self) -> None:
        """Ends what is still being answered."""
        for task in self._serving:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in self._serving if task is not None), return_exceptions=True)

    async def _until_left(self, answer: Awaitable[None], reader: asyncio.StreamReader) -> None:
        answering, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(reader.read(1))
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            self.left.set()
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    size = int(headers.get("content-length", "0"))
    assert size <= _MOST_BYTES
    body = await reader.readexactly(size)
    return Request(method, path, headers, json.loads(body) if body else None)


@asynccontextmanager
async def fake_server(*answers: Answer, models: Answer | None = None) -> AsyncGenerator[FlawedServer]:
    """A server that lists `MODEL`, or answers `models` where it is asked what it serves."""
    made = FlawedServer(answers, models or listing(MODEL))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield made
    finally:
        server.close()
        await made.close()
        await server.wait_closed()


def raw(data: bytes, *, then_waits: bool = False) -> Answer:
    """Answers these bytes and closes, or waits until the client leaves."""

    async def answer(_server: FlawedServer, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then_waits:
            await asyncio.Event().wait()

    return answer


def status(code: int, body: str = "", *headers: str) -> Answer:
    """Answers a status with a body."""
    data = body.encode()
    head = [f"HTTP/1.1 {code} Told", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return raw("\r\n".join(head).encode() + b"\r\n\r\n" + data)


def listing(*names: str, most_tokens: int = 2048) -> Answer:
    """Answers as `/v1/models` does."""
    rows = [{"id": name, "object": "model", "max_model_len": most_tokens} for name in names]
    return status(200, json.dumps({"object": "list", "data": rows}))


_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def events(*data: str, then_waits: bool = False) -> Answer:
    """Answers these events, and closes as if all were well."""
    return raw(_EVENTS + b"".join(f"data: {each}\n\n".encode() for each in data), then_waits=then_waits)


def cut(*data: str) -> Answer:
    """Answers these events, and breaks off in the midst of a chunk of the transfer encoding."""
    head = _EVENTS.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    body = b"".join(f"data: {each}\n\n".encode() for each in data)
    return raw(head + f"{len(body) + 100:x}\r\n".encode() + body)


def chunk(text: str = "", finish: str | None = None, *, model: str | None = MODEL, **more: Any) -> str:
    """An event's data, as vLLM sends it."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"model": model, "choices": [choice], **more}, ensure_ascii=False)


def call_chunks(*calls: tuple[str, Sequence[str]], finish: str = "tool_calls") -> tuple[str, ...]:
    """All events of a reply that calls tools: names, each with the pieces of its arguments."""
    deltas: list[dict[str, Any]] = []
    for index, (name, pieces) in enumerate(calls):
        deltas.append({"index": index, "id": f"call-{index}", "type": "function", "function": {"name": name}})
        deltas += [{"index": index, "function": {"arguments": piece}} for piece in pieces]
    told = [{"index": 0, "delta": {"tool_calls": [delta]}, "finish_reason": None} for delta in deltas]
    return (*(json.dumps({"model": MODEL, "choices": [choice]}) for choice in told), chunk("", finish), "[DONE]")


def chunks(*pieces: str, finish: str = "stop", model: str = MODEL) -> tuple[str, ...]:
    """All events of a reply."""
    usage = {"prompt_tokens": 9, "completion_tokens": len(pieces), "prompt_tokens_details": {"cached_tokens": 4}}
    last = json.dumps({"model": model, "choices": [], "usage": usage})
    return (
        chunk("", model=model),
        *(chunk(piece, model=model) for piece in pieces),
        chunk("", finish, model=model),
        last,
        "[DONE]",
    )

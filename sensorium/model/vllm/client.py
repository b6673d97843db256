"""Requests to servers: one pool of connections for each event loop."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import httpx
import msgspec

from sensorium.errors import CallerError, DeadlineError, ModelError, OperatorError
from sensorium.model.vllm.endpoints import Endpoint
from sensorium.model.vllm.events import Overlong, data_of
from sensorium.model.vllm.refusal import Passing, refusal

__all__ = ["Client", "Clock", "Served", "Waits"]

Made = TypeVar("Made")

_MOST_REFUSAL_BYTES = 64 << 10
_MOST_MODELS_BYTES = 4 << 20
_IDLE_S = 4.0
"""Servers of vLLM close a connection that was idle for 5 s."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a server may take, in seconds."""

    connect_s: float = 5.0
    first_s: float = 300.0
    """From the request until its answer begins: waiting for its turn, and reading the prompt."""
    next_s: float = 60.0
    """From one piece to the next."""
    call_s: float = 900.0
    """All in all, further tries included."""


class Served(msgspec.Struct, frozen=True):
    """A model, as `/v1/models` lists it."""

    id: str
    root: str | None = None
    max_model_len: int | None = None


class _Listed(msgspec.Struct):
    data: list[Served]


class Clock:
    """The deadline of one call, begun when this is made."""

    def __init__(self, waits: Waits) -> None:
        self.waits = waits
        self._due_s = monotonic() + waits.call_s

    async def sleep(self, seconds: float) -> None:
        """Waits.

        Raises:
            DeadlineError: The whole call took too long.
        """
        never = Passing(ModelError("a server was waited for"))
        await self.hold(asyncio.sleep(seconds), seconds + 1, never)

    async def hold(self, work: Awaitable[Made], seconds: float, late: Passing) -> Made:
        """The result of `work`.

        Raises:
            Passing: `late`, where it took longer than `seconds`.
            DeadlineError: The whole call took too long.
        """
        left_s = self._due_s - monotonic()
        limit = asyncio.timeout(min(seconds, left_s))
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
        if left_s <= seconds:
            raise DeadlineError(
                f"the language model was still at work after {self.waits.call_s:g} s, its deadline; allow more time "
                "(call_s of the profile's limits), or ask for less",
                can_retry=True,
            )
        raise late


class Client:
    """Speaks the protocol of an OpenAI-compatible server.

    Args:
        waits: How long a server may take.
        is_local: Whether the servers run on this machine, where no proxy stands before them.
    """

    def __init__(self, waits: Waits, *, is_local: bool) -> None:
        self._waits = waits
        self._is_local = is_local
        self._pools: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    async def models(self, endpoint: Endpoint, clock: Clock) -> list[Served]:
        """The models that a server lists.

        Raises:
            Passing: It does not answer now.
            OperatorError: It refuses, or lists none.
        """
        async with self._sent(endpoint, "GET", "/models", None, clock) as response:
            late = _late(endpoint, "did not list its models in time")
            with _told(endpoint):
                body = await clock.hold(_read(response, _MOST_MODELS_BYTES), clock.waits.next_s, late)
        try:
            return msgspec.json.decode(body, type=_Listed).data
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise OperatorError(
                f"the server {endpoint.name} lists no models ({error}); is the URL in the profile that of an "
                "OpenAI-compatible server, up to /v1?"
            ) from error

    async def chat(self, endpoint: Endpoint, body: dict[str, Any], clock: Clock) -> AsyncGenerator[str, None]:
        """Data of the events of a reply. Left early, the request is ended, and the server drops it.

        Raises:
            Passing: The server does not answer now, or falls silent.
            CallerError: The prompt is too long.
            ModelError: The server refuses the request.
            OperatorError: It wants another key, or knows no such model.
        """
        async with self._sent(endpoint, "POST", "/chat/completions", body, clock) as response:
            late = _late(endpoint, f"sent nothing more for {clock.waits.next_s:g} s")
            async with aclosing(data_of(response.aiter_bytes())) as events:
                while True:
                    with _told(endpoint):
                        data = await clock.hold(anext(events, None), clock.waits.next_s, late)
                    if data is None:
                        return
                    yield data

    async def post(
        self, endpoint: Endpoint, path: str, body: dict[str, Any], clock: Clock, *, most_bytes: int
    ) -> bytes:
        """The body of an answer, or its first `most_bytes`.

        Raises:
            Passing: The server does not answer now, or falls silent.
            CallerError: The prompt is too long.
            ModelError: The server refuses the request.
            OperatorError: It wants another key, or knows no such model.
        """
        async with self._sent(endpoint, "POST", path, body, clock) as response:
            late = _late(endpoint, f"did not end its answer within {clock.waits.next_s:g} s")
            with _told(endpoint):
                return await clock.hold(_read(response, most_bytes), clock.waits.next_s, late)

    async def close(self) -> None:
        """Closes every connection."""
        here, pools, self._pools = asyncio.get_running_loop(), self._pools, {}
        for loop, pool in pools.items():
            if loop is here:
                await pool.aclose()
            elif not loop.is_closed():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(pool.aclose(), loop))

    @asynccontextmanager
    async def _sent(
        self, endpoint: Endpoint, method: str, path: str, body: dict[str, Any] | None, clock: Clock
    ) -> AsyncGenerator[httpx.Response]:
        """A response whose headers are there and say that all is well."""
        headers = {"Content-Type": "application/json"}
        if endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        content, pool = None if body is None else _encoded(body), self._pool()
        late = _late(endpoint, f"did not begin to answer within {clock.waits.first_s:g} s")
        with _told(endpoint):
            request = pool.build_request(method, endpoint.url + path, content=content, headers=headers)
            response = await clock.hold(pool.send(request, stream=True), clock.waits.first_s, late)
        try:
            if response.status_code != 200:
                with _told(endpoint):
                    said = await clock.hold(_read(response, _MOST_REFUSAL_BYTES), clock.waits.next_s, late)
                raise refusal(endpoint, response.status_code, said, response.headers)
            yield response
        finally:
            await response.aclose()

    def _pool(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        for other in [other for other in self._pools if other.is_closed()]:
            del self._pools[other]
        if loop not in self._pools:
            self._pools[loop] = httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=self._waits.connect_s),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=_IDLE_S),
                trust_env=not self._is_local,
                verify=_certificates(),
            )
        return self._pools[loop]


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust; reading that takes a tenth of a second."""
    return httpx.create_ssl_context()


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise CallerError(f"the messages hold text that is not Unicode: {error.reason}; correct it") from error


async def _read(response: httpx.Response, most_bytes: int) -> bytes:
    """The body, or its beginning."""
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > most_bytes:
            break
    return bytes(body[:most_bytes])


@contextmanager
def _told(endpoint: Endpoint) -> Generator[None]:
    """Turns what the transport raises into what a caller is told."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        why = str(error) or "no connection in time"
        told = f"the server {endpoint.name} cannot be reached: {why}; start it, or set its URL in the profile"
        raise Passing(OperatorError(told, can_retry=True)) from error
    except (httpx.RequestError, UnicodeDecodeError, Overlong) as error:
        why = str(error) or type(error).__name__
        raise Passing(ModelError(f"the server {endpoint.name} broke off: {why}", can_retry=True)) from error
    except httpx.InvalidURL as error:
        raise OperatorError(f"the server {endpoint.name} has no URL that can be asked: {error}; set it") from error


def _late(endpoint: Endpoint, what: str) -> Passing:
    return Passing(ModelError(f"the server {endpoint.name} {what}", can_retry=True))

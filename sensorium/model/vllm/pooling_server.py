"""A pooling server that a worker starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sensorium.model.vllm.client import Client, Clock, Waits
from sensorium.model.vllm.embeds import EmbedsForm
from sensorium.model.vllm.refusal import Passing
from sensorium.model.vllm.started import Started

__all__ = ["PoolingServer"]

_MOST_BYTES = 1 << 30
_TEXT_BYTES = 4096


class PoolingServer:
    """Sends requests to the server, which starts with the first one. See `Post`.

    Args:
        started: The server.
        waits: How long it may take.
        form: What is known of the model.
    """

    def __init__(self, started: Started, waits: Waits, form: EmbedsForm) -> None:
        self.started = started
        self._waits = waits
        self._client = Client(waits, is_local=True)
        self._most_bytes = min(_MOST_BYTES, 3 * (form.width or _MOST_BYTES) * (form.positions or 1) + _TEXT_BYTES)

    async def __call__(self, body: Mapping[str, Any]) -> bytes:
        """The reply to a request."""
        clock = Clock(self._waits)
        async for _ in self.started.ready():
            pass
        (endpoint,) = self.started.endpoints.every
        try:
            model = self.started.model_of(endpoint, await self._client.models(endpoint, clock))
            root = replace(endpoint, url=endpoint.url.removesuffix("/v1"))
            asked = {**body, "model": model.id}
            return await self._client.post(root, "/pooling", asked, clock, most_bytes=self._most_bytes)
        except Passing as passing:
            raise passing.error from passing

    async def close(self) -> None:
        """Closes connections; the server goes on."""
        await self._client.close()

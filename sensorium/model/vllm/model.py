"""A language model that a server of vLLM serves."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Protocol

from sensorium.errors import ModelError, SensoriumError
from sensorium.latent.spaces import End
from sensorium.model.contract import Ask, ModelEvent, Piece, Preparing, require_readable
from sensorium.model.vllm.client import Client, Clock, Served, Waits
from sensorium.model.vllm.content import prompt_of
from sensorium.model.vllm.embeds import UNKNOWN, EmbedsForm
from sensorium.model.vllm.endpoints import Endpoint, Endpoints
from sensorium.model.vllm.reading import Reading
from sensorium.model.vllm.refusal import Passing
from sensorium.model.vllm.request import body_of, tools_of

__all__ = ["Servers", "VllmModel"]

_PREFIX_MESSAGES = 2
"""A conversation is known by its first messages: what it is told to be, and what it was first asked."""


class Servers(Protocol):
    """Who serves the model."""

    @property
    def identity(self) -> str:
        """Of what they serve."""
        ...

    @property
    def endpoints(self) -> Endpoints:
        """The servers, once they are ready."""
        ...

    def ready(self) -> AsyncGenerator[Preparing, None]:
        """What happens until they can be asked."""
        ...

    def model_of(self, endpoint: Endpoint, listed: list[Served]) -> Served:
        """The model that one of them is to answer as, among those that it lists.

        Raises:
            OperatorError: It is not there.
        """
        ...


class VllmModel:
    """A `Model` that asks servers over HTTP.

    A server that cannot answer is left alone for a while, and the call goes to the next, or waits. Once some of a reply
    was passed on, nothing is asked again: the call fails as one that can be made again.

    Args:
        servers: Who serves it.
        waits: How long a server may take.
        is_local: Whether the servers run on this machine.
        reads: Kinds of part that the served model takes beside text.
        form: The input embeddings that it takes, as far as they are known here.
        checkpoint: Digest of its files; empty where it is not known.
    """

    def __init__(
        self,
        servers: Servers,
        waits: Waits,
        *,
        is_local: bool,
        reads: Collection[str] = (),
        form: EmbedsForm = UNKNOWN,
        checkpoint: str = "",
    ) -> None:
        self.servers = servers
        self.reads = frozenset(reads)
        """Kinds of part that the served model takes beside text."""
        self._form = form
        self._checkpoint = checkpoint
        self._waits = waits
        self._client = Client(waits, is_local=is_local)
        self._models: dict[Endpoint, Served] = {}

    @property
    def identity(self) -> str:
        """What `Started` or `Attached` says of it."""
        return self.servers.identity

    def prompt(self, ask: Ask) -> str:
        """The messages that `ask` sends, each behind its role in brackets, and tools that it offers.

        The server has the chat template.
        """
        offered = [f"[tool]\n{json.dumps(tool, ensure_ascii=False)}" for tool in tools_of(ask)]
        return "\n".join([*offered, prompt_of(ask)])

    async def ask(self, ask: Ask) -> AsyncGenerator[ModelEvent, None]:
        """See `Model.ask`."""
        require_readable(ask, self.reads)
        clock, prefix, tries = Clock(self._waits), _prefix(ask), 0
        while True:
            async with aclosing(self.servers.ready()) as news:
                async for preparing in news:
                    yield preparing
            endpoints = self.servers.endpoints
            endpoint = endpoints.choose(prefix)
            if not endpoints.can_wait(endpoint):
                raise _left_alone(endpoint, endpoints.wait_s(endpoint))
            if endpoints.wait_s(endpoint) > 0:
                yield Preparing(0.0, f"waits {endpoints.wait_s(endpoint):.1f} s for the server {endpoint.name}")
                await clock.sleep(endpoints.wait_s(endpoint))
                continue  # by now there may be another
            begun = False
            try:
                async with aclosing(self._answer(endpoint, ask, clock)) as events:
                    async for event in events:
                        begun = True
                        yield event
            except Passing as passing:
                tries += 1
                self._models.pop(endpoint, None)
                endpoints.failed(endpoint, passing.after_s)
                if begun or tries == endpoints.tries or not endpoints.can_wait(endpoints.choose(prefix)):
                    raise _final(passing, begun=begun) from passing
            else:
                endpoints.answered(endpoint)
                return

    async def _answer(self, endpoint: Endpoint, ask: Ask, clock: Clock) -> AsyncGenerator[ModelEvent, None]:
        """Pieces and reply of one server."""
        model = self._models.get(endpoint)
        if model is None:
            model = self.servers.model_of(endpoint, await self._client.models(endpoint, clock))
            self._models[endpoint] = model
        reading = Reading(ask, endpoint, model.id)
        # Media are read from the disk, and some are encoded anew.
        body = await asyncio.to_thread(body_of, ask, served=model.id, most_tokens=model.max_model_len, form=self._form)
        async with aclosing(self._client.chat(endpoint, body, clock)) as events:
            async for data in events:
                piece = reading.take(data)
                if piece:
                    yield Piece(piece)
        reply = reading.reply()
        if reading.is_call:
            yield Piece(reply.text)
        yield reply

    async def end(self) -> End:
        """Who serves on a latent wire: known by the checkpoint, since a server does not tell how it loaded it."""
        takes = ("embeds",) if "latent" in self.reads and self._checkpoint and self._form.width else ()
        width = self._form.width or 0
        return End("", "vllm", 0, "bfloat16", width, 0, 0, 0, checkpoint=self._checkpoint, reads=takes)

    async def close(self) -> None:
        """Closes connections; the servers go on."""
        await self._client.close()


def _prefix(ask: Ask) -> str:
    said = "\0".join(f"{message.role}\0{message.content}" for message in ask.messages[:_PREFIX_MESSAGES])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def _left_alone(endpoint: Endpoint, seconds: float) -> ModelError:
    return ModelError(
        f"the server {endpoint.name} wants to be left alone for {seconds:.0f} s more, as it told an earlier request; "
        "ask again then, or name another server in the profile",
        can_retry=True,
    )


def _final(passing: Passing, *, begun: bool) -> SensoriumError:
    """What a caller is told where nobody answers, or where a reply broke off."""
    if begun:
        return ModelError(f"{passing.error}, after some of its reply was passed on", can_retry=True)
    return passing.error

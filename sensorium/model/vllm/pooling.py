"""Hidden states out: a server on the same weights that gives what it computed, instead of words."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from sensorium.admit.latents import check_tensor
from sensorium.errors import CallerError, ModelError
from sensorium.model.vllm.embeds import UNKNOWN, EmbedsForm
from sensorium.parts import Latent
from sensorium.store import Store

__all__ = ["POOLING_FLAGS", "Pooling", "Post"]

POOLING_FLAGS: Mapping[str, bool | str] = {
    "runner": "pooling",
    "convert": "embed",
    "pooler-config.task": "token_embed",
    "enable-prompt-embeds": True,
    "enable-prefix-caching": False,  # what is found in a cache is not computed, and so has no row
}
"""What makes a server of the same weights a pooling one."""

_SPACE = "lm.hidden"
_DTYPE = "bfloat16"
_ITEM_BYTES = 2


class Post(Protocol):
    """Sends a request to a pooling server."""

    async def __call__(self, body: Mapping[str, Any]) -> bytes:
        """The reply to `body`, which does not name the model.

        Raises:
            ModelError: The server failed.
            CallerError: The server refuses the request.
            OperatorError: It is not there.
        """
        ...


class _Rows(msgspec.Struct):
    data: str


class _Usage(msgspec.Struct):
    prompt_tokens: int


class _Pooled(msgspec.Struct):
    data: list[_Rows]
    usage: _Usage


@dataclass(frozen=True, slots=True)
class Pooling:
    """Hidden states of a model whose server was started with `POOLING_FLAGS`."""

    post: Post
    """Sends a request to that server."""
    identity: str
    """Identity of the weights and the runtime, for the latents that it makes."""
    store: Store
    """Where those go."""
    form: EmbedsForm = UNKNOWN
    """What is known of the model: hidden states are as wide as input embeddings."""

    async def hidden(self, text: str) -> Latent:
        """The last layer's hidden states, bfloat16 [tokens, width], space `lm.hidden`.

        The text is read as it stands, without a chat template or further tokens.

        Raises:
            ModelError: The server failed, or gave something else.
            CallerError: The text is empty, or does not fit into the model's context.
            OperatorError: The server is not there, or the disk is full.
        """
        if not text:
            raise CallerError("an empty text has no hidden states; give at least one character")
        body = {
            "input": text,
            "add_special_tokens": False,
            "task": "token_embed",
            "use_activation": False,
            "encoding_format": "base64",
            "embed_dtype": _DTYPE,
            "endianness": "little",
        }
        return self._latent(await self.post(body))

    def _latent(self, reply: bytes) -> Latent:
        try:
            pooled = msgspec.json.decode(reply, type=_Pooled)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelError(f"the pooling server gave no hidden states: {error}") from error
        if len(pooled.data) != 1:
            raise ModelError(f"the pooling server gave {len(pooled.data)} results for one text")
        written, tokens = pooled.data[0].data, pooled.usage.prompt_tokens
        width = self.form.width or _width(written, tokens)
        size_bytes = tokens * width * _ITEM_BYTES
        if tokens < 1 or len(written) != 4 * -(-size_bytes // 3):
            raise ModelError(
                f"the pooling server gave {len(written):,} characters of base64 for {tokens} tokens; rows of {width} "
                "numbers of bfloat16 were asked for: another model than the profile's, or other flags"
            )
        return Latent(_SPACE, self.identity, (tokens, width), _DTYPE, self._kept(written, (tokens, width)))

    def _kept(self, written: str, shape: tuple[int, int]) -> Any:
        try:
            data = base64.b64decode(written, validate=True)
            check_tensor(data, shape, _DTYPE)
        except (binascii.Error, CallerError) as error:
            raise ModelError(f"the pooling server gave hidden states that cannot be taken: it {error}") from error
        return self.store.put(data, "application/octet-stream")


def _width(written: str, tokens: int) -> int:
    """Numbers in a row, where nothing else tells them; at least one."""
    size_bytes = len(written) // 4 * 3 - written[-2:].count("=")
    return max(size_bytes // _ITEM_BYTES // max(tokens, 1), 1)

"""Names of the spaces of language models, and who stands at an end of a latent wire."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sensorium.spec.ports import CONTEXT

__all__ = ["CONTEXT", "EMBEDS", "FRAME", "KV", "RECIPE", "End", "hidden_layer", "hidden_space"]

KV = "lm.kv"
"""Keys and values, [layers, 2, heads, positions, width of a head]."""
EMBEDS = "lm.embeds"
"""Input embeddings, [positions, width]. Not those of a vocabulary alone: what was thought, or came by a bridge, too."""
RECIPE = "lm.recipe"
"""What has to be done to hold it again; see `sensorium.latent.recipe`."""
FRAME = "lm.frame"
"""A sealed frame as bytes, uint8 [bytes]: how any of these goes from process to process."""

_HIDDEN = re.compile(r"lm\.hidden\[(\d{1,3})\]")


def hidden_space(layer: int) -> str:
    """The space of hidden states behind a layer; 0 is before the first."""
    return f"lm.hidden[{layer}]"


def hidden_layer(space: str) -> int | None:
    """The layer whose hidden states a space holds; None for another space."""
    match = _HIDDEN.fullmatch(space)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class End:
    """A language model at one end of a latent wire, as it was loaded."""

    weights: str
    """Identity: digest of the weights as loaded, and of the tokenizer."""
    runtime: str
    """What computes there. Equal bits are claimed between equal runtimes alone."""
    chunks: int
    """Tokens that it reads at once."""
    dtype: str
    width: int
    """Numbers in an input embedding."""
    layers: int
    kv_heads: int
    head_width: int
    """Numbers in a key, and in a value, of one head."""
    rope: tuple[float, ...] = ()
    """Radians a position by which keys are turned, one for each pair of numbers; empty where that is not the whole."""
    checkpoint: str = ""
    """Digest of the checkpoint's files: what a server is known by that does not tell how it loaded them."""
    reads: tuple[str, ...] = ("kv", "recipe", "embeds")
    """Rungs by which it takes over what an equal model holds."""

    @property
    def kv_token_bytes(self) -> int:
        """Bytes of a position's keys and values."""
        return self.layers * 2 * self.kv_heads * self.head_width * self._number_bytes

    @property
    def row_bytes(self) -> int:
        """Bytes of an input embedding."""
        return self.width * self._number_bytes

    @property
    def _number_bytes(self) -> int:
        return 4 if self.dtype == "float32" else 2
